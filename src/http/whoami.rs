//! `/whoami`: for every caller that is identified, whatever its roles.

use super::api::WhoamiView;
use crate::base::principal::{Caller, KeyScope};
use axum::{Extension, Json};

/// Show who calls.
///
/// For every caller, whatever its roles.
#[utoipa::path(get, path = "/whoami", tag = "credentials", responses((status = 200, body = WhoamiView)))]
pub(super) async fn show(Extension(caller): Extension<Caller>) -> Json<WhoamiView> {
    let identity = &caller.identity;
    let keys = match &identity.keys {
        KeyScope::Every => None,
        KeyScope::Only(keys) => Some(keys.iter().map(ToString::to_string).collect()),
    };
    Json(WhoamiView { principal: identity.principal.clone(), roles: identity.roles.clone(), keys })
}
