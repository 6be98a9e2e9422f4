//! A typed client of our own API, over whatever carries its requests.
//!
//! `calls` has one method a route. The carrier is given: the router in this process, a [`socket`] or [`https`];
//! nothing that calls a method can tell which it is.

mod activity;
pub mod api_token;
mod calls;
pub mod error;
mod exchange;
pub mod fingerprint;
pub mod https;
pub mod local;
pub mod login;
pub mod socket;
mod trust;
pub mod url;

pub use error::ClientError;
pub use local::LocalError;

use crate::commands::api::{CommandState, CommandView, ProgressView};
use ::http::{Method, Request, Response, header};
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, pin::Pin};

/// Carries a request to the API and its answer back.
pub trait Carrier: Send + Sync {
    /// Sends one request.
    fn carry(&self, request: Request<Vec<u8>>) -> Carried<'_>;
}

/// The answer to come.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, ClientError>> + Send + 'a>>;

/// The client.
pub struct Client {
    carrier: Box<dyn Carrier>,
}

impl Client {
    /// A client over this carrier.
    #[must_use]
    pub fn new(carrier: impl Carrier + 'static) -> Self {
        Self { carrier: Box::new(carrier) }
    }

    /// Waits until a command has ended, and tells of its progress.
    ///
    /// # Errors
    /// The command failed, or its result is not what was expected.
    pub async fn outcome<T: DeserializeOwned>(
        &self,
        command: CommandView,
        mut tell: impl FnMut(ProgressView),
    ) -> Result<T, ClientError> {
        let mut command = command;
        while command.state == CommandState::Running {
            tell(command.progress);
            let path = format!("/commands/{}?seen={}&wait_ms={WAIT_MS}", command.id, command.progress.done);
            command = self.get(&path).await?;
        }
        match (command.result, command.problem) {
            (Some(result), _) => serde_json::from_value(result).map_err(ClientError::unreadable),
            (None, Some(problem)) => Err(ClientError::Refused { problem, request_id: command.request_id.to_string() }),
            (None, None) => Err(ClientError::Unreadable { cause: "a command without result or problem".to_owned() }),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        parse(&self.send(Method::GET, path, Vec::new(), JSON).await?)
    }

    async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        parse(&self.send(Method::DELETE, path, Vec::new(), JSON).await?)
    }

    async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        parse(&self.post_for_response(path, body).await?)
    }

    async fn post_for_response<B: Serialize + Sync>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Response<Vec<u8>>, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::unreadable)?;
        self.send(Method::POST, path, body, JSON).await
    }

    async fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
        parse(&self.send(Method::POST, path, body, "application/x-tar").await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        content_type: &'static str,
    ) -> Result<Response<Vec<u8>>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::CONTENT_TYPE, content_type)
            .body(body)
            .map_err(ClientError::unreadable)?;
        let response = self.carrier.carry(request).await?;
        if response.status().is_success() { Ok(response) } else { Err(ClientError::refusal(response.body())) }
    }
}

fn parse<T: DeserializeOwned>(response: &Response<Vec<u8>>) -> Result<T, ClientError> {
    serde_json::from_slice(response.body()).map_err(ClientError::unreadable)
}

/// Percent-encodes one segment of a path or one value of a query.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

const JSON: &str = "application/json";
/// How long one look at a command waits for news.
const WAIT_MS: u64 = 1_000;
