//! `/commands`: how far long work is.

use super::{
    HttpError, Services,
    body::{QueryOf, Segment},
    permit::Reader,
    problem::Failure,
};
use crate::base::ids::CommandId;
use crate::commands::api::{CommandQuery, CommandView};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use std::time::Duration;

/// Show how far long work is.
///
/// With `wait_ms`, the answer waits until there is more progress than `seen`, or an end.
#[utoipa::path(
    get, path = "/commands/{id}", tag = "commands",
    params(("id" = CommandId, Path, description = "Id of a command"), CommandQuery),
    responses((status = 200, body = CommandView)),
)]
pub(super) async fn show(
    State(services): State<Services>,
    _: Reader,
    Segment(id): Segment,
    QueryOf(query): QueryOf<CommandQuery>,
) -> Result<Json<CommandView>, Failure> {
    let id = id.parse().map_err(|_| HttpError::Malformed { cause: format!("`{id}` is not a command's id") })?;
    let wait = Duration::from_millis(query.wait_ms.min(LONGEST_WAIT_MS));
    Ok(Json(services.commands.show(id, query.seen, wait).await?))
}

/// 202, with the command and where to look at it.
pub(super) fn accepted(command: CommandView) -> Response {
    let location = HeaderValue::from_str(&format!("/api/v1/commands/{}", command.id));
    let mut response = (StatusCode::ACCEPTED, Json(command)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

const LONGEST_WAIT_MS: u64 = 30_000;
