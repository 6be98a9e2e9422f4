//! `/exports`: the body of the answer is the file, its record is in the header `Keyward-Export`.

use super::{HttpError, Services, body::JsonBody, problem::Failure};
use crate::base::principal::Caller;
use crate::export::{
    self,
    api::{ExportRequest, ExportView},
};
use crate::keys::api::Page;
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

pub(super) async fn create(
    State(services): State<Services>,
    Extension(caller): Extension<Caller>,
    JsonBody(request): JsonBody<ExportRequest>,
) -> Result<Response, Failure> {
    let (file, view) = export::create(&services.keys, &caller, request).await?;
    let mut response = (StatusCode::CREATED, file).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(RECORD), record(&view)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(super) async fn list(State(services): State<Services>) -> Result<Json<Page<ExportView>>, Failure> {
    Ok(Json(Page { items: export::list(&services.keys.db).await?, next: None }))
}

pub(super) async fn show(
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<ExportView>, Failure> {
    Ok(Json(export::find(&services.keys.db, &id).await?))
}

/// The record in one line of ASCII: what JSON lets stand as it is, a header does not.
fn record(view: &ExportView) -> Result<HeaderValue, HttpError> {
    let malformed = |cause: String| HttpError::Malformed { cause };
    let json = serde_json::to_string(view).map_err(|error| malformed(error.to_string()))?;
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    HeaderValue::from_str(&ascii).map_err(|error| malformed(error.to_string()))
}

const RECORD: &str = "keyward-export";
