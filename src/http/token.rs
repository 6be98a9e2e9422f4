//! `/token`.

use super::{
    Services,
    openapi::TokenProblems,
    permit::{Keeper, Reader},
    problem::Failure,
};
use crate::keys::{probe, recover};
use crate::token::api::{Capabilities, ComparisonView, TokenView};
use axum::{Json, extract::State};

/// Show the token and how it agrees with the inventory.
#[utoipa::path(get, path = "/token", tag = "token", responses((status = 200, body = TokenView), TokenProblems))]
pub(super) async fn show(State(services): State<Services>, _: Reader) -> Result<Json<TokenView>, Failure> {
    let token = services.keys.home();
    let comparison = recover::compare(&services.keys).await?;
    let description = token.describe().await?;
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

/// Try out what the token can do.
///
/// Makes, wraps and destroys scratch keys of every algorithm; takes some seconds.
#[utoipa::path(
    post, path = "/token/probe", tag = "token",
    responses((status = 200, body = Capabilities), TokenProblems),
)]
pub(super) async fn probe(State(services): State<Services>, _: Keeper) -> Result<Json<Capabilities>, Failure> {
    Ok(Json(probe::probe(&services.keys).await?))
}
