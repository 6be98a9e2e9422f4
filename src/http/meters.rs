//! What is counted while requests come and go, in the `OpenMetrics` text format for [`metrics`](super::metrics).
//!
//! Every name and what it is good for stands in `docs/metrics.md`. On the way of a signature there are atomics only:
//! counters are looked up once for each route, method and class of status, and for each algorithm at the start.

use super::metrics::Lookup;
use crate::base::{
    algorithm::SignatureAlgorithm,
    fault::Fault,
    time::{Clock as _, SystemClock, Timestamp},
};
use axum::http::{Method, StatusCode};
use prometheus_client::{
    encoding::text::encode_registry,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use std::{
    array::from_fn,
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

/// The counters of a process; cheap to clone.
#[derive(Clone)]
pub struct Meters(Arc<Inner>);

struct Inner {
    registry: Registry,
    answers: Answers,
    /// By algorithm, then by outcome.
    signatures: Vec<[Counter; 3]>,
    connections: ConnectionMeter,
    lookup: Lookup,
    started_at: Timestamp,
}

/// The counters of answers.
struct Answers {
    routes: RwLock<HashMap<Arc<str>, Arc<RouteMeter>>>,
    requests: Family<[Label; 3], Counter>,
    durations: Durations,
    problems: Family<[Label; 3], Counter>,
}

type Label = (&'static str, Arc<str>);
type Durations = Family<[Label; 1], Histogram, fn() -> Histogram>;

/// The counters of one route.
pub(super) struct RouteMeter {
    /// The route's template.
    pub(super) route: Arc<str>,
    requests: Family<[Label; 3], Counter>,
    /// By method, then by class of status.
    counters: [[OnceLock<Counter>; CLASSES.len()]; METHODS.len()],
    duration: Histogram,
}

/// The counters of connections, moved by who accepts them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionMeter {
    open: Gauge,
    evicted: Counter,
    refused: Counter,
}

/// How a request for signatures ended.
#[derive(Clone, Copy)]
enum Outcome {
    Ok,
    /// By us, because of what was asked or of who asked.
    Refused,
    /// Token, queue or log were not there for it.
    Failed,
}

impl Meters {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("keyward");
        let requests = Family::default();
        registry.register("http_requests", "Requests by route, method and class of status", requests.clone());
        let durations: Durations = Family::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "From the head of a request to the head of its answer";
        registry.register("http_request_duration_seconds", help, durations.clone());
        let family = Family::<[Label; 2], Counter>::default();
        registry.register("signatures", "Signatures by algorithm and outcome", family.clone());
        let names = SignatureAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str());
        let signatures = names.chain([UNNAMED]).map(|algorithm| by_outcome(&family, algorithm)).collect();
        let problems = Family::default();
        registry.register("problems", "Answers that are problems, by code, kind and caller", problems.clone());
        let connections = ConnectionMeter::default();
        connections.register(&mut registry);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", version);
        let answers = Answers { routes: RwLock::default(), requests, durations, problems };
        let (lookup, started_at) = (Lookup::default(), SystemClock.now());
        Self(Arc::new(Inner { registry, answers, signatures, connections, lookup, started_at }))
    }

    /// For who accepts connections.
    #[must_use]
    pub fn connections(&self) -> &ConnectionMeter {
        &self.0.connections
    }

    /// What stands in the database, as it was looked up last.
    pub(super) fn lookup(&self) -> &Lookup {
        &self.0.lookup
    }

    /// When counting began, which is the start of the process.
    pub(super) fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// The counters of a route, by its template: there are as many as the router has routes.
    pub(super) fn route(&self, template: &str) -> Arc<RouteMeter> {
        let routes = self.0.answers.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = routes.get(template) {
            return Arc::clone(meter);
        }
        drop(routes);
        let mut routes = self.0.answers.routes.write().unwrap_or_else(PoisonError::into_inner);
        let route: Arc<str> = Arc::from(template);
        let new = || Arc::new(RouteMeter::new(&self.0.answers, Arc::clone(&route)));
        Arc::clone(routes.entry(Arc::clone(&route)).or_insert_with(new))
    }

    /// So many signatures were made.
    pub(super) fn signed(&self, algorithm: SignatureAlgorithm, count: usize) {
        self.count(Some(algorithm), Outcome::Ok, count);
    }

    /// So many signatures were asked for and not made.
    pub(super) fn not_signed(&self, algorithm: Option<SignatureAlgorithm>, count: usize, fault: &dyn Fault) {
        let outcome = if fault.entry().kind.is_refusal() { Outcome::Refused } else { Outcome::Failed };
        self.count(algorithm, outcome, count);
    }

    fn count(&self, algorithm: Option<SignatureAlgorithm>, outcome: Outcome, count: usize) {
        let row = algorithm.map_or(SignatureAlgorithm::ALL.len(), |algorithm| algorithm as usize);
        self.0.signatures[row][outcome as usize].inc_by(count as u64);
    }

    /// A problem was answered. Codes come from the catalogues, so there are only so many.
    pub(super) fn problem(&self, code: &str, kind: &'static str, caller: &'static str) {
        let labels = [("code", Arc::from(code)), ("kind", Arc::from(kind)), ("caller", Arc::from(caller))];
        self.0.answers.problems.get_or_create(&labels).inc();
    }

    /// Writes what was counted.
    pub(super) fn encode(&self, text: &mut String) -> fmt::Result {
        encode_registry(text, &self.0.registry)
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl RouteMeter {
    fn new(meters: &Answers, route: Arc<str>) -> Self {
        let duration = meters.durations.get_or_create_owned(&[("route", Arc::clone(&route))]);
        let counters = from_fn(|_| from_fn(|_| OnceLock::new()));
        Self { route, requests: meters.requests.clone(), counters, duration }
    }

    /// A request was answered.
    pub(super) fn answered(&self, method: &Method, status: StatusCode, duration: Duration) {
        let method = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1).min(CLASSES.len() - 1);
        self.counters[method][class].get_or_init(|| self.counter(METHODS[method], CLASSES[class])).inc();
        self.duration.observe(duration.as_secs_f64());
    }

    fn counter(&self, method: &str, class: &str) -> Counter {
        let labels = [("route", Arc::clone(&self.route)), ("method", Arc::from(method)), ("status", Arc::from(class))];
        self.requests.get_or_create_owned(&labels)
    }
}

impl ConnectionMeter {
    /// One more is open.
    pub fn opened(&self) {
        self.open.inc();
    }

    /// One has ended.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// An idle one had to make room.
    pub fn evicted(&self) {
        self.evicted.inc();
    }

    /// One was turned away, since all were at work.
    pub fn refused(&self) {
        self.refused.inc();
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("connections_open", "Connections that are open", self.open.clone());
        let help = "Idle connections that were closed to make room for others";
        registry.register("connections_evicted", help, self.evicted.clone());
        registry.register("connections_refused", "Connections turned away, all being at work", self.refused.clone());
    }
}

fn by_outcome(family: &Family<[Label; 2], Counter>, algorithm: &str) -> [Counter; 3] {
    ["ok", "refused", "failed"].map(|outcome| {
        family.get_or_create_owned(&[("algorithm", Arc::from(algorithm)), ("outcome", Arc::from(outcome))])
    })
}

/// What a request asks for that names no algorithm and comes to nothing.
const UNNAMED: &str = "default";
/// The last one stands for all others.
const METHODS: [&str; 6] = ["GET", "POST", "DELETE", "HEAD", "PUT", "other"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// From a signature of a software token to a key generation of a slow one.
const SECONDS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(meters: &Meters) -> String {
        let mut text = String::new();
        meters.encode(&mut text).unwrap();
        text
    }

    #[test]
    fn requests_are_counted_by_route_method_and_class_of_status() {
        let meters = Meters::new();

        for status in [StatusCode::OK, StatusCode::CREATED, StatusCode::NOT_FOUND] {
            meters.route("/keys").answered(&Method::POST, status, Duration::from_millis(2));
        }
        meters.route("/keys").answered(&Method::from_bytes(b"BREW").unwrap(), StatusCode::OK, Duration::ZERO);

        let text = text(&meters);
        for line in [
            r#"keyward_http_requests_total{route="/keys",method="POST",status="2xx"} 2"#,
            r#"keyward_http_requests_total{route="/keys",method="POST",status="4xx"} 1"#,
            r#"keyward_http_requests_total{route="/keys",method="other",status="2xx"} 1"#,
            r#"keyward_http_request_duration_seconds_bucket{le="0.005",route="/keys"} 4"#,
            r#"keyward_http_request_duration_seconds_bucket{le="0.001",route="/keys"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn signatures_are_counted_by_algorithm_and_outcome() {
        use crate::token::TokenError;
        let meters = Meters::new();
        let busy = TokenError::Busy { token: "t".to_owned(), waiting: 1 };

        for (index, algorithm) in SignatureAlgorithm::ALL.iter().enumerate() {
            meters.signed(*algorithm, index + 1);
        }
        meters.not_signed(None, 16, &busy);

        let text = text(&meters);
        for (index, algorithm) in SignatureAlgorithm::ALL.iter().enumerate() {
            let line = format!(r#"keyward_signatures_total{{algorithm="{algorithm}",outcome="ok"}} {}"#, index + 1);
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains(r#"keyward_signatures_total{algorithm="default",outcome="failed"} 16"#), "{text}");
    }
}
