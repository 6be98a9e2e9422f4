//! `/ceremonies` and `/keks`.

use super::{Services, body::JsonBody, problem::Failure};
use crate::base::principal::Caller;
use crate::ceremony::{
    api::{ImportAnswer, RecoverRequest, RecoveryView},
    provisional::supersede,
    recover,
};
use crate::keys::{
    api::{KekView, Page},
    keks,
};
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
};

pub(super) async fn put_together(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<RecoverRequest>,
) -> Result<(StatusCode, Json<RecoveryView>), Failure> {
    Ok((StatusCode::CREATED, Json(services.backups.recoveries.put_together(&caller, &request)?)))
}

pub(super) async fn import(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Path(recovery): Path<String>,
) -> Result<Json<ImportAnswer>, Failure> {
    let file = services.backups.recoveries.take(&recovery)?;
    let records = recover::import(&services.keys, &caller, &file.secret).await?;
    supersede(&services.backups.directory, &file.secret);
    Ok(Json(ImportAnswer { keks: records.into_iter().map(keks::KekRecord::view).collect() }))
}

pub(super) async fn keks(State(services): State<Services>) -> Result<Json<Page<KekView>>, Failure> {
    let items = keks::all(&services.keys).await?.into_iter().map(keks::KekRecord::view).collect();
    Ok(Json(Page { items, next: None }))
}
