//! `/instance`.

use super::{Services, api::InstanceView, permit::Reader, problem::Failure};
use crate::certificates::authority;
use axum::{Json, extract::State};

/// Show the instance.
#[utoipa::path(get, path = "/instance", tag = "instance", responses((status = 200, body = InstanceView)))]
pub(super) async fn show(State(services): State<Services>, _: Reader) -> Result<Json<InstanceView>, Failure> {
    Ok(Json(InstanceView {
        id: *services.backups.instance.read().await,
        posture: services.keys.posture,
        root_sha256: authority::root(&services.keys).await?.fingerprint(),
    }))
}
