//! A load: connections that ask again as soon as they have an answer, and what is seen of it in a window of time.
//!
//! All clients are tasks of one thread, since they share the cores with the service.

use crate::{Outcome, carrier::Carrier, figures::Measured, instance::Service, usage::Usage, workload::Workload};
use serde::Deserialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime,
    task::JoinSet,
    time::{sleep, sleep_until},
};

/// Clients at work, until they are told to stop.
pub(crate) struct Load {
    clients: JoinSet<Outcome<Seen>>,
    stopped: Arc<AtomicBool>,
    workload: Workload,
}

/// What one connection, or all of them, saw.
#[derive(Default)]
pub(crate) struct Seen {
    answers: Vec<Answered>,
    refused: Vec<Instant>,
}

/// One request.
#[derive(Clone, Copy)]
struct Answered {
    asked: Instant,
    answered: Instant,
}

impl Load {
    /// Connects all, proves that signatures come, and begins.
    pub(crate) async fn start(carrier: &Carrier, workload: Workload) -> Outcome<Self> {
        let request: Arc<[u8]> = workload.request().into();
        let stopped = Arc::new(AtomicBool::new(false));
        let mut connections = Vec::new();
        for _ in 0..workload.connections {
            connections.push(carrier.connect().await?);
        }
        if let Some(first) = connections.first_mut() {
            check(first.exchange(&request).await?, workload)?;
        }
        let mut clients = JoinSet::new();
        for mut connection in connections {
            let (request, stopped) = (Arc::clone(&request), Arc::clone(&stopped));
            clients.spawn(async move {
                let mut seen = Seen::default();
                while !stopped.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let answer = connection.exchange(&request).await?;
                    match answer.status {
                        200 => seen.answers.push(Answered { asked, answered: Instant::now() }),
                        503 => {
                            seen.refused.push(asked);
                            sleep(REFUSED_PAUSE).await;
                        }
                        _ => return Err(String::from_utf8_lossy(answer.body).into()),
                    }
                }
                Ok(seen)
            });
        }
        Ok(Self { clients, stopped, workload })
    }

    /// Lets every client end its request.
    pub(crate) async fn stop(mut self) -> Outcome<Seen> {
        self.stopped.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        while let Some(client) = self.clients.join_next().await {
            let seen = client??;
            all.answers.extend(seen.answers);
            all.refused.extend(seen.refused);
        }
        Ok(all)
    }

    /// Waits until it runs evenly, looks on for a while, and stops it.
    pub(crate) async fn measure(self, service: &Service, window: Duration) -> Outcome<Measured> {
        let workload = self.workload;
        sleep(WARM_UP).await;
        let (before, from) = (service.usage()?, Instant::now());
        sleep_until((from + window).into()).await;
        let (after, to) = (service.usage()?, Instant::now());
        let seen = self.stop().await?;
        Ok(seen.between(from, to, workload.digests, |signed| after.since(before, signed)))
    }
}

impl Seen {
    /// What of it fell into a window. A request that began before it or ended after it counts by its share, so that
    /// long requests are neither lost nor counted too often.
    pub(crate) fn between(&self, from: Instant, to: Instant, digests: u32, cpu: impl FnOnce(f64) -> Usage) -> Measured {
        let share = |request: &Answered| {
            let inside = request.answered.min(to).saturating_duration_since(request.asked.max(from));
            inside.as_secs_f64() / (request.answered - request.asked).as_secs_f64()
        };
        let signed = self.answers.iter().map(share).sum::<f64>() * f64::from(digests);
        let ended = self.answers.iter().filter(|request| (from..=to).contains(&request.answered));
        let mut milliseconds: Vec<f64> =
            ended.map(|request| (request.answered - request.asked).as_secs_f64() * 1_000.0).collect();
        milliseconds.sort_by(f64::total_cmp);
        Measured {
            rate: signed / (to - from).as_secs_f64(),
            p50_ms: percentile(&milliseconds, 50),
            p99_ms: percentile(&milliseconds, 99),
            cpu: cpu(signed),
            refused: self.refused.iter().filter(|&&at| (from..=to).contains(&at)).count() as u64,
        }
    }
}

/// Runs one load from its beginning to its end.
pub(crate) fn measure(service: &Service, carrier: &Carrier, workload: Workload, window: Duration) -> Outcome<Measured> {
    block_on(async { Load::start(carrier, workload).await?.measure(service, window).await })
}

/// Runs clients in this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A fast answer that holds no signatures would be no answer.
fn check(answer: crate::http1::Answer<'_>, workload: Workload) -> Outcome<()> {
    #[derive(Deserialize)]
    struct Signed {
        signatures: Vec<String>,
    }

    let said = || String::from_utf8_lossy(answer.body).into_owned();
    let signed: Signed = serde_json::from_slice(answer.body).map_err(|_| said())?;
    if signed.signatures.len() == workload.digests as usize { Ok(()) } else { Err(said().into()) }
}

/// The smallest value that so many percent of the sorted values do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Before a window begins.
const WARM_UP: Duration = Duration::from_millis(200);
/// After a 503, which asks for a second; shorter, so that the load stays what it is called.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
