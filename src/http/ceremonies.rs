//! `/ceremonies` and `/keks`.

use super::{
    Services,
    body::{JsonBody, Segment},
    openapi::{Conflict, TokenProblems},
    permit::{Keeper, Reader},
    problem::Failure,
};
use crate::ceremony::{
    api::{ImportAnswer, RecoverRequest, RecoveryView},
    provisional::supersede,
    recover,
};
use crate::keys::{
    api::{KekView, Page},
    keks,
};
use axum::{Json, extract::State, http::StatusCode};

/// Put a secret together from shares.
///
/// It waits in memory for its one use, five minutes at most.
#[utoipa::path(
    post, path = "/ceremonies/recoveries", tag = "ceremonies",
    request_body = RecoverRequest,
    responses((status = 201, body = RecoveryView)),
)]
pub(super) async fn put_together(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    JsonBody(request): JsonBody<RecoverRequest>,
) -> Result<(StatusCode, Json<RecoveryView>), Failure> {
    let view = services.backups.recoveries.put_together(&services.keys, &caller, &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Import the KEKs of a recovery into the token.
#[utoipa::path(
    post, path = "/ceremonies/recoveries/{recovery}/keks", tag = "ceremonies",
    params(("recovery" = String, Path, description = "Name of a recovery")),
    responses((status = 200, body = ImportAnswer), Conflict, TokenProblems),
)]
pub(super) async fn import(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    Segment(recovery): Segment,
) -> Result<Json<ImportAnswer>, Failure> {
    let file = services.backups.recoveries.take(services.keys.clock.as_ref(), &caller, &recovery)?;
    let records = recover::import(&services.keys, &caller, &file.secret).await?;
    supersede(&services.backups.directory, &file.secret);
    Ok(Json(ImportAnswer { keks: records.into_iter().map(keks::KekRecord::view).collect() }))
}

/// List KEKs.
#[utoipa::path(get, path = "/keks", tag = "ceremonies", responses((status = 200, body = Page<KekView>)))]
pub(super) async fn keks(State(services): State<Services>, _: Reader) -> Result<Json<Page<KekView>>, Failure> {
    let items = keks::all(&services.keys).await?.into_iter().map(keks::KekRecord::view).collect();
    Ok(Json(Page { items, next: None }))
}
