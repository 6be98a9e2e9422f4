//! `/credentials`.

use super::{
    Services,
    body::{JsonBody, Segment},
    openapi::{Conflict, NotFound, TokenProblems},
    permit::{Administrator, Overseer},
    problem::Failure,
};
use crate::access::api::{AddCredentialAnswer, AddCredentialRequest, CredentialView};
use crate::certificates::client;
use crate::keys::{api::Page, scope};
use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
};

/// What forbids to keep an answer.
type NoStore = [(HeaderName, &'static str); 1];

/// Add a credential.
///
/// An API token, or with `csr` a client certificate. The token is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/credentials", tag = "credentials",
    request_body = AddCredentialRequest,
    responses((status = 201, body = AddCredentialAnswer), Conflict, NotFound, TokenProblems),
)]
pub(super) async fn add(
    State(services): State<Services>,
    Administrator(caller): Administrator,
    JsonBody(request): JsonBody<AddCredentialRequest>,
) -> Result<(StatusCode, NoStore, Json<AddCredentialAnswer>), Failure> {
    let (access, keys) = (&services.access, &services.keys);
    let draft = access.draft(&caller, &request, scope::resolve(keys, request.keys.as_deref()).await?)?;
    let answer = match &request.csr {
        Some(csr) => client::add(keys, access, &caller, (draft, csr)).await?,
        None => access.add_token(&caller, draft).await?,
    };
    // The token is shown once: no cache may keep it, and neither may the record of an Idempotency-Key.
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)))
}

/// List credentials.
#[utoipa::path(get, path = "/credentials", tag = "credentials", responses((status = 200, body = Page<CredentialView>)))]
pub(super) async fn list(State(services): State<Services>, _: Overseer) -> Json<Page<CredentialView>> {
    Json(Page { items: services.access.list(), next: None })
}

/// Show a credential.
#[utoipa::path(
    get, path = "/credentials/{credential}", tag = "credentials",
    params(("credential" = String, Path, description = "Name or id of a credential")),
    responses((status = 200, body = CredentialView)),
)]
pub(super) async fn show(
    State(services): State<Services>,
    _: Overseer,
    Segment(credential): Segment,
) -> Result<Json<CredentialView>, Failure> {
    Ok(Json(services.access.find(&credential)?))
}

/// Take a credential back.
///
/// From the next request on nobody is let in with it.
#[utoipa::path(
    delete, path = "/credentials/{credential}", tag = "credentials",
    params(("credential" = String, Path, description = "Name or id of a credential")),
    responses((status = 200, body = CredentialView), Conflict),
)]
pub(super) async fn revoke(
    State(services): State<Services>,
    Administrator(caller): Administrator,
    Segment(credential): Segment,
) -> Result<Json<CredentialView>, Failure> {
    Ok(Json(services.access.revoke(&caller, &credential).await?))
}
