//! `/healthz`: the process lives. `/readyz`: it can sign. Neither asks who calls, and neither tells more than that.

use super::{HttpError, Services, problem::refused};
use crate::base::{fault::Fault as _, ids::RequestId, signing::Signer as _};
use crate::certificates::authority;
use crate::keys::Keys;
use crate::token::{Standing, Token};
use axum::{
    Extension, Json,
    extract::{OriginalUri, State},
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use utoipa::ToSchema;

/// Whether the process can serve; cheap to clone.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    is_draining: AtomicBool,
    last: Mutex<Option<watch::Receiver<Option<Look>>>>,
}

/// What came of one look at the token.
#[derive(Clone)]
struct Look {
    at: Instant,
    /// Code of the problem, if there is one.
    code: Option<&'static str>,
}

/// Whether the process lives.
#[derive(Serialize, ToSchema)]
struct Liveness {
    /// `ok`.
    status: &'static str,
}

/// Whether the process signs.
#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready`, `not-ready` or `draining`.
    status: &'static str,
    /// Each token.
    tokens: Vec<TokenReadiness>,
}

/// Whether a token signs: the instance's own by trial, a further one as far as is known.
#[derive(Serialize, ToSchema)]
struct TokenReadiness {
    /// Its label.
    label: String,
    /// Whether it made a signature, or has a worker that is logged in.
    ready: bool,
    /// The code of what is wrong, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl TokenReadiness {
    fn of_further(token: &Token) -> Self {
        let (ready, code) = match token.standing() {
            Standing::Serving => (true, None),
            Standing::Unknown => (false, None),
            Standing::Failing(failing) => (false, Some(failing.error.entry().code)),
        };
        Self { label: token.label().to_owned(), ready, code }
    }
}

impl Health {
    /// From now on the process is on its way out: it is not ready any more, whatever the token says.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }

    /// The last look at the token, or a new one: one at a time, and one in five seconds, however many ask.
    async fn look(&self, trial: impl Future<Output = Option<&'static str>> + Send + 'static) -> Look {
        let mut last = self.receiver(trial);
        match last.wait_for(Option::is_some).await.map(|look| look.clone()) {
            Ok(Some(look)) => look,
            // The look itself broke off.
            Ok(None) | Err(_) => Look { at: Instant::now(), code: Some("internal") },
        }
    }

    fn receiver(
        &self,
        trial: impl Future<Output = Option<&'static str>> + Send + 'static,
    ) -> watch::Receiver<Option<Look>> {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = last.as_ref().filter(|receiver| is_fresh(receiver)) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(None);
        // A task of its own: a caller that leaves does not make the next one begin anew.
        tokio::spawn(async move {
            let code = trial.await;
            sender.send_replace(Some(Look { at: Instant::now(), code }));
        });
        last.insert(receiver).clone()
    }
}

/// Whether a look is good for another answer: it is recent, or still under way.
fn is_fresh(receiver: &watch::Receiver<Option<Look>>) -> bool {
    match &*receiver.borrow() {
        Some(look) => look.at.elapsed() < GOOD_FOR,
        None => receiver.has_changed().is_ok(),
    }
}

/// Signs with keyward's own audit key. There is no record of it in the signature log: nobody asked for it, nobody
/// gets it, and the text can be taken for nothing else; a record every five seconds would bury those of callers.
async fn trial(keys: Keys) -> Option<&'static str> {
    let signing = tokio::spawn(async move {
        let signer = authority::audit_signer(&keys).await.map_err(|error| error.entry().code)?;
        let signed = signer.sign(TEXT).await;
        signed.map(drop).map_err(|error| error.fault().entry().code)
    });
    match timeout(LIMIT, signing).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(code))) => Some(code),
        Ok(Err(_)) => Some("internal"),
        // The request goes on: at its own deadline the pool ends a worker that hangs.
        Err(_) => Some(crate::token::error::DEADLINE.code),
    }
}

/// Whether the process lives.
///
/// Asks for no credential, and looks at nothing.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Liveness)),
)]
pub(super) async fn live() -> Response {
    Json(Liveness { status: "ok" }).into_response()
}

/// Whether this process signs, token by token.
///
/// The instance's own token decides; further ones are told beside it.
///
/// Asks for no credential. The look at a token is good for some seconds.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)),
)]
pub(super) async fn ready(State(services): State<Services>) -> Response {
    let look = services.health.look(trial(services.keys.clone())).await;
    let (status, word) = match look.code {
        _ if services.health.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-ready"),
        None => (StatusCode::OK, "ready"),
    };
    let home =
        TokenReadiness { label: services.keys.home().label().to_owned(), ready: look.code.is_none(), code: look.code };
    let tokens = std::iter::once(home).chain(services.keys.tokens.iter().skip(1).map(TokenReadiness::of_further));
    (status, Json(Readiness { status: word, tokens: tokens.collect() })).into_response()
}

/// Any method but GET.
pub(super) async fn no_other_method(
    Extension(id): Extension<RequestId>,
    method: Method,
    OriginalUri(uri): OriginalUri,
) -> Response {
    refused(&HttpError::MethodUnknown { method: method.to_string(), path: uri.path().to_owned() }, id)
}

/// What is signed: no checkpoint (three lines), no certificate, CSR or CMS attribute (DER).
const TEXT: &[u8] = b"keyward readiness check, version 1: this signature says that the key signs, and nothing else";
/// How long a look answers for the token.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long a look may take; who asks gives up soon after.
const LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// A trial that takes a second and counts itself.
    fn trial(count: &Arc<AtomicUsize>) -> impl Future<Output = Option<&'static str>> + Send + 'static {
        let count = Arc::clone(count);
        async move {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_and_within_five_seconds_get_one_look() {
        let (health, count) = (Health::default(), Arc::default());

        tokio::join!(health.look(trial(&count)), health.look(trial(&count)));
        tokio::time::advance(Duration::from_millis(4_900)).await;
        health.look(trial(&count)).await;
        let within = count.load(Ordering::Relaxed);
        tokio::time::advance(Duration::from_millis(200)).await;
        health.look(trial(&count)).await;

        assert_eq!((within, count.load(Ordering::Relaxed)), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_does_not_make_the_next_one_begin_anew() {
        let (health, count) = (Health::default(), Arc::default());

        for _ in 0..10 {
            let _ = timeout(Duration::from_millis(50), health.look(trial(&count))).await;
        }
        let look = health.look(trial(&count)).await;

        assert_eq!((count.load(Ordering::Relaxed), look.code), (1, None));
    }

    #[tokio::test]
    async fn a_look_that_breaks_off_is_no_good_and_is_not_kept() {
        let health = Health::default();

        let broken = health.look(async { panic!("a fault of ours") }).await;
        let next = health.look(async { None }).await;

        assert_eq!((broken.code, next.code), (Some("internal"), None));
    }
}
