//! `/certificates`, and the certificates of a key.

use super::{
    Services,
    body::{JsonBody, Segment},
    openapi::{Conflict, TokenProblems},
    permit::{Operator, Reader},
    problem::Failure,
};
use crate::base::ids::KeySelector;
use crate::certificates::{
    add,
    api::{AddRequest, CertificateView, SelfSignRequest},
    list, self_sign,
};
use crate::keys::api::Page;
use axum::{Json, extract::State, http::StatusCode};

/// Attach a certificate to its key.
#[utoipa::path(
    post, path = "/keys/{key}/certificates", tag = "certificates",
    params(("key" = String, Path, description = "Label or id of a key")),
    request_body = AddRequest,
    responses((status = 201, body = CertificateView), Conflict, TokenProblems),
)]
pub(super) async fn add(
    State(services): State<Services>,
    Operator(caller): Operator,
    Segment(key): Segment,
    JsonBody(request): JsonBody<AddRequest>,
) -> Result<(StatusCode, Json<CertificateView>), Failure> {
    let view = add::add(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Make a self-signed certificate and attach it.
#[utoipa::path(
    post, path = "/keys/{key}/self-signed", tag = "certificates",
    params(("key" = String, Path, description = "Label or id of a key")),
    request_body = SelfSignRequest,
    responses((status = 201, body = CertificateView), Conflict, TokenProblems),
)]
pub(super) async fn self_sign(
    State(services): State<Services>,
    Operator(caller): Operator,
    Segment(key): Segment,
    JsonBody(request): JsonBody<SelfSignRequest>,
) -> Result<(StatusCode, Json<CertificateView>), Failure> {
    let view = self_sign::self_sign(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// List certificates.
#[utoipa::path(
    get, path = "/certificates", tag = "certificates",
    responses((status = 200, body = Page<CertificateView>)),
)]
pub(super) async fn list(State(services): State<Services>, _: Reader) -> Result<Json<Page<CertificateView>>, Failure> {
    Ok(Json(Page { items: list::all(&services.keys).await?, next: None }))
}

/// Show a certificate.
#[utoipa::path(
    get, path = "/certificates/{id}", tag = "certificates",
    params(("id" = String, Path, description = "Id of a certificate: SHA-256 of its DER")),
    responses((status = 200, body = CertificateView)),
)]
pub(super) async fn show(
    State(services): State<Services>,
    _: Reader,
    Segment(id): Segment,
) -> Result<Json<CertificateView>, Failure> {
    Ok(Json(list::find(&services.keys, &id).await?))
}
