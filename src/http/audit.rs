//! `/audit`. An export is sent as it is read, so that no log need fit into memory.

use super::{
    Services,
    body::{JsonBody, QueryOf},
    openapi::TokenProblems,
    permit::Reader,
    problem::Failure,
};
use crate::audit::{
    AuditError,
    api::{CheckpointAnswer, RecordFilter, RecordPage, VerifyReport, VerifyRequest},
    export::Export,
};
use crate::certificates::authority;
use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use http_body_util::channel::{Channel, Sender};

/// List audit records.
///
/// Newest first unless asked otherwise. Begin again with `after` set to `next` for the following page.
#[utoipa::path(
    get, path = "/audit/records", tag = "audit",
    params(RecordFilter),
    responses((status = 200, body = RecordPage)),
)]
pub(super) async fn records(
    State(services): State<Services>,
    _: Reader,
    QueryOf(filter): QueryOf<RecordFilter>,
) -> Result<Json<RecordPage>, Failure> {
    Ok(Json(services.audit().list(filter).await?))
}

/// Sign fresh checkpoints of both logs.
///
/// Keep them somewhere else: `audit verify --against` compares.
#[utoipa::path(
    post, path = "/audit/checkpoint", tag = "audit",
    responses((status = 200, body = CheckpointAnswer), TokenProblems),
)]
pub(super) async fn checkpoint(State(services): State<Services>, _: Reader) -> Result<Json<CheckpointAnswer>, Failure> {
    let signer = authority::audit_signer(&services.keys).await?;
    Ok(Json(services.audit().checkpoint(&signer).await?))
}

/// Export both logs.
///
/// JSON Lines: a header with checkpoints, then every record, the management log first (docs/audit-format.md).
#[utoipa::path(
    get, path = "/audit/export", tag = "audit",
    responses((status = 200, body = String, content_type = "application/jsonl"), TokenProblems),
)]
pub(super) async fn export(State(services): State<Services>, _: Reader) -> Result<Response, Failure> {
    let signer = authority::audit_signer(&services.keys).await?;
    let certificates = authority::audit_certificates(&services.keys).await?;
    let export = services.audit().export(&signer, &certificates).await?;
    let (sender, body) = Channel::new(PIECES_WAITING);
    tokio::spawn(send(export, sender));
    let json_lines = HeaderValue::from_static("application/jsonl");
    Ok(([(header::CONTENT_TYPE, json_lines)], Body::new(body)).into_response())
}

/// Check both logs.
///
/// Against their own checkpoints, and those that you bring.
#[utoipa::path(
    post, path = "/audit/verify", tag = "audit",
    request_body = VerifyRequest,
    responses((status = 200, body = VerifyReport)),
)]
pub(super) async fn verify(
    State(services): State<Services>,
    _: Reader,
    JsonBody(request): JsonBody<VerifyRequest>,
) -> Result<Json<VerifyReport>, Failure> {
    let certificates = authority::audit_certificates(&services.keys).await?;
    Ok(Json(services.audit().verify_live(certificates.as_bytes(), &request.against).await?))
}

/// Sends piece after piece; a log that cannot be read breaks the answer off, so that it is not taken for a whole one.
async fn send(mut export: Export, mut sender: Sender<Bytes, AuditError>) {
    loop {
        match export.next_piece().await {
            Ok(Some(piece)) => {
                if sender.send_data(piece.into()).await.is_err() {
                    // The reader has gone.
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "an export of the audit logs broke off");
                return sender.abort(error);
            }
        }
    }
}

/// Pieces that wait for a slow reader.
const PIECES_WAITING: usize = 2;
