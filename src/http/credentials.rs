//! `/credentials`.

use super::{
    Services,
    body::{JsonBody, Segment},
    permit::{Administrator, Overseer},
    problem::Failure,
};
use crate::access::api::{AddCredentialRequest, CredentialView};
use crate::certificates::client;
use crate::keys::{api::Page, scope};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

pub(super) async fn add(
    State(services): State<Services>,
    Administrator(caller): Administrator,
    JsonBody(request): JsonBody<AddCredentialRequest>,
) -> Result<Response, Failure> {
    let Services { access, keys, .. } = &services;
    let draft = access.draft(&caller, &request, scope::resolve(keys, &request.keys).await?)?;
    let answer = match &request.csr {
        Some(csr) => client::add(keys, access, &caller, (draft, csr)).await?,
        None => access.add_token(&caller, draft).await?,
    };
    // It may hold an API token, which is kept nowhere: no cache, and no claim of an `Idempotency-Key`.
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((StatusCode::CREATED, [no_store], Json(answer)).into_response())
}

pub(super) async fn list(State(services): State<Services>, _: Overseer) -> Json<Page<CredentialView>> {
    Json(Page { items: services.access.list(), next: None })
}

pub(super) async fn show(
    State(services): State<Services>,
    _: Overseer,
    Segment(credential): Segment,
) -> Result<Json<CredentialView>, Failure> {
    Ok(Json(services.access.find(&credential)?))
}

pub(super) async fn revoke(
    State(services): State<Services>,
    Administrator(caller): Administrator,
    Segment(credential): Segment,
) -> Result<Json<CredentialView>, Failure> {
    Ok(Json(services.access.revoke(&caller, &credential).await?))
}
