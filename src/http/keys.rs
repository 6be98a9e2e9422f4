//! `/keys`.

use super::{
    Services,
    body::{JsonBody, QueryOf, Segment},
    permit::KeyReader,
    problem::Failure,
};
use crate::base::{ids::KeySelector, principal::Caller};
use crate::certificates::ids_of;
use crate::keys::{
    KeyRecord,
    api::{CsrRequest, DestroyAnswer, GenerateRequest, KeyView, Page, PageQuery, PemAnswer, SignAnswer, SignRequest},
    csr, destroy, generate, list, scope, sign,
};
use axum::{Extension, Json, extract::State, http::StatusCode};

pub(super) async fn generate(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<GenerateRequest>,
) -> Result<(StatusCode, Json<KeyView>), Failure> {
    let record = generate::generate(&services.keys, &caller, request).await?;
    Ok((StatusCode::CREATED, Json(record.view(Vec::new()))))
}

pub(super) async fn list(
    State(services): State<Services>,
    KeyReader(caller): KeyReader,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<Page<KeyView>>, Failure> {
    let (records, next) = list::page(&services.keys, &caller, &query).await?;
    let mut items = Vec::with_capacity(records.len());
    for record in records {
        items.push(view(&services, record).await?);
    }
    Ok(Json(Page { items, next }))
}

pub(super) async fn show(
    State(services): State<Services>,
    KeyReader(caller): KeyReader,
    Segment(key): Segment,
) -> Result<Json<KeyView>, Failure> {
    let record = scope::find(&services.keys, &caller, &KeySelector::from(key.as_str())).await?;
    Ok(Json(view(&services, record).await?))
}

pub(super) async fn public(
    State(services): State<Services>,
    KeyReader(caller): KeyReader,
    Segment(key): Segment,
) -> Result<Json<PemAnswer>, Failure> {
    let record = scope::find(&services.keys, &caller, &KeySelector::from(key.as_str())).await?;
    Ok(Json(PemAnswer { pem: record.public_key_pem }))
}

pub(super) async fn csr(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(request): JsonBody<CsrRequest>,
) -> Result<Json<PemAnswer>, Failure> {
    let pem = csr::build(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok(Json(PemAnswer { pem }))
}

pub(super) async fn sign(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(request): JsonBody<SignRequest>,
) -> Result<Json<SignAnswer>, Failure> {
    Ok(Json(sign::sign(&services.keys, &caller, &KeySelector::from(key.as_str()), request).await?))
}

pub(super) async fn destroy(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
) -> Result<Json<DestroyAnswer>, Failure> {
    Ok(Json(destroy::destroy(&services.keys, &caller, &KeySelector::from(key.as_str())).await?))
}

async fn view(services: &Services, record: KeyRecord) -> Result<KeyView, Failure> {
    let certificates = ids_of(&services.keys, record.id).await?;
    Ok(record.view(certificates))
}
