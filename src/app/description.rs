//! `docs/openapi.json`: the description of the API, with the problem codes of every catalogue.

use super::errors_page::entries;
use crate::http::openapi;

/// The description, as JSON.
#[must_use]
pub fn openapi() -> String {
    openapi::document(&entries())
}
