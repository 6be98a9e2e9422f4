//! Bodies, queries and paths, with our own word for what cannot be read. That word never repeats a value: bodies
//! hold shares and passphrases.

use super::{HttpError, problem::Failure};
use axum::{
    RequestExt as _, RequestPartsExt as _,
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt as _, LengthLimitError};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::{error::Error, time::Duration};
use tokio::time::{error::Elapsed, timeout};

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            return Err(malformed("the body's Content-Type is not application/json"));
        }
        let bytes = timeout(WHOLE_WITHIN, Bytes::from_request(request, state)).await.map_err(too_slow)?;
        let bytes = bytes.map_err(|rejection| unread(&rejection))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| malformed(shape(&error)))
    }
}

/// A query string.
pub(super) struct QueryOf<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(value) = query.map_err(|error| {
            // Before serde's words stand axum's, and the parameter's name.
            let text = error.body_text();
            let field = text.splitn(3, ": ").nth(2).and_then(field_of).unwrap_or_default();
            malformed(format!("the query has an unknown parameter, or a value of the wrong type{field}"))
        })?;
        Ok(Self(value))
    }
}

/// The one part of a path that a route leaves open.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let path = parts.extract::<Path<String>>().await;
        path.map(|Path(text)| Self(text)).map_err(|_| malformed("the path is not percent-encoded UTF-8"))
    }
}

/// A body of any bytes.
pub(super) struct RawBody(pub(super) Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let mut body = request.with_limited_body().into_body();
        let mut bytes = Vec::new();
        while let Some(piece) = next_piece(&mut body).await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Self(bytes))
    }
}

/// The next bytes of a body that has to keep arriving; none at its end.
pub(super) async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    let frame = timeout(SILENCE, body.frame()).await.map_err(too_slow)?;
    let frame = frame.transpose().map_err(|error| broken_off(&error))?;
    // Trailers are nothing to us.
    Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn too_slow(_: Elapsed) -> Failure {
    HttpError::TooSlow.into()
}

fn unread(rejection: &BytesRejection) -> Failure {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return HttpError::TooLarge.into();
    }
    malformed("the body broke off")
}

fn broken_off(error: &axum::Error) -> Failure {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    if causes.any(|cause| cause.is::<LengthLimitError>()) {
        return HttpError::TooLarge.into();
    }
    malformed("the body broke off")
}

/// What is wrong with a JSON text and where, in our words: serde's repeat the value.
fn shape(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "a field is unknown or missing, or a value is of the wrong type",
        Category::Eof => "the JSON text breaks off",
        Category::Io | Category::Syntax => "this is not JSON",
    };
    let field = field_of(&error.to_string()).unwrap_or_default();
    format!("line {}, column {}: {what}{field}", error.line(), error.column())
}

/// The name in serde's "unknown field" and "missing field"; only what could be a name of ours.
fn field_of(text: &str) -> Option<String> {
    let (kind, name) = ["unknown field", "missing field"].iter().find_map(|kind| {
        // At its beginning: further in, the words could be part of a value.
        let rest = text.strip_prefix(kind)?.strip_prefix(" `")?;
        Some((kind, rest.split('`').next()?))
    })?;
    let is_name = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then(|| format!(" ({kind} `{name}`)"))
}

fn malformed(cause: impl Into<String>) -> Failure {
    HttpError::Malformed { cause: cause.into() }.into()
}

/// A JSON body has to be there by then.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);
/// An archive may pause for as long.
const SILENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceremony::api::RecoverRequest;
    use crate::export::api::ExportRequest;

    fn told<T: DeserializeOwned>(text: &str) -> String {
        serde_json::from_str::<T>(text).map(|_| ()).map_err(|error| shape(&error)).unwrap_err()
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_without_its_values() {
        let wrong = "a field is unknown or missing, or a value is of the wrong type";

        assert_eq!(told::<RecoverRequest>(r#"{"shares":"33 words"}"#), format!("line 1, column 20: {wrong}"));
        let number = r#"{"key":"web","format":"pem","passphrase":12345678}"#;
        assert_eq!(told::<ExportRequest>(number), format!("line 1, column 49: {wrong}"));
        let variant = r#"{"key":"web","format":"hunter22"}"#;
        assert!(!told::<ExportRequest>(variant).contains("hunter22"));
        assert_eq!(told::<RecoverRequest>("{\"shares\":[\n"), "line 2, column 0: the JSON text breaks off");
        assert_eq!(told::<RecoverRequest>("shares"), "line 1, column 1: this is not JSON");
    }

    #[test]
    fn an_unknown_or_missing_field_is_named_if_it_can_be_a_name() {
        let wrong = "a field is unknown or missing, or a value is of the wrong type";

        let unknown = told::<RecoverRequest>(r#"{"share_files":[]}"#);
        assert_eq!(unknown, format!("line 1, column 14: {wrong} (unknown field `share_files`)"));
        assert_eq!(told::<RecoverRequest>("{}"), format!("line 1, column 2: {wrong} (missing field `shares`)"));
        assert!(!told::<RecoverRequest>(r#"{"academic acid acrobat":1}"#).contains("acid"));
    }
}
