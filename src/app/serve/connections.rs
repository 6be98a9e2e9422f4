//! All connections: how many there may be, which of them is at work, and which goes when there are too many.
//!
//! A connection is idle while no request of it is under way: also while its head, or its first byte, has not come.
//! So neither silent nor slow clients hold a place for long.

use crate::http::{ConnectionMeter, Peer, Services, router};
use axum::{Router, body::Body};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming, SizeHint},
    service::Service,
};
use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, interval, timeout},
};
use tower::Service as _;

/// The connections of a service.
pub(super) struct Connections {
    places: Mutex<HashMap<u64, Arc<Place>>>,
    /// Told whenever one ends.
    ended: Notify,
    limit: AtomicUsize,
    last_number: AtomicU64,
    router: Router,
    meter: ConnectionMeter,
    started: Instant,
}

/// The place of one connection; given back when it is dropped.
pub(super) struct Seat {
    number: u64,
    place: Arc<Place>,
    connections: Arc<Connections>,
}

struct Place {
    /// Requests under way.
    busy: AtomicUsize,
    /// Since when that is so, in milliseconds after the start of the service.
    since_ms: AtomicU64,
    vacate: Notify,
}

impl Connections {
    /// No connections yet, at most so many, to these services.
    pub(super) fn new(limit: usize, services: &Services) -> Arc<Self> {
        let connections = Arc::new(Self {
            places: Mutex::default(),
            ended: Notify::new(),
            limit: AtomicUsize::new(limit),
            last_number: AtomicU64::new(0),
            router: router(services.clone()),
            meter: services.meters.connections().clone(),
            started: Instant::now(),
        });
        tokio::spawn(sweep(Arc::downgrade(&connections)));
        connections
    }

    /// From now on there may be so many.
    pub(super) fn limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A place for one more; if all are taken, that of the connection which is idle longest.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let place = Arc::new(Place {
            busy: AtomicUsize::new(0),
            since_ms: AtomicU64::new(self.now_ms()),
            vacate: Notify::new(),
        });
        let number = self.last_number.fetch_add(1, Ordering::Relaxed);
        let mut places = self.places();
        if places.len() >= self.limit.load(Ordering::Relaxed) {
            let idle = places.iter().filter(|(_, place)| place.is_idle());
            let longest =
                idle.min_by_key(|(_, place)| place.since_ms.load(Ordering::Relaxed)).map(|(number, _)| *number);
            let Some(longest) = longest else {
                self.meter.refused();
                tracing::warn!(connections = places.len(), "all connections are at work; another one was turned away");
                return None;
            };
            if let Some(place) = places.remove(&longest) {
                self.meter.evicted();
                place.vacate.notify_one();
            }
        }
        self.meter.opened();
        places.insert(number, Arc::clone(&place));
        Some(Seat { number, place, connections: Arc::clone(self) })
    }

    /// Lets every connection end its requests, and waits for that.
    pub(super) async fn drain(&self, limit: Duration) {
        let all_ended = async {
            loop {
                let ended = self.ended.notified();
                {
                    let places = self.places();
                    if places.is_empty() {
                        return;
                    }
                    places.values().for_each(|place| place.vacate.notify_one());
                }
                ended.await;
            }
        };
        if timeout(limit, all_ended).await.is_err() {
            tracing::warn!(connections = self.places().len(), "requests did not end in time and are cut off");
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<u64, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Ends connections that are idle too long, as long as there is a service.
async fn sweep(connections: std::sync::Weak<Connections>) {
    let mut ticks = interval(SWEEP_PERIOD);
    loop {
        ticks.tick().await;
        let Some(connections) = connections.upgrade() else { return };
        let now = connections.now_ms();
        let places = connections.places();
        let idle = places.values().filter(|place| {
            place.is_idle() && now.saturating_sub(place.since_ms.load(Ordering::Relaxed)) > IDLE_LIMIT_MS
        });
        idle.for_each(|place| place.vacate.notify_one());
    }
}

impl Place {
    fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }
}

impl Seat {
    /// When the connection is to end.
    pub(super) async fn vacated(&self) {
        self.place.vacate.notified().await;
    }

    /// Runs a connection that was asked to end, until it does or has nothing under way any more.
    pub(super) async fn until_idle(&self, connection: impl Future) {
        let mut connection = std::pin::pin!(connection);
        while timeout(LAST_WORDS, connection.as_mut()).await.is_err() {
            if self.place.is_idle() {
                return;
            }
        }
    }

    /// What answers the requests of this connection.
    pub(super) fn requests(&self, peer: Peer) -> Requests {
        let connections = Arc::clone(&self.connections);
        Requests { router: self.connections.router.clone(), peer, place: Arc::clone(&self.place), connections }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.places().remove(&self.number);
        self.connections.meter.closed();
        self.connections.ended.notify_waiters();
    }
}

/// The routes, as seen from one connection.
pub(super) struct Requests {
    router: Router,
    peer: Peer,
    place: Arc<Place>,
    connections: Arc<Connections>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let busy = Busy::new(Arc::clone(&self.place), Arc::clone(&self.connections));
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        let answer = self.router.clone().call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Answer { body, _busy: busy })) })
    }
}

/// A request that is under way.
struct Busy {
    place: Arc<Place>,
    connections: Arc<Connections>,
}

impl Busy {
    fn new(place: Arc<Place>, connections: Arc<Connections>) -> Self {
        place.busy.fetch_add(1, Ordering::Relaxed);
        Self { place, connections }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.place.since_ms.store(self.connections.now_ms(), Ordering::Relaxed);
        self.place.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer; its request is under way until the last of it is handed over.
pub(super) struct Answer {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection without a request ends after that.
const IDLE_LIMIT_MS: u64 = 60_000;
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
/// A connection that was asked to end and has nothing under way gets so long to close in order.
const LAST_WORDS: Duration = Duration::from_millis(50);
