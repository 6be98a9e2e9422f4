//! All connections: how many there may be, which of them is at work, and which goes when there are too many.
//!
//! A connection is idle while no request of it is at work: also while its head, or its first byte, has not come, and
//! while its answer waits for a client that does not read. So neither silent nor slow clients hold a place for long.

use crate::http::{ConnectionMeter, Peer};
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
    /// Requests at work.
    working: AtomicUsize,
    /// Answers of which something is still to be sent.
    answering: AtomicUsize,
    /// When something last went on, in milliseconds after the start of the service.
    last_ms: AtomicU64,
    vacate: Notify,
}

impl Connections {
    /// No connections yet, at most so many, to these routes.
    pub(super) fn new(limit: usize, router: Router, meter: ConnectionMeter) -> Arc<Self> {
        let connections = Arc::new(Self {
            places: Mutex::default(),
            ended: Notify::new(),
            limit: AtomicUsize::new(limit),
            last_number: AtomicU64::new(0),
            router,
            meter,
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
        let place = Arc::new(Place::new(self.now_ms()));
        let number = self.last_number.fetch_add(1, Ordering::Relaxed);
        let mut places = self.places();
        if places.len() >= self.limit.load(Ordering::Relaxed) && !self.make_room(&mut places) {
            self.meter.refused();
            tracing::warn!(connections = places.len(), "all connections are at work; another one was turned away");
            return None;
        }
        self.meter.opened();
        places.insert(number, Arc::clone(&place));
        Some(Seat { number, place, connections: Arc::clone(self) })
    }

    /// Has the connection give way that is idle longest; answers whether there was one.
    fn make_room(&self, places: &mut HashMap<u64, Arc<Place>>) -> bool {
        let now = self.now_ms();
        let idle = places.iter().filter(|(_, place)| place.is_idle(now));
        let longest = idle.min_by_key(|(_, place)| place.last_ms.load(Ordering::Relaxed)).map(|(number, _)| *number);
        let Some(place) = longest.and_then(|number| places.remove(&number)) else { return false };
        self.meter.evicted();
        place.vacate.notify_one();
        true
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
        let idle = places.values().filter(|place| place.is_idle(now) && place.quiet_ms(now) > IDLE_LIMIT_MS);
        idle.for_each(|place| place.vacate.notify_one());
    }
}

impl Place {
    fn new(now_ms: u64) -> Self {
        Self {
            working: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            last_ms: AtomicU64::new(now_ms),
            vacate: Notify::new(),
        }
    }

    fn is_idle(&self, now_ms: u64) -> bool {
        let is_read = || self.answering.load(Ordering::Relaxed) > 0 && self.quiet_ms(now_ms) < STALL_LIMIT_MS;
        self.working.load(Ordering::Relaxed) == 0 && !is_read()
    }

    fn quiet_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.last_ms.load(Ordering::Relaxed))
    }
}

impl Seat {
    /// When the connection is to end.
    pub(super) async fn vacated(&self) {
        self.place.vacate.notified().await;
    }

    /// Runs a connection that was asked to end, until it does or has nothing under way any more. An HTTP/2 client
    /// that does not acknowledge the end may still begin requests, so there is a limit.
    pub(super) async fn until_idle(&self, connection: impl Future) {
        let mut connection = std::pin::pin!(connection);
        let idle = async {
            while timeout(LAST_WORDS, connection.as_mut()).await.is_err() {
                if self.place.is_idle(self.connections.now_ms()) {
                    return;
                }
            }
        };
        // What is under way then is cut off, as at the end of the service.
        let _ = timeout(END_LIMIT, idle).await;
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
        let under_way = UnderWay::new(Arc::clone(&self.place), Arc::clone(&self.connections));
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer);
        let answer = self.router.clone().call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Answer { body, under_way: under_way.answering() })) })
    }
}

/// A request that is under way: at work, then being answered.
struct UnderWay {
    place: Arc<Place>,
    connections: Arc<Connections>,
    answering: bool,
}

impl UnderWay {
    fn new(place: Arc<Place>, connections: Arc<Connections>) -> Self {
        place.working.fetch_add(1, Ordering::Relaxed);
        Self { place, connections, answering: false }
    }

    /// The work is done; what is left is to send the answer.
    fn answering(mut self) -> Self {
        self.place.answering.fetch_add(1, Ordering::Relaxed);
        self.place.working.fetch_sub(1, Ordering::Relaxed);
        self.answering = true;
        self.goes_on();
        self
    }

    fn goes_on(&self) {
        self.place.last_ms.store(self.connections.now_ms(), Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.goes_on();
        let count = if self.answering { &self.place.answering } else { &self.place.working };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer; its request is under way until the last of it is handed over.
pub(super) struct Answer {
    body: Body,
    under_way: UnderWay,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.under_way.goes_on();
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
/// An answer of which nothing more is read for so long is no reason to keep a connection that others need.
const STALL_LIMIT_MS: u64 = 5_000;
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
/// What is under way on a connection that is to end has so long to end.
pub(super) const END_LIMIT: Duration = Duration::from_secs(30);
/// A connection that was asked to end and has nothing under way gets so long to close in order.
const LAST_WORDS: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Meters;

    fn connections(limit: usize) -> Arc<Connections> {
        Connections::new(limit, Router::new(), Meters::new().connections().clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_before_and_after_its_requests_and_while_nobody_reads_its_answer() {
        let connections = connections(1);
        let seat = connections.seat().unwrap();
        let is_idle = || seat.place.is_idle(connections.now_ms());
        let after = |seconds| tokio::time::advance(Duration::from_secs(seconds));

        assert!(is_idle());
        let request = UnderWay::new(Arc::clone(&seat.place), Arc::clone(&connections));
        after(600).await;
        assert!(!is_idle(), "at work");
        let answer = request.answering();
        assert!(!is_idle(), "being answered");
        after(6).await;
        assert!(is_idle(), "the answer is not read");
        answer.goes_on();
        assert!(!is_idle(), "the answer is read");
        drop(answer);
        assert!(is_idle());
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_places_are_taken_the_longest_idle_gives_way_and_one_at_work_does_not() {
        let connections = connections(2);
        let (longest, other) = (connections.seat().unwrap(), connections.seat().unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        other.place.last_ms.store(connections.now_ms(), Ordering::Relaxed);

        let third = connections.seat().unwrap();
        longest.vacated().await;
        let work = [&other, &third].map(|seat| UnderWay::new(Arc::clone(&seat.place), Arc::clone(&connections)));

        assert!(connections.seat().is_none());
        drop(work);
        assert!(connections.seat().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_idle_for_a_minute_is_ended() {
        let connections = connections(2);
        let seat = connections.seat().unwrap();
        let started = Instant::now();

        seat.vacated().await;

        assert!((60..63).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_asked_to_end_and_always_has_a_request_is_cut_off() {
        let connections = connections(1);
        let seat = connections.seat().unwrap();
        let _request = UnderWay::new(Arc::clone(&seat.place), Arc::clone(&connections));
        let started = Instant::now();

        seat.until_idle(std::future::pending::<()>()).await;

        assert_eq!(started.elapsed().as_secs(), 30);
    }
}
