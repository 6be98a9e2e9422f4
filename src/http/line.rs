//! The line before backups, restores and drills: one at work, one that waits; further ones are turned away, and
//! before their archive is read.

use super::{HttpError, problem::Failure};
use axum::{extract::FromRequestParts, http::request::Parts};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The line; an extension of the routes that share it.
#[derive(Clone)]
pub(super) struct Line(Arc<Semaphore>);

/// A place in the line; free again when it is dropped.
pub(super) struct Place(#[expect(dead_code, reason = "kept for its drop")] OwnedSemaphorePermit);

impl Line {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }

    pub(super) fn place(&self) -> Result<Place, HttpError> {
        Arc::clone(&self.0).try_acquire_owned().map(Place).map_err(|_| HttpError::Busy)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let line = parts.extensions.get::<Line>().ok_or(HttpError::Busy)?;
        Ok(line.place()?)
    }
}

/// One at work, one that waits.
const PLACES: usize = 2;
