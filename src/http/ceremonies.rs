//! `/ceremonies` and `/keks`.

use super::{
    Services,
    body::{JsonBody, Segment},
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

pub(super) async fn put_together(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    JsonBody(request): JsonBody<RecoverRequest>,
) -> Result<(StatusCode, Json<RecoveryView>), Failure> {
    let view = services.backups.recoveries.put_together(&services.keys, &caller, &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

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

pub(super) async fn keks(State(services): State<Services>, _: Reader) -> Result<Json<Page<KekView>>, Failure> {
    let items = keks::all(&services.keys).await?.into_iter().map(keks::KekRecord::view).collect();
    Ok(Json(Page { items, next: None }))
}
