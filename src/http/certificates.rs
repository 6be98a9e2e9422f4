//! `/certificates`, and the certificates of a key.

use super::{
    Services,
    body::{JsonBody, Segment},
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

pub(super) async fn add(
    State(services): State<Services>,
    Operator(caller): Operator,
    Segment(key): Segment,
    JsonBody(request): JsonBody<AddRequest>,
) -> Result<(StatusCode, Json<CertificateView>), Failure> {
    let view = add::add(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn self_sign(
    State(services): State<Services>,
    Operator(caller): Operator,
    Segment(key): Segment,
    JsonBody(request): JsonBody<SelfSignRequest>,
) -> Result<(StatusCode, Json<CertificateView>), Failure> {
    let view = self_sign::self_sign(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn list(State(services): State<Services>, _: Reader) -> Result<Json<Page<CertificateView>>, Failure> {
    Ok(Json(Page { items: list::all(&services.keys).await?, next: None }))
}

pub(super) async fn show(
    State(services): State<Services>,
    _: Reader,
    Segment(id): Segment,
) -> Result<Json<CertificateView>, Failure> {
    Ok(Json(list::find(&services.keys, &id).await?))
}
