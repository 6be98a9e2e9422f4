//! Who calls: what a request and its connection show becomes a `Caller`.
//!
//! A bearer token counts before a client certificate, and that before being a local user: what was shown on purpose
//! is what was meant.

use super::{HttpError, Services, problem::refusal};
use crate::access::Shown;
use crate::base::{ids::RequestId, principal::Caller};
use axum::{
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::Response,
};
use std::net::SocketAddr;

/// The other end of a connection; an extension of every request that came by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A user of this machine, at the socket or in this process.
    Local {
        /// As the system says.
        uid: u32,
    },
    /// Somebody at the TLS listener.
    Remote {
        /// Whence.
        address: SocketAddr,
        /// SHA-256 of the client certificate, which leads to a CA of ours.
        certificate: Option<[u8; 32]>,
    },
}

/// Puts the caller into the request, or refuses it. A caller that is there already was put there by who made the
/// router's request in this process.
pub(super) async fn identify(State(services): State<Services>, mut request: Request, next: Next) -> Response {
    if request.extensions().get::<Caller>().is_some() {
        return next.run(request).await;
    }
    let id = request.extensions().get::<RequestId>().copied().unwrap_or_else(RequestId::new);
    let Some(shown) = shown(&request) else { return refusal(&HttpError::Unidentified, id) };
    match services.access.identify(shown) {
        Ok(identity) => {
            request.extensions_mut().insert(Caller::new(identity, id));
            next.run(request).await
        }
        Err(error) => refusal(&error, id),
    }
}

fn shown(request: &Request) -> Option<Shown<'_>> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        // Anything but a bearer token is a token that nobody knows.
        let text = value.to_str().unwrap_or_default();
        return Some(Shown::ApiToken(text.strip_prefix("Bearer ").unwrap_or_default()));
    }
    match request.extensions().get::<Peer>()? {
        Peer::Local { uid } => Some(Shown::LocalUser(*uid)),
        Peer::Remote { certificate, .. } => (*certificate).map(Shown::Certificate),
    }
}
