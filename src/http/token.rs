//! `/token`.

use super::{Services, problem::Failure};
use crate::access::require;
use crate::base::principal::{Caller, Role};
use crate::keys::{probe, recover};
use crate::token::api::{Capabilities, ComparisonView, TokenView};
use axum::{Extension, Json, extract::State};

pub(super) async fn show(State(services): State<Services>) -> Result<Json<TokenView>, Failure> {
    let token = &services.keys.token;
    let comparison = recover::compare(&services.keys).await?;
    let description = token.describe().await?;
    Ok(Json(TokenView {
        label: description.label.clone(),
        uri: description.uri(),
        module: token.address().module.display().to_string(),
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

pub(super) async fn probe(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Capabilities>, Failure> {
    require(&caller, &[Role::Operator, Role::Admin])?;
    Ok(Json(probe::probe(&services.keys).await?))
}
