//! Faults become problem documents (RFC 9457); the only map from kinds to statuses.

use super::{
    HttpError, Services,
    api::ProblemView,
    error::{METHOD_UNKNOWN, TOO_LARGE, TOO_SLOW},
};
use crate::access::error::RATE_EXCEEDED;
use crate::audit::{ObjectRef, Outcome, Verdict};
use crate::base::{
    fault::{Fault, Kind, Report},
    ids::RequestId,
    principal::Caller,
};
use crate::commands::error as commands;
use axum::{
    Json,
    extract::{OriginalUri, Request},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A fault on its way out of a handler: what the caller is told, and what the log is told of an internal one.
#[derive(Clone)]
pub(super) struct Failure {
    report: Report,
    particulars: String,
}

impl<E: Fault> From<E> for Failure {
    fn from(fault: E) -> Self {
        Self { report: Report::of(&fault), particulars: fault.to_string() }
    }
}

impl IntoResponse for Failure {
    /// The report travels as an extension; [`respond`] writes it, since it knows the request.
    fn into_response(self) -> Response {
        let mut response = status(&self.report).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Of an answer that is a problem: what is counted.
#[derive(Clone)]
pub(super) struct Told {
    /// The problem's code.
    pub(super) code: String,
    /// Its kind.
    pub(super) kind: &'static str,
}

/// What there is where no route is.
pub(super) async fn not_found(method: Method, OriginalUri(uri): OriginalUri) -> Failure {
    HttpError::Unrouted { method: method.to_string(), path: uri.path().to_owned() }.into()
}

/// What there is where a route has no such method.
pub(super) async fn no_such_method(method: Method, OriginalUri(uri): OriginalUri) -> Failure {
    HttpError::MethodUnknown { method: method.to_string(), path: uri.path().to_owned() }.into()
}

/// What a caller is told who is not let in: because of what was shown, or because of too many requests.
pub(super) fn refusal(fault: &dyn Fault, request: RequestId) -> Response {
    let report = Report::of(fault);
    if report.kind != Kind::Denied {
        return document(status(&report), report, request.to_string());
    }
    // RFC 9110, section 11.6.1.
    let mut response = document(StatusCode::UNAUTHORIZED, report, request.to_string());
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// A problem where nobody asked who calls.
pub(super) fn refused(fault: &dyn Fault, request: RequestId) -> Response {
    let report = Report::of(fault);
    document(status(&report), report, request.to_string())
}

/// Around every request of an identified caller: a fault becomes a problem document, and a refusal becomes an audit
/// record.
pub(super) async fn respond(services: &Services, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return refusal(&HttpError::Unidentified, RequestId::new());
    };
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(caller.clone());
    let Some(failure) = response.extensions().get::<Failure>().cloned() else { return response };
    let Failure { report, particulars } = failure;
    if report.kind == Kind::Internal {
        tracing::error!(request.id = %caller.request, code = report.code, error = particulars, "an internal fault");
    }
    if !caller.is_recorded() {
        record_refusal(services, &caller, &report, (&method, &path)).await;
    }
    let mut document = document(status(&report), report, caller.request.to_string());
    // RFC 9110, section 15.5.6: an answer 405 names the methods there are.
    if let Some(allowed) = response.headers().get(header::ALLOW) {
        document.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    document.extensions_mut().insert(caller);
    document
}

async fn record_refusal(services: &Services, caller: &Caller, report: &Report, (method, path): (&str, &str)) {
    let outcome = if report.kind == Kind::Denied { Outcome::Denied } else { Outcome::Failed };
    let object = ObjectRef::new("request", path, "");
    let verdict = Verdict::new(outcome, &report.code, json!({ "method": method }));
    if let Err(error) = services.audit().event(caller, "request.refuse", &object, verdict).await {
        tracing::error!(request.id = %caller.request, error = %error, "a refusal could not be recorded");
    }
}

fn document(status: StatusCode, report: Report, request_id: String) -> Response {
    let told = Told { code: report.code.clone(), kind: report.kind.as_str() };
    let may_pass = report.kind == Kind::Unavailable || report.code == commands::IN_PROGRESS.code;
    let is_slow = report.code == TOO_SLOW.code;
    let problem = ProblemView {
        r#type: format!("https://keyward.invalid/problems/{}", report.code),
        title: report.title,
        status: status.as_u16(),
        detail: report.detail,
        code: report.code,
        kind: report.kind,
        advice: report.advice,
        request_id,
    };
    let mut response = (status, Json(problem)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if may_pass {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if is_slow {
        // RFC 9110, section 15.5.9.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.extensions_mut().insert(told);
    response
}

/// The status of a problem.
pub(super) fn status(report: &Report) -> StatusCode {
    // Four situations for which HTTP has a status of its own.
    if report.code == METHOD_UNKNOWN.code {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    if report.code == TOO_LARGE.code {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    if report.code == RATE_EXCEEDED.code {
        return StatusCode::TOO_MANY_REQUESTS;
    }
    if report.code == TOO_SLOW.code {
        return StatusCode::REQUEST_TIMEOUT;
    }
    match report.kind {
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Locked => StatusCode::LOCKED,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::TokenAbsent | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::CommandError;
    use crate::token::TokenError;

    fn answered(fault: &dyn Fault) -> (u16, Option<String>, Told) {
        let response = refused(fault, RequestId::new());
        let retry = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let told = response.extensions().get::<Told>().unwrap().clone();
        (response.status().as_u16(), retry, told)
    }

    #[test]
    fn a_full_queue_is_a_503_that_says_when_to_come_again_and_is_counted() {
        let (status, retry, told) = answered(&TokenError::Busy { token: "t".to_owned(), waiting: 1_024 });

        assert_eq!((status, retry.as_deref()), (503, Some("1")));
        assert_eq!((told.code.as_str(), told.kind), ("token-busy", "unavailable"));
    }

    #[test]
    fn only_what_may_pass_by_itself_says_when_to_come_again() {
        let request = || "POST /keys".to_owned();
        let at = crate::base::time::Timestamp::from_millis(0);

        assert_eq!(answered(&CommandError::InProgress { request: request() }).1.as_deref(), Some("1"));
        assert_eq!(answered(&CommandError::RequestInterrupted { request: request(), at }).1, None);
        assert_eq!(answered(&HttpError::TooLarge).1, None);
    }
}
