//! Who calls: what a request and its connection show becomes a `Caller`.
//!
//! A bearer token counts before a client certificate, and that before being a local user: what was shown on purpose
//! is what was meant. Who is not let in is counted by source, not recorded one by one.

use super::{
    HttpError, Services,
    problem::{refusal, refused, respond},
};
use crate::access::Shown;
use crate::base::{
    fault::Fault,
    ids::RequestId,
    principal::{Caller, Principal},
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
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

/// Puts the caller into the request, or refuses it; what the caller is answered is for [`respond`] to see to. A caller
/// that is there already was put there by who made the router's request in this process.
pub(super) async fn identify(State(services): State<Services>, mut request: Request, next: Next) -> Response {
    if request.extensions().get::<Caller>().is_some() {
        return respond(&services, request, next).await;
    }
    let id = request.extensions().get::<RequestId>().copied().unwrap_or_else(RequestId::new);
    if is_cross_site(&request) {
        return refused(&HttpError::CrossSite, id);
    }
    let identified = shown(&request).map(|shown| services.access.identify(shown));
    match identified {
        Some(Ok(identity)) => {
            request.extensions_mut().insert(Caller::new(identity, id));
            respond(&services, request, next).await
        }
        Some(Err(error)) => turn_away(&services, &request, (&error, error.principal()), id),
        None => turn_away(&services, &request, (&HttpError::Unidentified, None), id),
    }
}

/// Whether a browser would change something on behalf of a page that is none of ours, with the client certificate that
/// its user keeps in it (Fetch Metadata, section 2.3). Programs do not send the header.
fn is_cross_site(request: &Request) -> bool {
    let site = request.headers().get("sec-fetch-site");
    !request.method().is_safe() && site.is_some_and(|site| site != "same-origin" && site != "none")
}

fn shown(request: &Request) -> Option<Shown<'_>> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    if let Some(value) = values.next() {
        // Anything but one bearer token is a token that nobody knows: of two, who knows which one others go by.
        let token = values.next().is_none().then(|| bearer_token(value)).flatten();
        return Some(Shown::ApiToken(token.unwrap_or_default()));
    }
    match request.extensions().get::<Peer>()? {
        Peer::Local { uid } => Some(Shown::LocalUser(*uid)),
        Peer::Remote { certificate, .. } => (*certificate).map(Shown::Certificate),
    }
}

/// RFC 9110, section 11.4: a scheme in upper or lower case, one space or more, the token.
fn bearer_token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

fn turn_away(
    services: &Services,
    request: &Request,
    (fault, who): (&dyn Fault, Option<&Principal>),
    id: RequestId,
) -> Response {
    let source = match request.extensions().get::<Peer>() {
        Some(Peer::Local { uid }) => format!("uid:{uid}"),
        Some(Peer::Remote { address, .. }) => address.ip().to_canonical().to_string(),
        None => String::new(),
    };
    services.access.count_refusal(&source, who, fault.entry().code);
    refusal(fault, id)
}
