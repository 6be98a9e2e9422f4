//! `/doctor`.

use super::{Services, body::QueryOf, permit::Keeper, problem::Failure};
use crate::doctor::{
    self, Mode,
    api::{DoctorQuery, DoctorReport},
};
use axum::{Json, extract::State};

/// Look at the instance and at each token.
///
/// Tries each token out with scratch keys of every algorithm, which takes some seconds. A token that cannot be used is
/// no problem of this request: the report says how far the way to it went.
#[utoipa::path(
    post, path = "/doctor", tag = "doctor", params(DoctorQuery), responses((status = 200, body = DoctorReport)),
)]
pub(super) async fn examine(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    QueryOf(query): QueryOf<DoctorQuery>,
) -> Result<Json<DoctorReport>, Failure> {
    let mode = if query.fix { Mode::Fix } else { Mode::Look };
    Ok(Json(doctor::examine(&services.backups, &caller, mode).await?))
}
