//! `/whoami`: for every caller that is identified, whatever its roles.

use super::api::WhoamiView;
use crate::base::principal::{Caller, KeyScope};
use axum::{Extension, Json};

pub(super) async fn show(Extension(caller): Extension<Caller>) -> Json<WhoamiView> {
    let identity = &caller.identity;
    let keys = match &identity.keys {
        KeyScope::Every => None,
        KeyScope::Only(keys) => Some(keys.iter().map(ToString::to_string).collect()),
    };
    Json(WhoamiView { principal: identity.principal.clone(), roles: identity.roles.clone(), keys })
}
