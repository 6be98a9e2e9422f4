//! `/keys`.

use super::{
    Services,
    body::{JsonBody, QueryOf, Segment},
    openapi::{Conflict, NotFound, TokenProblems},
    permit::KeyReader,
    problem::Failure,
};
use crate::base::{ids::KeySelector, principal::Caller};
use crate::certificates::ids_of;
use crate::keys::{
    KeyRecord, adopt,
    api::{
        AdoptRequest, AttestationView, CsrRequest, DestroyAnswer, GenerateRequest, KeyView, Page, PageQuery, PemAnswer,
        SignAnswer, SignRequest,
    },
    csr, destroy, generate, list, scope, sign, slots,
};
use axum::{Extension, Json, extract::State, http::StatusCode};

/// Generate a key in the token.
#[utoipa::path(
    post, path = "/keys", tag = "keys",
    request_body = GenerateRequest,
    responses((status = 201, body = KeyView), Conflict, TokenProblems),
)]
pub(super) async fn generate(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<GenerateRequest>,
) -> Result<(StatusCode, Json<KeyView>), Failure> {
    let record = generate::generate(&services.keys, &caller, request).await?;
    Ok((StatusCode::CREATED, Json(view(&services, record).await?)))
}

/// Take a key of another program into the inventory.
///
/// Its object stays as it is. The key proves its public key by a signature.
#[utoipa::path(
    post, path = "/adoptions", tag = "keys",
    request_body = AdoptRequest,
    responses((status = 201, body = KeyView), Conflict, NotFound, TokenProblems),
)]
pub(super) async fn adopt(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<AdoptRequest>,
) -> Result<(StatusCode, Json<KeyView>), Failure> {
    let record = adopt::adopt(&services.keys, &caller, request).await?;
    Ok((StatusCode::CREATED, Json(view(&services, record).await?)))
}

/// List keys.
///
/// By label. Begin again with `after` set to `next` for the following page.
#[utoipa::path(get, path = "/keys", tag = "keys", params(PageQuery), responses((status = 200, body = Page<KeyView>)))]
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

/// Show a key.
#[utoipa::path(
    get, path = "/keys/{key}", tag = "keys",
    params(("key" = String, Path, description = "Label or id of a key")),
    responses((status = 200, body = KeyView)),
)]
pub(super) async fn show(
    State(services): State<Services>,
    KeyReader(caller): KeyReader,
    Segment(key): Segment,
) -> Result<Json<KeyView>, Failure> {
    let record = scope::find(&services.keys, &caller, &KeySelector::from(key.as_str())).await?;
    Ok(Json(view(&services, record).await?))
}

/// Show the public key as PEM.
#[utoipa::path(
    get, path = "/keys/{key}/public", tag = "keys",
    params(("key" = String, Path, description = "Label or id of a key")),
    responses((status = 200, body = PemAnswer)),
)]
pub(super) async fn public(
    State(services): State<Services>,
    KeyReader(caller): KeyReader,
    Segment(key): Segment,
) -> Result<Json<PemAnswer>, Failure> {
    let record = scope::find(&services.keys, &caller, &KeySelector::from(key.as_str())).await?;
    Ok(Json(PemAnswer { pem: record.public_key_pem }))
}

/// Make a certificate signing request (PKCS#10).
#[utoipa::path(
    post, path = "/keys/{key}/csr", tag = "keys",
    params(("key" = String, Path, description = "Label or id of a key")),
    request_body = CsrRequest,
    responses((status = 200, body = PemAnswer), Conflict, TokenProblems),
)]
pub(super) async fn csr(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(request): JsonBody<CsrRequest>,
) -> Result<Json<PemAnswer>, Failure> {
    let pem = csr::build(&services.keys, &caller, &KeySelector::from(key.as_str()), &request).await?;
    Ok(Json(PemAnswer { pem }))
}

/// Sign 1 to 64 digests or messages.
///
/// Either `digests`, of the length that the algorithm asks for, or `messages`; not both, and at least one. One request with 16 digests is far cheaper than 16 requests.
#[utoipa::path(
    post, path = "/keys/{key}/sign", tag = "keys",
    params(("key" = String, Path, description = "Label or id of a key")),
    request_body = SignRequest,
    responses((status = 200, body = SignAnswer), Conflict, TokenProblems),
)]
pub(super) async fn sign(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
    JsonBody(request): JsonBody<SignRequest>,
) -> Result<Json<SignAnswer>, Failure> {
    let (algorithm, count) = (request.algorithm, request.digests.len() + request.messages.len());
    match sign::sign(&services.keys, &caller, &KeySelector::from(key.as_str()), request).await {
        Ok(answer) => {
            services.meters.signed(answer.algorithm, count);
            Ok(Json(answer))
        }
        Err(error) => {
            services.meters.not_signed(algorithm, count, &error);
            Err(error.into())
        }
    }
}

/// Show what the device attested of a key.
///
/// Only a YubiKey attests keys, those that it made. What it said is kept with the key; it is asked if it was not yet.
#[utoipa::path(
    get, path = "/keys/{key}/attestation", tag = "keys",
    params(("key" = String, Path, description = "Label or id of a key")),
    responses((status = 200, body = AttestationView), TokenProblems),
)]
pub(super) async fn attestation(
    State(services): State<Services>,
    KeyReader(caller): KeyReader,
    Segment(key): Segment,
) -> Result<Json<AttestationView>, Failure> {
    Ok(Json(slots::attest::attest(&services.keys, &caller, &KeySelector::from(key.as_str())).await?))
}

/// Destroy a key in the token.
///
/// Copies in archives and exports stay; the answer names them.
#[utoipa::path(
    delete, path = "/keys/{key}", tag = "keys",
    params(("key" = String, Path, description = "Label or id of a key")),
    responses((status = 200, body = DestroyAnswer), Conflict, TokenProblems),
)]
pub(super) async fn destroy(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    Segment(key): Segment,
) -> Result<Json<DestroyAnswer>, Failure> {
    Ok(Json(destroy::destroy(&services.keys, &caller, &KeySelector::from(key.as_str())).await?))
}

async fn view(services: &Services, record: KeyRecord) -> Result<KeyView, Failure> {
    let certificates = ids_of(&services.keys, record.id).await?;
    let adoption = adopt::adoption(&services.keys, &record).await?;
    let piv = slots::view(&services.keys, &record).await?;
    Ok(KeyView { adoption, piv, ..record.view(certificates) })
}
