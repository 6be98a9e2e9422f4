//! The life of a worker: it starts with the first job, is fed from the queue, watched, ended and replaced.
//!
//! At most two jobs a session are with the child, and one of these places is never a batch's. A caller is answered at its deadline; the child is told, and drops
//! the job if it has not begun it; one that is still at it a quarter of a second later is killed. After a death, what
//! cannot have changed the token is sent again once; the rest is answered as lost.

use super::{
    address::TokenDescription,
    backoff::Backoff,
    error::TokenError,
    figures::{Failing, Figures, Standing, Tally},
    frame,
    message::{LOGIN, OPEN, Operation, RequestRef, Response},
    outbox::Outbox,
    pin::PinKeeper,
    pool::TokenSettings,
    process::{self, GRACE, ORDERLY_END, Worker},
    queue::{Job, Lane, Queue},
    watch,
};
use crate::base::time::{Clock as _, SystemClock};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout, timeout_at},
};

/// What callers and the worker's supervision share.
#[derive(Debug)]
pub(super) struct Shared {
    settings: Arc<TokenSettings>,
    user: Arc<PinKeeper>,
    state: Mutex<State>,
    tally: Tally,
    closing: Notify,
}

#[derive(Debug, Default)]
struct State {
    life: Life,
    queue: Queue,
    under_way: HashMap<u64, Job>,
    last_id: u64,
    description: Option<TokenDescription>,
    supervision: Option<JoinHandle<()>>,
    watch: Option<JoinHandle<()>>,
    failing: Option<Failing>,
    backoff: Backoff,
}

#[derive(Debug, Default)]
enum Life {
    /// No worker, none wanted.
    #[default]
    Idle,
    /// A worker is being started, or one is ending and will be mourned.
    Starting,
    /// A worker is there.
    Serving(Link),
    /// No worker any more, for good.
    Closed,
}

/// What leads to a worker that serves.
#[derive(Debug)]
struct Link {
    outbox: Outbox,
    hanging: Arc<Notify>,
}

/// Why a worker's service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The pool is closed.
    Closed,
    /// It did not answer in time.
    Hanging,
    /// It takes no more requests, but may still answer.
    Leaving,
    /// It has ended.
    Lost,
}

impl Ending {
    /// How long the worker may take to be gone.
    const fn limit(self) -> Duration {
        match self {
            Self::Closed | Self::Leaving => ORDERLY_END,
            Self::Hanging | Self::Lost => GRACE,
        }
    }
}

