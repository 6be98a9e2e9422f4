//! `/certificates`, and the certificates of a key.

use super::{Services, body::JsonBody, problem::Failure};
use crate::base::{ids::KeySelector, principal::Caller};
use crate::certificates::{
    add,
    api::{AddRequest, CertificateView, SelfSignRequest},
    list, self_sign,
};
use crate::keys::api::Page;
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
};

pub(super) async fn add(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    JsonBody(request): JsonBody<AddRequest>,
) -> Result<(StatusCode, Json<CertificateView>), Failure> {
    let view = add::add(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn self_sign(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Path(key): Path<String>,
    JsonBody(request): JsonBody<SelfSignRequest>,
) -> Result<(StatusCode, Json<CertificateView>), Failure> {
    let view = self_sign::self_sign(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn list(State(services): State<Services>) -> Result<Json<Page<CertificateView>>, Failure> {
    Ok(Json(Page { items: list::all(&services.keys).await?, next: None }))
}

pub(super) async fn show(
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<CertificateView>, Failure> {
    Ok(Json(list::find(&services.keys, &id).await?))
}
