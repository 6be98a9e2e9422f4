//! `/backups`, `/restores`, `/drills`, `/coverage`.

use super::{
    Services,
    body::{QueryOf, RawBody},
    commands::accepted,
    problem::Failure,
};
use crate::backup::{
    self,
    api::{BackupView, CoverageAnswer, DrillQuery, RestoreQuery, VerifyAnswer},
    coverage, drill, offline, restore, run,
};
use crate::base::principal::Caller;
use crate::keys::api::Page;
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

pub(super) async fn run(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Failure> {
    let (backups, by) = (services.backups.clone(), caller.clone());
    let work = |progress| async move { run::run(&backups, &by, &progress).await };
    Ok(accepted(services.commands.start(&caller, "backup.run", work).await?))
}

pub(super) async fn list(State(services): State<Services>) -> Result<Json<Page<BackupView>>, Failure> {
    Ok(Json(Page { items: backup::list(&services.keys.db).await?, next: None }))
}

pub(super) async fn show(
    State(services): State<Services>,
    Path(sequence): Path<String>,
) -> Result<Json<BackupView>, Failure> {
    Ok(Json(backup::find(&services.keys.db, &sequence).await?))
}

pub(super) async fn archive(
    State(services): State<Services>,
    Path(sequence): Path<String>,
) -> Result<Response, Failure> {
    let bytes = stored(&services, &sequence).await?;
    let tar = HeaderValue::from_static("application/x-tar");
    Ok(([(header::CONTENT_TYPE, tar)], bytes).into_response())
}

pub(super) async fn verify(
    State(services): State<Services>,
    Path(sequence): Path<String>,
) -> Result<Json<VerifyAnswer>, Failure> {
    Ok(Json(offline::verify(&stored(&services, &sequence).await?)?))
}

pub(super) async fn restore(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    QueryOf(query): QueryOf<RestoreQuery>,
    RawBody(body): RawBody,
) -> Result<Response, Failure> {
    let (backups, by) = (services.backups.clone(), caller.clone());
    let work = |progress| async move { restore::restore(&backups, &by, &query, body, &progress).await };
    Ok(accepted(services.commands.start(&caller, "backup.restore", work).await?))
}

pub(super) async fn drill(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    QueryOf(query): QueryOf<DrillQuery>,
    RawBody(body): RawBody,
) -> Result<Response, Failure> {
    let (backups, by) = (services.backups.clone(), caller.clone());
    let work = |progress| async move { drill::drill(&backups, &by, &query, body, &progress).await };
    Ok(accepted(services.commands.start(&caller, "backup.drill", work).await?))
}

pub(super) async fn coverage(State(services): State<Services>) -> Result<Json<CoverageAnswer>, Failure> {
    Ok(Json(coverage::coverage(&services.backups).await?))
}

async fn stored(services: &Services, sequence: &str) -> Result<Vec<u8>, Failure> {
    let backup = backup::find(&services.keys.db, sequence).await?;
    Ok(services.backups.destination.read(&backup.name)?)
}
