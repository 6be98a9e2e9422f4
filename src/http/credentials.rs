//! `/credentials`.

use super::{
    Services,
    body::{JsonBody, Segment},
    permit::{Administrator, Overseer},
    problem::Failure,
};
use crate::access::api::{AddCredentialAnswer, AddCredentialRequest, CredentialView};
use crate::certificates::client;
use crate::keys::{api::Page, scope};
use axum::{Json, extract::State, http::StatusCode};

pub(super) async fn add(
    State(services): State<Services>,
    Administrator(caller): Administrator,
    JsonBody(request): JsonBody<AddCredentialRequest>,
) -> Result<(StatusCode, Json<AddCredentialAnswer>), Failure> {
    let Services { access, keys, .. } = &services;
    let draft = access.draft(&caller, &request, scope::resolve(keys, &request.keys).await?)?;
    let answer = match &request.csr {
        Some(csr) => client::add(keys, access, &caller, (draft, csr)).await?,
        None => access.add_token(&caller, draft).await?,
    };
    Ok((StatusCode::CREATED, Json(answer)))
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
