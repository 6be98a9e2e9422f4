//! Around every request: its id, its line in the log, its place among the counters.
//!
//! The line has what the router knows (route, status), never what a client sent: no path, no query, no header, no
//! body.

use super::{Services, problem::Told};
use crate::base::{ids::RequestId, principal::Caller};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use std::time::{Duration, Instant};

/// What is told of an answered request.
struct Seen<'a> {
    id: RequestId,
    principal: &'a str,
    method: &'a Method,
    route: &'a str,
    status: StatusCode,
    duration: Duration,
}

/// Gives a request its id, which every answer names, and notes how it went.
pub(super) async fn observe(State(services): State<Services>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request.extensions().get::<Caller>().map_or_else(RequestId::new, |caller| caller.request);
    request.extensions_mut().insert(id);
    let method = request.method().clone();
    let meter = services.meters.route(template(&request).unwrap_or(UNROUTED));
    let mut response = next.run(request).await;
    let (status, duration) = (response.status(), begun.elapsed());
    meter.answered(&method, status, duration);
    let caller = response.extensions().get::<Caller>();
    if let Some(told) = response.extensions().get::<Told>() {
        services.meters.problem(&told.code, told.kind, if caller.is_some() { "identified" } else { "unknown" });
    }
    let principal = caller.map_or("", |caller| caller.principal().id.as_str());
    log(&Seen { id, principal, method: &method, route: &meter.route, status, duration });
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), value);
    }
    response
}

/// The route's template; none where no route is.
pub(super) fn template(request: &Request) -> Option<&str> {
    let matched = request.extensions().get::<MatchedPath>()?.as_str();
    // What axum calls the place of a fallback.
    if matched.contains("__private") { None } else { Some(matched) }
}

/// Whether a request uses a key, which happens too often for a line each.
pub(super) fn is_use(route: &str) -> bool {
    route.ends_with("/sign") || route.ends_with("/decrypt")
}

fn log(seen: &Seen<'_>) {
    let duration_ms = u64::try_from(seen.duration.as_millis()).unwrap_or(u64::MAX);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                request.id = %seen.id,
                principal.id = seen.principal,
                method = %seen.method,
                route = seen.route,
                status = seen.status.as_u16(),
                duration_ms,
                "request"
            )
        };
    }
    let changes = !matches!(*seen.method, Method::GET | Method::HEAD) && !is_use(seen.route);
    let is_known = !seen.principal.is_empty();
    match seen.status.as_u16() {
        // Strangers must not be able to fill the log; they are counted.
        500 => line!(warn),
        501.. if is_known => line!(warn),
        400.. if is_known => line!(info),
        200..300 if changes && is_known => line!(info),
        _ => line!(debug),
    }
}

/// Every answer has it, also one to a stranger.
pub(super) const REQUEST_ID: &str = "keyward-request-id";
/// The route of what has none.
const UNROUTED: &str = "none";
