//! `/token`, the instance's own, and `/tokens`, all of them.

use super::{
    Services,
    body::{JsonBody, Segment},
    openapi::TokenProblems,
    permit::{Administrator, Keeper, Reader},
    problem::Failure,
};
use crate::base::{fault::Report, secret::Secret};
use crate::keys::{KeyError, adopt, presence, probe, token_pin};
use crate::token::{
    Token, TokenError,
    address::TokenDescription,
    api::{
        Capabilities, ChangePinAnswer, ChangePinRequest, ComparisonView, ObjectList, SealAnswer, TokenList,
        TokenSummary, TokenView, UnlockRequest,
    },
};
use axum::{Json, extract::State};

/// Show the instance's own token and how it agrees with the inventory.
#[utoipa::path(get, path = "/token", tag = "token", responses((status = 200, body = TokenView), TokenProblems))]
pub(super) async fn home(State(services): State<Services>, _: Reader) -> Result<Json<TokenView>, Failure> {
    view(&services, services.keys.home()).await
}

/// List the tokens of the instance, the instance's own first.
///
/// One that is away is listed with the problem that it has.
#[utoipa::path(get, path = "/tokens", tag = "token", responses((status = 200, body = TokenList)))]
pub(super) async fn list(State(services): State<Services>, _: Reader) -> Json<TokenList> {
    let home = services.keys.home().label().to_owned();
    let mut looks = tokio::task::JoinSet::new();
    for (place, token) in services.keys.tokens.iter().cloned().enumerate() {
        looks.spawn(async move { (place, token.describe().await, token) });
    }
    let mut looks = looks.join_all().await;
    looks.sort_by_key(|(place, ..)| *place);
    let items = looks.into_iter().map(|(_, seen, token)| summary(&token, seen, &home)).collect();
    Json(TokenList { items, next: None })
}

/// Show a token and how it agrees with the inventory.
#[utoipa::path(
    get, path = "/tokens/{token}", tag = "token",
    params(("token" = String, Path, description = "Label of a token")),
    responses((status = 200, body = TokenView), TokenProblems),
)]
pub(super) async fn show(
    State(services): State<Services>,
    _: Reader,
    Segment(token): Segment,
) -> Result<Json<TokenView>, Failure> {
    view(&services, services.keys.token(&token)?).await
}

/// Try out what a token can do.
///
/// Makes, wraps and destroys scratch keys of every algorithm; takes some seconds.
#[utoipa::path(
    post, path = "/tokens/{token}/probe", tag = "token",
    params(("token" = String, Path, description = "Label of a token")),
    responses((status = 200, body = Capabilities), TokenProblems),
)]
pub(super) async fn probe(
    State(services): State<Services>,
    _: Keeper,
    Segment(token): Segment,
) -> Result<Json<Capabilities>, Failure> {
    Ok(Json(probe::probe(&services.keys, services.keys.token(&token)?).await?))
}

/// List the private keys in a token, whoever made them.
///
/// Each with its URI, what its attributes say, and which key of the inventory it is.
#[utoipa::path(
    get, path = "/tokens/{token}/objects", tag = "token",
    params(("token" = String, Path, description = "Label of a token")),
    responses((status = 200, body = ObjectList), TokenProblems),
)]
pub(super) async fn scan(
    State(services): State<Services>,
    _: Keeper,
    Segment(token): Segment,
) -> Result<Json<ObjectList>, Failure> {
    let items = adopt::scan(&services.keys, services.keys.token(&token)?).await?;
    Ok(Json(ObjectList { items, next: None }))
}

/// Give the PIN of a token.
///
/// The PIN is used until `seal` or the end of the process, whatever its source says. The token must take it; one that
/// it refused before is not sent to it.
#[utoipa::path(
    post, path = "/tokens/{token}/unlock", tag = "token",
    params(("token" = String, Path, description = "Label of a token")),
    request_body = UnlockRequest,
    responses((status = 200, body = SealAnswer), TokenProblems),
)]
pub(super) async fn unlock(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    Segment(token): Segment,
    JsonBody(request): JsonBody<UnlockRequest>,
) -> Result<Json<SealAnswer>, Failure> {
    let token = services.keys.token(&token)?;
    let pin = request.pin.map(|pin| Secret::new(pin.as_bytes().to_vec()));
    token_pin::unlock(&services.keys, &caller, token, pin).await?;
    Ok(sealing(token))
}

/// Take the PIN of a token away.
///
/// What its worker has begun it may finish; everything else is answered as `token-sealed` until `unlock`.
#[utoipa::path(
    post, path = "/tokens/{token}/seal", tag = "token",
    params(("token" = String, Path, description = "Label of a token")),
    responses((status = 200, body = SealAnswer), TokenProblems),
)]
pub(super) async fn seal(
    State(services): State<Services>,
    Keeper(caller): Keeper,
    Segment(token): Segment,
) -> Result<Json<SealAnswer>, Failure> {
    let token = services.keys.token(&token)?;
    token_pin::seal(&services.keys, &caller, token).await?;
    Ok(sealing(token))
}

/// Give a token a new user PIN.
///
/// Whoever is at work goes on. A PIN file of this service's user gets the new PIN as well; with any other source
/// somebody must put it there before the next start.
#[utoipa::path(
    post, path = "/tokens/{token}/pin", tag = "token",
    params(("token" = String, Path, description = "Label of a token")),
    request_body = ChangePinRequest,
    responses((status = 200, body = ChangePinAnswer), TokenProblems),
)]
pub(super) async fn change_pin(
    State(services): State<Services>,
    Administrator(caller): Administrator,
    Segment(token): Segment,
    JsonBody(request): JsonBody<ChangePinRequest>,
) -> Result<Json<ChangePinAnswer>, Failure> {
    let token = services.keys.token(&token)?;
    let new = Secret::new(request.new_pin.as_bytes().to_vec());
    Ok(Json(token_pin::change(&services.keys, &caller, token, new).await?))
}

fn sealing(token: &Token) -> Json<SealAnswer> {
    Json(SealAnswer { token: token.label().to_owned(), sealed: token.is_sealed() })
}

async fn view(services: &Services, token: &Token) -> Result<Json<TokenView>, Failure> {
    let comparison = presence::compare(&services.keys, token).await?;
    let description = token.describe().await.map_err(KeyError::from)?;
    Ok(Json(TokenView {
        label: description.label.clone(),
        uri: description.uri(),
        module: token.address().device.to_string(),
        manufacturer: description.manufacturer,
        model: description.model,
        serial: description.serial,
        firmware: description.firmware,
        keys: ComparisonView {
            present: comparison.present,
            missing: comparison.missing,
            replaced: comparison.replaced,
            unrecorded: comparison.unrecorded,
        },
    }))
}

fn summary(token: &Token, seen: Result<TokenDescription, TokenError>, home: &str) -> TokenSummary {
    let (uri, problem) = match seen {
        Ok(description) => (Some(description.uri()), None),
        Err(error) => (None, Some(Report::of(&error))),
    };
    TokenSummary {
        label: token.label().to_owned(),
        home: token.label() == home,
        module: token.address().device.to_string(),
        uri,
        problem,
    }
}
