//! `/backups`, `/restores`, `/drills`, `/coverage`.

use super::{
    Services,
    body::{QueryOf, RawBody, Segment},
    commands::accepted,
    line::Place,
    permit::{Keeper, Operator, Reader},
    problem::Failure,
};
use crate::audit::{ObjectRef, Verdict};
use crate::backup::{
    self,
    api::{BackupView, CoverageAnswer, DrillQuery, RestoreQuery, VerifyAnswer},
    coverage, drill, offline, restore, run,
};
use crate::commands::{api::CommandView, aside};
use crate::keys::api::Page;
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

/// Start a backup.
///
/// One backup, restore or drill is at work at a time and one waits; further ones are answered 503. The result of the command is a `BackupView`.
#[utoipa::path(post, path = "/backups", tag = "backups", responses((status = 202, body = CommandView)))]
pub(super) async fn run(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    place: Place,
) -> Result<Response, Failure> {
    let (backups, by) = (services.backups.clone(), caller.clone());
    let work = |progress| async move {
        let _place = place;
        run::run(&backups, &by, &progress).await
    };
    Ok(accepted(services.commands.start(&caller, "backup.run", work).await?))
}

/// List backups.
///
/// All on one page, newest first.
#[utoipa::path(get, path = "/backups", tag = "backups", responses((status = 200, body = Page<BackupView>)))]
pub(super) async fn list(State(services): State<Services>, _: Reader) -> Result<Json<Page<BackupView>>, Failure> {
    Ok(Json(Page { items: backup::list(&services.keys.db).await?, next: None }))
}

/// Show a backup.
#[utoipa::path(
    get, path = "/backups/{sequence}", tag = "backups",
    params(("sequence" = String, Path, description = "Number of the backup")),
    responses((status = 200, body = BackupView)),
)]
pub(super) async fn show(
    State(services): State<Services>,
    _: Reader,
    Segment(sequence): Segment,
) -> Result<Json<BackupView>, Failure> {
    Ok(Json(backup::find(&services.keys.db, &sequence).await?))
}

/// Download an archive.
///
/// A tar file as docs/backup-format.md describes it. It leaves keyward's sight with the answer, so it is recorded who
/// took it.
#[utoipa::path(
    get, path = "/backups/{sequence}/archive", tag = "backups",
    params(("sequence" = String, Path, description = "Number of the backup")),
    responses((status = 200, body = Vec<u8>, content_type = "application/x-tar")),
)]
pub(super) async fn archive(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    Segment(sequence): Segment,
) -> Result<Response, Failure> {
    let (backup, bytes) = stored(&services, &sequence).await?;
    let object = ObjectRef::new("backup", backup.id, &backup.name);
    let verdict = Verdict::ok(json!({ "sequence": backup.sequence, "sha256": backup.sha256 }));
    services.audit().event(&caller, "backup.download", &object, verdict).await?;
    let tar = HeaderValue::from_static("application/x-tar");
    Ok(([(header::CONTENT_TYPE, tar)], bytes).into_response())
}

/// Check the hashes and the signature of an archive.
#[utoipa::path(
    post, path = "/backups/{sequence}/verify", tag = "backups",
    params(("sequence" = String, Path, description = "Number of the backup")),
    responses((status = 200, body = VerifyAnswer)),
)]
pub(super) async fn verify(
    State(services): State<Services>,
    _: Reader,
    Segment(sequence): Segment,
) -> Result<Json<VerifyAnswer>, Failure> {
    let (_, bytes) = stored(&services, &sequence).await?;
    Ok(Json(aside(async move { offline::verify(&bytes) }).await?))
}

/// Start a restore.
///
/// The body is the archive, at most 256 MiB; it is empty with `latest=true`. The result of the command is a `RestoreAnswer`.
#[utoipa::path(
    post, path = "/restores", tag = "backups",
    params(RestoreQuery),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 202, body = CommandView)),
)]
pub(super) async fn restore(
    State(services): State<Services>,
    Operator(caller): Operator,
    QueryOf(query): QueryOf<RestoreQuery>,
    place: Place,
    RawBody(body): RawBody,
) -> Result<Response, Failure> {
    let (backups, by) = (services.backups.clone(), caller.clone());
    let work = |progress| async move {
        let _place = place;
        restore::restore(&backups, &by, &query, body, &progress).await
    };
    Ok(accepted(services.commands.start(&caller, "backup.restore", work).await?))
}

/// Start a drill: prove that the keys of an archive come back.
///
/// The body is the archive, at most 256 MiB; it is empty with `latest=true`. The result of the command is a `DrillAnswer`.
#[utoipa::path(
    post, path = "/drills", tag = "backups",
    params(DrillQuery),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 202, body = CommandView)),
)]
pub(super) async fn drill(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    QueryOf(query): QueryOf<DrillQuery>,
    place: Place,
    RawBody(body): RawBody,
) -> Result<Response, Failure> {
    let (backups, by) = (services.backups.clone(), caller.clone());
    let work = |progress| async move {
        let _place = place;
        drill::drill(&backups, &by, &query, body, &progress).await
    };
    Ok(accepted(services.commands.start(&caller, "backup.drill", work).await?))
}

/// Show how well each key is covered by backups and drills.
#[utoipa::path(get, path = "/coverage", tag = "backups", responses((status = 200, body = CoverageAnswer)))]
pub(super) async fn coverage(State(services): State<Services>, _: Reader) -> Result<Json<CoverageAnswer>, Failure> {
    Ok(Json(coverage::coverage(&services.backups).await?))
}

async fn stored(services: &Services, sequence: &str) -> Result<(BackupView, Vec<u8>), Failure> {
    let backup = backup::find(&services.keys.db, sequence).await?;
    let bytes = services.backups.destination.read(&backup.name)?;
    Ok((backup, bytes))
}
