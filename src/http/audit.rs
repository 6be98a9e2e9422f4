//! `/audit`.

use super::{
    Services,
    body::{JsonBody, QueryOf},
    problem::Failure,
};
use crate::access::require;
use crate::audit::api::{CheckpointAnswer, RecordFilter, RecordPage, VerifyReport, VerifyRequest};
use crate::base::principal::{Caller, Role};
use crate::certificates::authority;
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

pub(super) async fn records(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    QueryOf(filter): QueryOf<RecordFilter>,
) -> Result<Json<RecordPage>, Failure> {
    require(&caller, READERS)?;
    Ok(Json(services.audit().list(filter).await?))
}

pub(super) async fn checkpoint(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<CheckpointAnswer>, Failure> {
    require(&caller, READERS)?;
    let signer = authority::audit_signer(&services.keys).await?;
    Ok(Json(services.audit().checkpoint(&signer).await?))
}

pub(super) async fn export(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Failure> {
    require(&caller, READERS)?;
    let signer = authority::audit_signer(&services.keys).await?;
    let certificates = authority::audit_certificates(&services.keys).await?;
    let mut export = services.audit().export(&signer, &certificates).await?;
    let mut lines = Vec::new();
    while let Some(piece) = export.next_piece().await? {
        lines.extend_from_slice(&piece);
    }
    let json_lines = HeaderValue::from_static("application/jsonl");
    Ok(([(header::CONTENT_TYPE, json_lines)], lines).into_response())
}

pub(super) async fn verify(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<VerifyRequest>,
) -> Result<Json<VerifyReport>, Failure> {
    require(&caller, READERS)?;
    let certificates = authority::audit_certificates(&services.keys).await?;
    Ok(Json(services.audit().verify_live(certificates.as_bytes(), &request.against).await?))
}

const READERS: &[Role] = &[Role::Admin, Role::Auditor, Role::Operator];