impl Shared {
    pub(super) fn new(settings: Arc<TokenSettings>, user: Arc<PinKeeper>) -> Self {
        Self { settings, user, state: Mutex::default(), tally: Tally::default(), closing: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn token(&self) -> String {
        self.settings.address.label.clone()
    }

    /// What the last worker's token said of itself.
    pub(super) fn description(&self) -> Option<TokenDescription> {
        self.state().description.clone()
    }

    /// Whether the token can be used, as far as is known.
    pub(super) fn standing(&self) -> Standing {
        let state = self.state();
        match (&state.failing, &state.life) {
            (Some(failing), _) => Standing::Failing(failing.clone()),
            (None, Life::Serving(_)) => Standing::Serving,
            (None, _) => Standing::Unknown,
        }
    }

    /// Remembers since when the token cannot be used; what it says last counts.
    pub(super) fn note_failing(&self, error: &TokenError) {
        let mut state = self.state();
        let since = state.failing.take().map_or_else(|| SystemClock.now(), |failing| failing.since);
        state.failing = Some(Failing { since, error: error.clone() });
    }

    /// The token has given a sign of life.
    pub(super) fn note_well(&self) {
        self.state().failing = None;
    }

    /// Whether the pool has ended for good.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state().life, Life::Closed)
    }

    /// How the pool stands.
    pub(super) fn figures(&self) -> Figures {
        let state = self.state();
        Figures {
            is_serving: matches!(state.life, Life::Serving(_)),
            waiting_single: state.queue.waiting(Lane::Single),
            waiting_batch: state.queue.waiting(Lane::Batch),
            under_way: state.under_way.len(),
            met: self.tally.met(),
        }
    }

    /// Takes a job into its lane under a number of its own, and starts a worker if there is none.
    pub(super) fn take_in(self: &Arc<Self>, job: Job) -> Result<u64, TokenError> {
        let mut state = self.state();
        self.check_open(&state, job.operation.name())?;
        self.make_room(&mut state.queue, job.lane, &job.client)?;
        if state.watch.is_none() {
            state.watch = self.settings.keep_alive.map(|every| tokio::spawn(watch::watch(Arc::downgrade(self), every)));
        }
        state.last_id += 1;
        let id = state.last_id;
        state.queue.push(Job { id, ..job });
        match state.life {
            Life::Idle => {
                state.life = Life::Starting;
                state.supervision = Some(tokio::spawn(Arc::clone(self).supervise()));
            }
            Life::Serving(_) => self.dispatch(&mut state),
            Life::Closed | Life::Starting => {}
        }
        Ok(id)
    }

    /// Ends the worker in order and waits until it is gone; what is asked for later starts another one.
    pub(super) async fn retire(&self) {
        let supervision = {
            let mut state = self.state();
            if matches!(state.life, Life::Serving(_)) {
                // Without its link the worker gets no more jobs, and ends when it has finished what it has begun.
                state.life = Life::Starting;
            }
            state.supervision.take()
        };
        let Some(mut supervision) = supervision else { return };
        if timeout(ORDERLY_END + GRACE, &mut supervision).await.is_err() {
            // Another worker is there already, for those who waited.
            self.state().supervision.get_or_insert(supervision);
        }
    }

    /// Ends the worker for good and waits until it is gone.
    pub(super) async fn close(&self) {
        let supervision = {
            let mut state = self.state();
            state.life = Life::Closed;
            for job in state.queue.drain() {
                job.lose(self.token());
            }
            if let Some(watch) = state.watch.take() {
                watch.abort();
            }
            state.supervision.take()
        };
        self.closing.notify_one();
        if let Some(supervision) = supervision {
            // What hangs longer than that is killed, and ends with the runtime.
            let _ = timeout(ORDERLY_END + GRACE, supervision).await;
        }
    }

    /// Turns a job away that cannot be served: pool closed, pause after failed starts.
    fn check_open(&self, state: &State, operation: &str) -> Result<(), TokenError> {
        if matches!(state.life, Life::Closed) {
            return Err(TokenError::WorkerLost { token: self.token(), operation: operation.to_owned() });
        }
        if matches!(state.life, Life::Idle) {
            self.user.check_unsealed()?;
        }
        if let (Life::Idle, Some(failure)) = (&state.life, state.backoff.refusal(Instant::now())) {
            return Err(failure.clone());
        }
        Ok(())
    }

    /// Turns a job away for which its lane has no room, this one or another client's.
    fn make_room(&self, queue: &mut Queue, lane: Lane, client: &str) -> Result<(), TokenError> {
        let Some(waiting) = queue.waiting_if_full(lane) else { return Ok(()) };
        self.tally.turned_away();
        let busy = TokenError::Busy { token: self.token(), waiting };
        match queue.give_way(lane, client) {
            Some(job) => {
                job.answer(Err(busy));
                Ok(())
            }
            None => Err(busy),
        }
    }

    /// Runs workers, one after the other, as long as there is something to do for them.
    async fn supervise(self: Arc<Self>) {
        let mut in_vain = 0;
        loop {
            let started = tokio::select! {
                started = self.start() => started,
                () = self.closing.notified() => return,
            };
            match started {
                Ok(worker) => {
                    let born = Instant::now();
                    in_vain = 0;
                    self.serve(worker).await;
                    self.state().backoff.note_death(born, Instant::now());
                }
                // Those who wait need not know of a module that failed once.
                Err(error) if in_vain == 0 && may_start_again(&error) => {
                    in_vain += 1;
                    self.note_failing(&error);
                    self.state().backoff.note_failure(&error, Instant::now());
                }
                Err(error) => return self.refuse_all(&error),
            }
            if !self.mourn() {
                return;
            }
        }
    }

    async fn start(&self) -> Result<Worker, TokenError> {
        let until = self.state().backoff.until();
        if let Some(until) = until {
            sleep_until(until).await;
        }
        Worker::start(&self.settings, &self.user).await
    }

    /// Feeds one worker until it is gone.
    async fn serve(&self, worker: Worker) {
        let Worker { mut child, mut reader, writer, description } = worker;
        let (outbox, feeder) = Outbox::new(writer);
        let mut feeding = tokio::spawn(feeder.run());
        let hanging = Arc::new(Notify::new());
        self.welcome(description, Link { outbox, hanging: Arc::clone(&hanging) });
        let mut reading = Box::pin(async {
            while let Ok(Some(response)) = reader.next::<Response>().await {
                self.finish(response);
            }
        });
        let ending = tokio::select! {
            () = &mut reading => Ending::Lost,
            _ = &mut feeding => Ending::Leaving,
            () = hanging.notified() => Ending::Hanging,
            () = self.closing.notified() => Ending::Closed,
        };
        self.part();
        // Our half of the socket closes with the feeder, and the child finishes what it has begun.
        feeding.abort();
        let until = Instant::now() + ending.limit();
        if ending != Ending::Lost {
            // Answers that still come are as good as others.
            let _ = timeout_at(until, reading).await;
        }
        let ended = process::end(&mut child, until).await;
        if let (Ending::Lost, Some(status)) = (ending, ended) {
            tracing::warn!(token.label = self.token(), %status, "the token worker has ended");
        }
    }

    /// A worker serves from now on, unless the pool was closed or sealed meanwhile: without its link it ends.
    fn welcome(&self, description: TokenDescription, link: Link) {
        let mut state = self.state();
        state.description = Some(description);
        if matches!(state.life, Life::Starting) && !self.user.is_sealed() {
            self.tally.worker();
            state.failing = None;
            state.life = Life::Serving(link);
            self.dispatch(&mut state);
        }
    }

    /// A worker gets no more jobs; what is asked from now on is for the next one.
    fn part(&self) {
        let mut state = self.state();
        if matches!(state.life, Life::Serving(_)) {
            state.life = Life::Starting;
        }
    }

    /// Hands jobs over while the child has room.
    fn dispatch(&self, state: &mut State) {
        let places = 2 * self.settings.sessions;
        while state.under_way.len() < places {
            let Life::Serving(link) = &state.life else { return };
            let batches = state.under_way.values().filter(|job| job.lane == Lane::Batch).count();
            // One place stays free of them, so that a single finds the way into the child open.
            let Some(job) = state.queue.next((places - 1).saturating_sub(batches)) else { return };
            match job.frame() {
                Ok(Some(bytes)) => {
                    if link.outbox.send(bytes).is_err() {
                        // The worker is gone: the job was never sent, or not whole.
                        state.queue.put_back(job);
                        state.life = Life::Starting;
                        return;
                    }
                    state.under_way.insert(job.id, job);
                }
                // Dropped: nobody waits for it.
                Ok(None) => {}
                Err(error) => job.answer(Err(error)),
            }
        }
    }

    fn finish(&self, response: Response) {
        let mut state = self.state();
        if response.result.is_ok() {
            state.failing = None;
        }
        if let Some(job) = state.under_way.remove(&response.id) {
            job.answer(response.result.map_err(|error| self.with_source(error)));
        }
        self.dispatch(&mut state);
    }

    /// The worker does not know where the PIN came from that the token refuses.
    fn with_source(&self, error: TokenError) -> TokenError {
        match error {
            TokenError::PinRefused { token, rv, .. } => {
                TokenError::PinRefused { token, source_name: self.settings.pin.name(), rv }
            }
            error => error,
        }
    }

    /// A job was not answered by its deadline.
    pub(super) fn note_late(&self) {
        self.tally.late();
    }

    /// Nobody waits for a job any more: forget it if it still waits, here or in the child, and end the worker if it is
    /// still at it soon after the deadline.
    pub(super) fn give_up(self: &Arc<Self>, id: u64, deadline: Instant) {
        let mut state = self.state();
        state.queue.forget(id);
        if !state.under_way.contains_key(&id) {
            return;
        }
        if let Life::Serving(link) = &state.life {
            let cancel = frame::encode(&RequestRef { id, deadline_ms: 0, operation: &Operation::Cancel });
            // Where it cannot be sent the worker is gone.
            let _ = cancel.and_then(|bytes| link.outbox.send(bytes));
        }
        let shared = Arc::clone(self);
        // Without a runtime everything ends anyway.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            sleep_until(deadline + GRACE).await;
            let state = shared.state();
            if let (Life::Serving(link), true) = (&state.life, state.under_way.contains_key(&id)) {
                tracing::warn!(token.label = shared.token(), "the token worker hangs and is ended");
                link.hanging.notify_one();
            }
        });
    }

    /// After a worker's end: answers what was under way or queues it again. Whether another worker is wanted.
    fn mourn(&self) -> bool {
        let mut state = self.state();
        let is_closed = matches!(state.life, Life::Closed);
        let lost: Vec<Job> = state.under_way.drain().map(|(_, job)| job).collect();
        for mut job in lost {
            job.deaths += 1;
            if is_closed || !job.operation.is_repeatable() {
                job.lose(self.token());
            } else if job.deaths > 1 {
                let (token, operation) = (self.token(), job.operation.name().to_owned());
                job.answer(Err(TokenError::Quarantined { token, operation }));
            } else {
                state.queue.put_back(job);
            }
        }
        let wanted = !is_closed && !state.queue.is_empty();
        if !is_closed {
            state.life = if wanted { Life::Starting } else { Life::Idle };
        }
        wanted
    }

    /// No worker can be had: everybody who waits is told why, and the next call tries again, after a pause if need be.
    fn refuse_all(&self, error: &TokenError) {
        self.note_failing(error);
        let mut state = self.state();
        if !matches!(state.life, Life::Closed) {
            state.life = Life::Idle;
        }
        state.backoff.note_failure(error, Instant::now());
        for job in state.queue.drain() {
            job.answer(Err(error.clone()));
        }
    }
}

