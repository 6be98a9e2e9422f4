//! The life of a worker: it starts with the first job, is fed from the queue, watched, ended and replaced.
//!
//! At most two jobs a session are with the child. A caller is answered at its deadline; the child is told, and drops
//! the job if it has not begun it; one that is still at it a quarter of a second later is killed. After a death, what
//! cannot have changed the token is sent again once; the rest is answered as lost.

use super::{
    address::TokenDescription,
    backoff::Backoff,
    error::TokenError,
    frame,
    message::{Answer, Operation, RequestRef, Response},
    pool::TokenSettings,
    process::{self, GRACE, ORDERLY_END, START_LIMIT, Worker},
    queue::{Job, Lane, Queue},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::unix::OwnedWriteHalf,
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use zeroize::Zeroizing;

/// Starts, feeds, watches and ends the worker of one token.
#[derive(Clone, Debug)]
pub(super) struct Supervisor {
    shared: Arc<Shared>,
}

/// A job that has been taken in.
pub(super) struct Waiting {
    shared: Arc<Shared>,
    id: u64,
    operation: &'static str,
    limit: Duration,
    deadline: Instant,
    answer: oneshot::Receiver<Result<Answer, TokenError>>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<TokenSettings>,
    state: Mutex<State>,
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
    frames: mpsc::UnboundedSender<Zeroizing<Vec<u8>>>,
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

impl Supervisor {
    pub(super) fn new(settings: Arc<TokenSettings>) -> Self {
        Self { shared: Arc::new(Shared { settings, state: Mutex::default(), closing: Notify::new() }) }
    }

    /// Takes a job into its lane, and starts a worker if there is none.
    pub(super) fn submit(&self, operation: Operation, lane: Lane, limit: Duration) -> Result<Waiting, TokenError> {
        let (sender, answer) = oneshot::channel();
        let name = operation.name();
        let mut state = self.shared.state();
        let now = Instant::now();
        self.shared.check_open(&state, name, lane, now)?;
        state.last_id += 1;
        let (id, deadline) = (state.last_id, now + limit);
        state.queue.push(Job { id, operation, lane, deadline, deaths: 0, answer: sender });
        match state.life {
            Life::Idle => {
                state.life = Life::Starting;
                state.supervision = Some(tokio::spawn(Arc::clone(&self.shared).supervise()));
            }
            Life::Serving(_) => self.shared.dispatch(&mut state),
            Life::Closed | Life::Starting => {}
        }
        drop(state);
        Ok(Waiting { shared: Arc::clone(&self.shared), id, operation: name, limit, deadline, answer })
    }

    /// What the token said when it was opened; starts a worker if there is none.
    pub(super) async fn description(&self) -> Result<TokenDescription, TokenError> {
        self.submit(Operation::ListKeks, Lane::Batch, START_LIMIT)?.answer().await?;
        let known = self.shared.state().description.clone();
        known.ok_or_else(|| TokenError::Protocol {
            detail: "a worker that serves but never described its token".to_owned(),
        })
    }

    /// Ends the worker for good and waits until it is gone; what it has begun it may finish.
    pub(super) async fn close(&self) {
        let supervision = {
            let mut state = self.shared.state();
            state.life = Life::Closed;
            for job in state.queue.drain() {
                job.lose(self.shared.token());
            }
            state.supervision.take()
        };
        self.shared.closing.notify_one();
        if let Some(supervision) = supervision {
            // What hangs longer than that is killed, and ends with the runtime.
            let _ = timeout(ORDERLY_END + GRACE, supervision).await;
        }
    }
}

impl Waiting {
    /// The answer, or [`TokenError::Deadline`] when the time is over.
    pub(super) async fn answer(self) -> Result<Answer, TokenError> {
        match timeout_at(self.deadline, self.answer).await {
            Ok(Ok(result)) => result,
            // Dropped unsent: its time was over before the worker had room for it.
            Ok(Err(_)) if Instant::now() < self.deadline => {
                Err(TokenError::WorkerLost { token: self.shared.token(), operation: self.operation.to_owned() })
            }
            Ok(Err(_)) | Err(_) => {
                self.shared.give_up(self.id);
                Err(TokenError::Deadline {
                    token: self.shared.token(),
                    operation: self.operation.to_owned(),
                    limit_ms: u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
                })
            }
        }
    }
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
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self) -> String {
        self.settings.address.label.clone()
    }

    /// Turns a job away that cannot be served: pool closed, pause after failed starts, lane full.
    fn check_open(&self, state: &State, operation: &str, lane: Lane, now: Instant) -> Result<(), TokenError> {
        if matches!(state.life, Life::Closed) {
            return Err(TokenError::WorkerLost { token: self.token(), operation: operation.to_owned() });
        }
        if let (Life::Idle, Some(failure)) = (&state.life, state.backoff.refusal(now)) {
            return Err(failure.clone());
        }
        match state.queue.waiting_if_full(lane) {
            Some(waiting) => Err(TokenError::Busy { token: self.token(), waiting }),
            None => Ok(()),
        }
    }

    /// Runs workers, one after the other, as long as there is something to do for them.
    async fn supervise(self: Arc<Self>) {
        loop {
            let started = tokio::select! {
                started = self.start() => started,
                () = self.closing.notified() => return,
            };
            match started {
                Ok(worker) => {
                    let born = Instant::now();
                    self.serve(worker).await;
                    self.state().backoff.note_death(born, Instant::now());
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
        Worker::start(&self.settings).await
    }

    /// Feeds one worker until it is gone.
    async fn serve(&self, worker: Worker) {
        let Worker { mut child, mut reader, writer, description } = worker;
        let (sender, frames) = mpsc::unbounded_channel();
        let mut feeding = tokio::spawn(feed(writer, frames));
        let hanging = Arc::new(Notify::new());
        self.welcome(description, Link { frames: sender, hanging: Arc::clone(&hanging) });
        let mut reading = Box::pin(async {
            while let Ok(Some(response)) = frame::read::<Response>(&mut reader).await {
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
        process::end(&mut child, until).await;
    }

    /// A worker serves from now on, unless the pool was closed meanwhile.
    fn welcome(&self, description: TokenDescription, link: Link) {
        let mut state = self.state();
        state.description = Some(description);
        if matches!(state.life, Life::Starting) {
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
        while state.under_way.len() < 2 * self.settings.sessions {
            let Life::Serving(link) = &state.life else { return };
            let Some(job) = state.queue.next() else { return };
            match job.frame() {
                Ok(Some(bytes)) => {
                    if link.frames.send(bytes).is_err() {
                        // The feeder is gone, and so is the worker: the job was never sent.
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
        if let Some(job) = state.under_way.remove(&response.id) {
            job.answer(response.result);
        }
        self.dispatch(&mut state);
    }

    /// A caller's time is over: forget the job if it still waits, here or in the child, and end the worker if it has
    /// begun it and is still at it soon after.
    fn give_up(self: &Arc<Self>, id: u64) {
        let mut state = self.state();
        state.queue.forget(id);
        if !state.under_way.contains_key(&id) {
            return;
        }
        if let Life::Serving(link) = &state.life {
            let cancel = frame::encode(&RequestRef { id, deadline_ms: 0, operation: &Operation::Cancel });
            // Where the feeder is gone the worker is too.
            let _ = cancel.map(|bytes| link.frames.send(bytes));
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            sleep(GRACE).await;
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

async fn feed(mut writer: OwnedWriteHalf, mut frames: mpsc::UnboundedReceiver<Zeroizing<Vec<u8>>>) {
    while let Some(bytes) = frames.recv().await {
        if frame::write(&mut writer, &bytes).await.is_err() {
            return;
        }
    }
}
