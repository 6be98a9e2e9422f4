//! `GET /metrics`: what was counted, and how things stand at this moment. `docs/metrics.md` has each name with the
//! alert that it is for.
//!
//! What stands in the database or at the destination of backups is looked up once a minute at most.

use super::{Services, permit::Reader};
use crate::audit;
use crate::backup::{
    self, BackupError,
    api::{CoverageSummary, Light},
    coverage::coverage,
};
use crate::base::time::Timestamp;
use crate::certificates::{CertificateError, list as certificates};
use crate::keys::Keys;
use crate::token;
use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{collections::HashMap, fs, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// What was looked up last; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Lookup(Arc<Mutex<Option<(Instant, Stored)>>>);

/// What stands in the database.
#[derive(Clone, Default)]
struct Stored {
    backup_at: Option<Timestamp>,
    coverage: Option<CoverageSummary>,
    certificate_ends_at: Option<Timestamp>,
}

/// Show figures for an operator.
///
/// In the text format of OpenMetrics, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
pub(super) async fn show(State(services): State<Services>, _: Reader) -> Response {
    let stored = services.meters.lookup().stored(&services).await;
    let now = services.keys.clock.now();
    let mut scrape = Scrape { registry: Registry::default(), now };
    let figures = services.keys.tokens.iter().map(|token| (token.label().to_owned(), token.figures()));
    scrape.tokens(&figures.collect::<Vec<_>>());
    scrape.audit(services.keys.audit.figures());
    scrape.stored(&stored);
    scrape.process(services.meters.started_at());
    let mut body = String::new();
    // Writing into a string does not fail.
    let _ = services.meters.encode(&mut body).and_then(|()| encode(&mut body, &scrape.registry));
    let open_metrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, open_metrics)], body).into_response()
}

impl Lookup {
    async fn stored(&self, services: &Services) -> Stored {
        let mut last = self.0.lock().await;
        if let Some((at, stored)) = &*last
            && at.elapsed() < GOOD_FOR
        {
            return stored.clone();
        }
        let stored = look_up(services).await;
        *last = Some((Instant::now(), stored.clone()));
        stored
    }
}

/// What cannot be read is left out of the answer: the rest is needed all the more.
async fn look_up(services: &Services) -> Stored {
    let mut stored = Stored::default();
    match backups(services).await {
        Ok((backup_at, summary)) => (stored.backup_at, stored.coverage) = (backup_at, Some(summary)),
        Err(error) => tracing::error!(%error, "the state of backups cannot be read"),
    }
    match first_end(&services.keys).await {
        Ok(ends_at) => stored.certificate_ends_at = ends_at,
        Err(error) => tracing::error!(%error, "the ends of certificates cannot be read"),
    }
    stored
}

async fn backups(services: &Services) -> Result<(Option<Timestamp>, CoverageSummary), BackupError> {
    let newest_first = backup::list(&services.keys.db).await?;
    let good = newest_first.iter().find(|backup| backup.state == Light::Green);
    Ok((good.map(|backup| backup.created_at), coverage(&services.backups).await?.summary))
}

/// When the first key is left without a valid certificate: a newer one counts for the older ones of its key.
async fn first_end(keys: &Keys) -> Result<Option<Timestamp>, CertificateError> {
    let mut ends = HashMap::new();
    for certificate in certificates::all(keys).await? {
        let end = ends.entry(certificate.key.id).or_insert(certificate.not_after);
        *end = certificate.not_after.max(*end);
    }
    Ok(ends.into_values().min())
}

/// The figures of one answer.
struct Scrape {
    registry: Registry,
    now: Timestamp,
}

impl Scrape {
    fn tokens(&mut self, all: &[(String, token::Figures)]) {
        let of = |value: fn(&token::Figures) -> i64| {
            all.iter().map(|(label, figures)| ([("token", label.clone())], value(figures))).collect::<Vec<_>>()
        };
        let met = |value: fn(&token::Met) -> u64| {
            all.iter().map(|(label, figures)| ([("token", label.clone())], value(&figures.met))).collect::<Vec<_>>()
        };
        self.gauges("keyward_token_up", "Whether a worker is logged in", of(|figures| i64::from(figures.is_serving)));
        let lanes = all.iter().flat_map(|(label, figures)| {
            let lane = |name: &str, length| ([("token", label.clone()), ("lane", name.to_owned())], signed(length));
            [lane("single", figures.waiting_single), lane("batch", figures.waiting_batch)]
        });
        let lanes = lanes.collect::<Vec<_>>();
        self.gauges("keyward_token_queue_length", "Jobs that wait for the token, by lane", lanes);
        self.gauges("keyward_token_jobs", "Jobs that the worker has", of(|figures| signed(figures.under_way)));
        self.counters("keyward_token_worker_starts", "Workers that came to serve", met(|met| met.workers));
        self.counters("keyward_token_deadline_misses", "Jobs not answered in time", met(|met| met.late));
        self.counters("keyward_token_turned_away", "Jobs that found their lane full", met(|met| met.turned_away));
    }

    fn audit(&mut self, figures: [audit::Figures; 2]) {
        let log = |figures: &audit::Figures| [("log", figures.log.to_string())];
        self.counters("keyward_audit_records", "Records written", figures.map(|of| (log(&of), of.written)));
        let help = "Records that could not be written";
        self.counters("keyward_audit_write_failures", help, figures.map(|of| (log(&of), of.failed)));
        let ages = figures.iter().filter_map(|of| Some((log(of), self.since(of.checkpoint_at?)))).collect::<Vec<_>>();
        self.gauges("keyward_audit_checkpoint_age_seconds", "Since the last checkpoint", ages);
    }

    fn stored(&mut self, stored: &Stored) {
        if let Some(at) = stored.backup_at {
            let age = self.since(at);
            self.gauge("keyward_backup_age_seconds", "Since the last backup without a gap", age);
        }
        if let Some(sum) = &stored.coverage {
            let counts = [("green", sum.green), ("amber", sum.amber), ("red", sum.red), ("token-only", sum.token_only)];
            let counts = counts.map(|(state, count)| ([("state", state.to_owned())], signed(count)));
            self.gauges("keyward_backup_coverage_keys", "Keys by the state of their backup", counts);
        }
        if let Some(at) = stored.certificate_ends_at {
            let (help, left) = ("Until the first key is left without a valid certificate", -self.since(at));
            self.gauge("keyward_certificate_expiry_seconds", help, left);
        }
    }

    fn process(&mut self, started_at: Timestamp) {
        self.gauge("process_start_time_seconds", "Since 1970", started_at.as_millis() / 1_000);
        if let Some(bytes) = resident_bytes() {
            self.gauge("process_resident_memory_bytes", "Without the token worker", bytes);
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            self.gauge("process_open_fds", "Open descriptors", signed(descriptors.count()));
        }
    }

    fn since(&self, at: Timestamp) -> i64 {
        (self.now.as_millis() - at.as_millis()) / 1_000
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }

    fn gauges<const N: usize>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = ([Label; N], i64)>) {
        let family = Family::<[Label; N], Gauge>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.registry.register(name, help, family);
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([Label; N], u64)>,
    ) {
        let family = Family::<[Label; N], Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.registry.register(name, help, family);
    }
}

type Label = (&'static str, String);

/// From `proc_pid_status(5)`, in kibibytes.
fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<i64>().ok().map(|kibibytes| kibibytes * 1_024)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Alerts on backups and certificates are about days.
const GOOD_FOR: Duration = Duration::from_secs(60);
