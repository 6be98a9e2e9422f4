//! Bodies and queries, with our own word for what cannot be read.

use super::{HttpError, problem::Failure};
use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Json::from_request(request, state).await;
        let Json(value) = body.map_err(|error| HttpError::Malformed { cause: error.body_text() })?;
        Ok(Self(value))
    }
}

/// A query string.
pub(super) struct QueryOf<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(value) = query.map_err(|error| HttpError::Malformed { cause: error.body_text() })?;
        Ok(Self(value))
    }
}

/// A body of any bytes.
pub(super) struct RawBody(pub(super) Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let body = Bytes::from_request(request, state).await;
        let bytes = body.map_err(|error| HttpError::Malformed { cause: error.body_text() })?;
        Ok(Self(bytes.to_vec()))
    }
}