/// Whether a start that failed so may be tried once more at once: what the token made of a PIN is not in doubt, and
/// nobody has to put anything right.
fn may_start_again(error: &TokenError) -> bool {
    match error {
        TokenError::Deadline { operation, .. } | TokenError::WorkerLost { operation, .. } => operation == OPEN,
        TokenError::Refused { operation, .. } => operation != LOGIN,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{
        address::TokenAddress,
        adoptions::Adoptions,
        frame::Frames,
        message::{Answer, Request},
        pin::{PinSource, RefusedPin},
    };
    use std::process::Stdio;
    use tokio::{
        io::AsyncWriteExt as _,
        net::{
            UnixStream,
            unix::{OwnedReadHalf, OwnedWriteHalf},
        },
        process::Command,
        sync::oneshot::{self, error::TryRecvError},
        task::yield_now,
    };

    type Outcome = oneshot::Receiver<Result<Answer, TokenError>>;

    /// A pool without a worker's program: what starts a worker fails.
    fn shared() -> Arc<Shared> {
        let address = TokenAddress { device: "/none.so".into(), label: "rig".to_owned() };
        let settings = TokenSettings {
            address,
            sessions: 1,
            pin: PinSource::File("/none".into()),
            so_pin: None,
            attestation_roots: None,
            environment: Vec::new(),
            adopted: Adoptions::default(),
            keep_alive: Some(Duration::from_secs(60)),
            state_directory: "/none".into(),
            executable: "/none/keyward".into(),
        };
        let user = PinKeeper::new("rig", settings.pin.clone(), RefusedPin::of_user("/none".as_ref()));
        let shared = Shared::new(Arc::new(settings), Arc::new(user));
        shared.state().life = Life::Starting;
        Arc::new(shared)
    }

    /// A worker whose side of the socket the test plays; its process ends when its standard input is closed.
    fn worker() -> (Worker, Frames<OwnedReadHalf>, OwnedWriteHalf) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (reader, writer) = ours.into_split();
        let description = TokenDescription {
            label: "rig".to_owned(),
            manufacturer: String::new(),
            model: String::new(),
            serial: String::new(),
            firmware: String::new(),
            pin_count_low: false,
            so_pin_count_low: false,
        };
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (their_reader, their_writer) = theirs.into_split();
        (Worker { child, reader: Frames::new(reader), writer, description }, Frames::new(their_reader), their_writer)
    }

    fn ask(shared: &Arc<Shared>, operation: Operation) -> (u64, Outcome) {
        ask_in(Lane::Batch, shared, operation)
    }

    /// A single finds a place in the child beside the one batch that one session has there.
    fn ask_in(lane: Lane, shared: &Arc<Shared>, operation: Operation) -> (u64, Outcome) {
        let (answer, outcome) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(600);
        let job = Job { id: 0, operation, lane, client: String::new(), deadline, deaths: 0, answer };
        (shared.take_in(job).unwrap(), outcome)
    }

    fn serve(shared: &Arc<Shared>, worker: Worker) -> JoinHandle<()> {
        let shared = Arc::clone(shared);
        tokio::spawn(async move { shared.serve(worker).await })
    }

    async fn next(reader: &mut Frames<OwnedReadHalf>) -> Request {
        reader.next().await.unwrap().unwrap()
    }

    async fn reply(writer: &mut OwnedWriteHalf, id: u64, result: Result<Answer, TokenError>) {
        writer.write_all(&frame::encode(&Response { id, result }).unwrap()).await.unwrap();
    }

    fn is_lost(outcome: &Result<Answer, TokenError>, of: &str) -> bool {
        matches!(outcome, Err(TokenError::WorkerLost { operation, .. }) if operation == of)
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_is_taken_back_from_the_child_and_the_worker_goes_on() {
        let shared = shared();
        let (worker, mut reader, mut writer) = worker();
        let serving = serve(&shared, worker);
        let (begun, begun_outcome) = ask(&shared, Operation::Refresh);
        let (queued, queued_outcome) = ask_in(Lane::Single, &shared, Operation::ListKeks);
        let _ = (next(&mut reader).await, next(&mut reader).await);

        drop(queued_outcome);
        shared.give_up(queued, Instant::now());
        let cancel = next(&mut reader).await;
        reply(&mut writer, queued, Err(TokenError::Protocol { detail: String::new() })).await;
        reply(&mut writer, begun, Ok(Answer::Count(3))).await;

        assert_eq!((cancel.id, cancel.operation.name()), (queued, "cancel"));
        assert!(matches!(begun_outcome.await.unwrap(), Ok(Answer::Count(3))));
        assert!(shared.state().under_way.is_empty());
        assert!(matches!(shared.state().life, Life::Serving(_)));
        serving.abort();
    }

    #[tokio::test]
    async fn a_request_that_the_child_has_begun_and_does_not_finish_ends_the_worker() {
        let shared = shared();
        let (worker, mut reader, _writer) = worker();
        let serving = serve(&shared, worker);
        let (begun, outcome) = ask(&shared, Operation::Refresh);
        next(&mut reader).await;

        drop(outcome);
        shared.give_up(begun, Instant::now());
        serving.await.unwrap();

        assert!(matches!(shared.state().life, Life::Starting));
    }

    #[tokio::test]
    async fn what_is_asked_while_a_worker_ends_waits_for_the_next_one() {
        let shared = shared();
        let (first, reader, writer) = worker();
        let serving = serve(&shared, first);
        yield_now().await;
        drop((reader, writer));
        while matches!(shared.state().life, Life::Serving(_)) {
            yield_now().await;
        }

        let (_, outcome) = ask(&shared, Operation::Probe);
        serving.await.unwrap();
        assert!(shared.mourn(), "another worker is wanted");
        let (second, mut reader, mut writer) = worker();
        let serving = serve(&shared, second);
        let request = next(&mut reader).await;
        reply(&mut writer, request.id, Ok(Answer::Done)).await;

        assert_eq!(request.operation.name(), "probe");
        assert!(matches!(outcome.await.unwrap(), Ok(Answer::Done)));
        serving.abort();
    }

    #[tokio::test]
    async fn a_pool_that_is_closed_finishes_what_was_begun_and_starts_no_other_worker() {
        let shared = shared();
        let (worker, mut reader, mut writer) = worker();
        let serving = serve(&shared, worker);
        let (begun, begun_outcome) = ask(&shared, Operation::Refresh);
        let (_, cleared_outcome) = ask_in(Lane::Single, &shared, Operation::ListKeks);
        let (_, waiting_outcome) = ask(&shared, Operation::Probe);
        let _ = (next(&mut reader).await, next(&mut reader).await);

        shared.close().await;
        assert!(reader.next::<Request>().await.unwrap().is_none(), "the child sees the end");
        reply(&mut writer, begun, Ok(Answer::Count(3))).await;
        drop((reader, writer));
        serving.await.unwrap();

        assert!(!shared.mourn(), "another worker was wanted");
        assert!(matches!(begun_outcome.await.unwrap(), Ok(Answer::Count(3))));
        assert!(is_lost(&cleared_outcome.await.unwrap(), "list KEKs"));
        assert!(is_lost(&waiting_outcome.await.unwrap(), "probe"));
        let (answer, _) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(1);
        let late = Job {
            id: 0,
            operation: Operation::Refresh,
            lane: Lane::Batch,
            client: String::new(),
            deadline,
            deaths: 0,
            answer,
        };
        assert!(matches!(shared.take_in(late), Err(TokenError::WorkerLost { .. })));
    }

    #[tokio::test]
    async fn a_worker_that_comes_after_its_token_was_sealed_gets_no_job_and_ends() {
        let shared = shared();
        let (_, outcome) = ask(&shared, Operation::Probe);
        let (worker, mut reader, writer) = worker();

        shared.user.seal();
        let serving = serve(&shared, worker);
        assert!(reader.next::<Request>().await.unwrap().is_none(), "the child sees the end");
        drop((reader, writer));
        serving.await.unwrap();
        assert!(shared.mourn(), "somebody waits");
        let refusal = shared.start().await.err().unwrap();
        shared.refuse_all(&refusal);

        assert!(matches!(outcome.await.unwrap(), Err(TokenError::Sealed { .. })));
    }

    #[tokio::test]
    async fn a_worker_that_retires_finishes_what_it_has_begun_and_the_next_one_serves() {
        let shared = shared();
        let (first, mut reader, mut writer) = worker();
        let serving = serve(&shared, first);
        let (begun, outcome) = ask(&shared, Operation::Refresh);
        next(&mut reader).await;

        shared.retire().await;
        assert!(reader.next::<Request>().await.unwrap().is_none(), "the child sees the end");
        reply(&mut writer, begun, Ok(Answer::Count(3))).await;
        drop((reader, writer));
        serving.await.unwrap();

        assert!(matches!(outcome.await.unwrap(), Ok(Answer::Count(3))));
        assert!(!shared.mourn(), "nobody waits");
        assert!(matches!(shared.state().life, Life::Idle), "and the next who asks starts another one");
    }

    #[tokio::test]
    async fn a_worker_that_cannot_be_started_is_not_tried_without_end() {
        let shared = shared();
        shared.state().life = Life::Idle;

        for _ in 0..3 {
            let outcome = ask(&shared, Operation::Refresh).1.await.unwrap();
            assert!(matches!(outcome, Err(TokenError::WorkerUnstartable { .. })));
        }
        let (answer, _) = oneshot::channel();
        let deadline = Instant::now() + Duration::from_secs(1);
        let fourth = Job {
            id: 0,
            operation: Operation::Refresh,
            lane: Lane::Batch,
            client: String::new(),
            deadline,
            deaths: 0,
            answer,
        };

        assert!(matches!(shared.take_in(fourth), Err(TokenError::WorkerUnstartable { .. })));
        assert!(matches!(shared.state().life, Life::Idle));
    }

    #[tokio::test]
    async fn a_client_that_fills_a_lane_turns_nobody_else_away() {
        let shared = shared();
        let ask = |client: &str| {
            let (answer, outcome) = oneshot::channel();
            let (client, deadline) = (client.to_owned(), Instant::now() + Duration::from_secs(600));
            let (operation, lane) = (Operation::Refresh, Lane::Batch);
            shared.take_in(Job { id: 0, operation, lane, client, deadline, deaths: 0, answer }).map(|_| outcome)
        };
        let mut greedy: Vec<_> = (0..1_024).map(|_| ask("greedy").unwrap()).collect();

        let one_more = ask("greedy");
        let modest = ask("modest");

        assert!(matches!(one_more, Err(TokenError::Busy { waiting: 1_024, .. })));
        assert!(modest.unwrap().try_recv().is_err_and(|error| error == TryRecvError::Empty), "it waits");
        let last = greedy.pop().unwrap().await.unwrap();
        assert!(matches!(last, Err(TokenError::Busy { waiting: 1_024, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_nobody_asks_anything_is_asked_for_a_sign_of_life_each_time_and_what_it_says_is_its_standing()
    {
        let shared = shared();
        let (worker, mut reader, mut writer) = worker();
        let serving = serve(&shared, worker);
        let (asked, outcome) = ask(&shared, Operation::Refresh);
        next(&mut reader).await;
        let before = Instant::now();
        reply(&mut writer, asked, Ok(Answer::Count(3))).await;
        outcome.await.unwrap().unwrap();

        let first = next(&mut reader).await;
        let waited = before.elapsed();
        let gone = TokenError::TokenAbsent { label: "rig".to_owned(), device: "/m".into(), seen: String::new() };
        reply(&mut writer, first.id, Err(gone.clone())).await;
        let at_once = next(&mut reader).await;
        let while_away = shared.standing();
        reply(&mut writer, at_once.id, Ok(Answer::Done)).await;
        let later = next(&mut reader).await;

        assert_eq!([&first, &at_once, &later].map(|request| request.operation.name()), ["keep alive"; 3]);
        assert!((Duration::from_secs(60)..Duration::from_secs(61)).contains(&waited), "{waited:?}");
        assert!(matches!(while_away, Standing::Failing(Failing { error, .. }) if error == gone));
        assert!(matches!(shared.standing(), Standing::Serving));
        serving.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_hangs_is_ended_also_when_the_caller_did_not_wait_for_its_deadline() {
        let shared = shared();
        let (worker, mut reader, _writer) = worker();
        let serving = serve(&shared, worker);
        let (begun, outcome) = ask(&shared, Operation::Refresh);
        next(&mut reader).await;

        drop(outcome);
        shared.give_up(begun, Instant::now() + Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(9)).await;
        let within = matches!(shared.state().life, Life::Serving(_));
        serving.await.unwrap();

        assert!(within, "until its deadline it may go on");
    }
}
