//! The life of a worker, and the queue in front of it.
//!
//! Two lanes, bounded, taken in turn; at most two jobs a session in the child. A caller is answered at its
//! deadline; a worker that has not answered a quarter of a second later is killed. After a death, what
//! cannot have changed the token is sent again once; the rest is answered as lost.

use super::{
    address::TokenDescription,
    error::TokenError,
    frame,
    message::{Answer, Operation, PlainSecret, RequestRef, Response},
    pin::RefusedPin,
    pool::TokenSettings,
};
use std::{
    collections::{HashMap, VecDeque},
    os::unix::net::UnixStream as StdUnixStream,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use zeroize::Zeroizing;

/// Which queue a job waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Many at once: batches of signatures, backups, listings.
    Batch,
    /// One signature that somebody waits for.
    Single,
}

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
}

#[derive(Debug, Default)]
struct State {
    life: Life,
    waiting: [VecDeque<Job>; 2],
    under_way: HashMap<u64, Job>,
    next_id: u64,
    batch_turn: bool,
    description: Option<TokenDescription>,
    supervision: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
enum Life {
    /// No worker, none wanted.
    #[default]
    Idle,
    /// A worker is being started.
    Starting,
    /// A worker is there.
    Serving(Link),
}

/// What leads to a worker that serves.
#[derive(Clone, Debug)]
struct Link {
    frames: mpsc::UnboundedSender<Zeroizing<Vec<u8>>>,
    end: Arc<Notify>,
}

#[derive(Debug)]
struct Job {
    id: u64,
    operation: Operation,
    lane: Lane,
    deadline: Instant,
    deaths: u8,
    answer: oneshot::Sender<Result<Answer, TokenError>>,
}

impl Supervisor {
    pub(super) fn new(settings: Arc<TokenSettings>) -> Self {
        Self { shared: Arc::new(Shared { settings, state: Mutex::default() }) }
    }

    /// Takes a job into its lane, and starts a worker if there is none.
    pub(super) fn submit(&self, operation: Operation, lane: Lane, limit: Duration) -> Result<Waiting, TokenError> {
        let (sender, answer) = oneshot::channel();
        let name = operation.name();
        let mut state = self.shared.state();
        let waiting = state.waiting[lane as usize].len();
        if waiting >= LANE_LENGTH {
            return Err(TokenError::Busy { token: self.shared.token(), waiting });
        }
        state.next_id += 1;
        let id = state.next_id;
        let deadline = Instant::now() + limit;
        state.waiting[lane as usize].push_back(Job { id, operation, lane, deadline, deaths: 0, answer: sender });
        match state.life {
            Life::Idle => {
                state.life = Life::Starting;
                state.supervision = Some(tokio::spawn(Arc::clone(&self.shared).supervise()));
            }
            Life::Starting => {}
            Life::Serving(_) => self.shared.dispatch(&mut state),
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

    /// Ends the worker by closing its socket, and waits until it is gone.
    pub(super) async fn close(&self) {
        let supervision = {
            let mut state = self.shared.state();
            if let Life::Serving(link) = &state.life {
                link.end.notify_one();
            }
            state.supervision.take()
        };
        if let Some(supervision) = supervision {
            // A worker that is only being started is ended with the runtime.
            let _ = timeout(2 * GRACE, supervision).await;
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self) -> String {
        self.settings.address.label.clone()
    }

    /// Runs workers, one after the other, as long as there is something to do for them.
    async fn supervise(self: Arc<Self>) {
        let mut deaths = 0;
        loop {
            let started = Instant::now();
            match Worker::start(&self.settings).await {
                Ok(worker) => {
                    self.serve(worker).await;
                    deaths = if started.elapsed() > GOOD_LIFE { 1 } else { deaths + 1 };
                }
                Err(error) => {
                    self.refuse_all(&error);
                    return;
                }
            }
            if !self.mourn() {
                return;
            }
            tokio::time::sleep(RESPAWN_AFTER[deaths.min(RESPAWN_AFTER.len()) - 1]).await;
        }
    }

    /// Feeds one worker until it is gone.
    async fn serve(&self, worker: Worker) {
        let Worker { mut child, mut reader, writer, description } = worker;
        let (sender, frames) = mpsc::unbounded_channel();
        let feeding = tokio::spawn(feed(writer, frames));
        let link = Link { frames: sender, end: Arc::default() };
        let ending = Arc::clone(&link.end);
        {
            let mut state = self.state();
            state.description = Some(description);
            state.life = Life::Serving(link);
            self.dispatch(&mut state);
        }
        loop {
            tokio::select! {
                response = frame::read::<Response>(&mut reader) => match response {
                    Ok(Some(response)) => self.finish(response),
                    Ok(None) | Err(_) => break,
                },
                () = ending.notified() => break,
            }
        }
        feeding.abort();
        end(&mut child, reader).await;
    }

    /// Hands jobs over while the child has room, the lanes in turn.
    fn dispatch(&self, state: &mut State) {
        while state.under_way.len() < 2 * self.settings.sessions {
            let Life::Serving(link) = &state.life else { return };
            let link = link.clone();
            let turn = if state.batch_turn { [Lane::Batch, Lane::Single] } else { [Lane::Single, Lane::Batch] };
            let Some(job) = turn.into_iter().find_map(|lane| state.waiting[lane as usize].pop_front()) else { return };
            state.batch_turn = job.lane == Lane::Single;
            hand_over(state, &link, job);
        }
    }

    fn finish(&self, response: Response) {
        let mut state = self.state();
        if let Some(job) = state.under_way.remove(&response.id) {
            // The caller may have given up; then nobody wants the answer.
            let _ = job.answer.send(response.result);
        }
        self.dispatch(&mut state);
    }

    /// A caller's time is over: forget the job if it still waits, end the worker if it still has it soon after.
    fn give_up(self: &Arc<Self>, id: u64) {
        let mut state = self.state();
        for lane in &mut state.waiting {
            lane.retain(|job| job.id != id);
        }
        if state.under_way.contains_key(&id) {
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GRACE).await;
                let state = shared.state();
                if let (Life::Serving(link), true) = (&state.life, state.under_way.contains_key(&id)) {
                    tracing::warn!(token.label = shared.token(), "the token worker hangs and is ended");
                    link.end.notify_one();
                }
            });
        }
    }

    /// After a worker's end: answers what was under way or queues it again. Whether another worker is wanted.
    fn mourn(&self) -> bool {
        let mut state = self.state();
        let lost: Vec<Job> = state.under_way.drain().map(|(_, job)| job).collect();
        for mut job in lost {
            let (token, operation) = (self.token(), job.operation.name().to_owned());
            job.deaths += 1;
            if !job.operation.is_repeatable() {
                let _ = job.answer.send(Err(TokenError::WorkerLost { token, operation }));
            } else if job.deaths > 1 {
                let _ = job.answer.send(Err(TokenError::Quarantined { token, operation }));
            } else {
                state.waiting[job.lane as usize].push_front(job);
            }
        }
        let wanted = state.waiting.iter().any(|lane| !lane.is_empty());
        state.life = if wanted { Life::Starting } else { Life::Idle };
        wanted
    }

    /// No worker can be had: everybody who waits is told why, and the next call tries again.
    fn refuse_all(&self, error: &TokenError) {
        let mut state = self.state();
        state.life = Life::Idle;
        for lane in &mut state.waiting {
            for job in lane.drain(..) {
                let _ = job.answer.send(Err(error.clone()));
            }
        }
    }
}

/// Sends a job to the worker, unless nobody waits for it any more.
fn hand_over(state: &mut State, link: &Link, job: Job) {
    let left = job.deadline.saturating_duration_since(Instant::now());
    if job.answer.is_closed() || left.is_zero() {
        return;
    }
    let deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    match frame::encode(&RequestRef { id: job.id, deadline_ms, operation: &job.operation }) {
        Ok(bytes) => {
            // If the feeder is gone the worker is too, and `mourn` finds the job under way.
            let _ = link.frames.send(bytes);
            state.under_way.insert(job.id, job);
        }
        Err(error) => {
            let _ = job.answer.send(Err(TokenError::Protocol { detail: error.to_string() }));
        }
    }
}

/// A child process that has opened its token.
struct Worker {
    child: Child,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    description: TokenDescription,
}

impl Worker {
    /// Starts a worker that serves: token open, user logged in.
    async fn start(settings: &TokenSettings) -> Result<Self, TokenError> {
        let mut worker = Self::open(settings, "worker.lock").await?;
        worker.log_in(settings).await?;
        Ok(worker)
    }

    async fn open(settings: &TokenSettings, lock_name: &str) -> Result<Self, TokenError> {
        let (child, socket) = start_process(settings)?;
        let (mut reader, mut writer) = socket.into_split();
        match ask(settings, &mut reader, &mut writer, settings.open(lock_name), START_LIMIT).await? {
            Answer::Description(description) => Ok(Self { child, reader, writer, description }),
            other => Err(TokenError::Protocol { detail: format!("`open` was answered by {}", other.name()) }),
        }
    }

    async fn log_in(&mut self, settings: &TokenSettings) -> Result<(), TokenError> {
        let label = &settings.address.label;
        let refused = RefusedPin::of_user(&settings.state_directory);
        let pin = refused.read_unless_refused(&settings.pin, label)?;
        let login = Operation::Login(PlainSecret(pin.duplicate()));
        match ask(settings, &mut self.reader, &mut self.writer, login, START_LIMIT).await {
            Ok(_) => {
                refused.forget();
                Ok(())
            }
            Err(TokenError::PinRefused { rv, .. }) => Err(refused.note(&pin, &settings.pin, label, rv)),
            Err(other) => Err(other),
        }
    }
}

/// Runs one operation in a worker of its own that opens no token.
pub(super) async fn run_first(
    settings: &TokenSettings,
    operation: Operation,
    limit: Duration,
) -> Result<Answer, TokenError> {
    let (mut child, socket) = start_process(settings)?;
    let (mut reader, mut writer) = socket.into_split();
    let answer = ask(settings, &mut reader, &mut writer, operation, limit).await;
    drop(writer);
    end(&mut child, reader).await;
    answer
}

/// Runs one operation in a worker of its own that has not logged in.
pub(super) async fn run_alone(
    settings: &TokenSettings,
    operation: Operation,
    limit: Duration,
) -> Result<Answer, TokenError> {
    let mut worker = Worker::open(settings, "worker-alone.lock").await?;
    let answer = ask(settings, &mut worker.reader, &mut worker.writer, operation, limit).await;
    let Worker { mut child, reader, writer, .. } = worker;
    drop(writer);
    end(&mut child, reader).await;
    answer
}

fn start_process(settings: &TokenSettings) -> Result<(Child, UnixStream), TokenError> {
    spawn(settings).map_err(|error| TokenError::WorkerUnstartable {
        token: settings.address.label.clone(),
        cause: error.to_string(),
    })
}

/// The child gets one end of a socketpair as its standard input, and nothing of our environment but what it needs.
fn spawn(settings: &TokenSettings) -> std::io::Result<(Child, UnixStream)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(&settings.executable);
    command.arg("token-worker").env_clear().stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)));
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some(conf) = &settings.softhsm_conf {
        command.env("SOFTHSM2_CONF", conf);
    }
    Ok((command.spawn()?, UnixStream::from_std(ours)?))
}

/// One question and its answer, before the queue is in use.
async fn ask(
    settings: &TokenSettings,
    reader: &mut OwnedReadHalf,
    writer: &mut OwnedWriteHalf,
    operation: Operation,
    limit: Duration,
) -> Result<Answer, TokenError> {
    let token = settings.address.label.clone();
    let name = operation.name().to_owned();
    let deadline_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let lost = || TokenError::WorkerLost { token: token.clone(), operation: name.clone() };
    let bytes = frame::encode(&RequestRef { id: 0, deadline_ms, operation: &operation })
        .map_err(|error| TokenError::Protocol { detail: error.to_string() })?;
    frame::write(writer, &bytes).await.map_err(|_| lost())?;
    match timeout(limit, frame::read::<Response>(reader)).await {
        Ok(Ok(Some(response))) => response.result,
        Ok(Ok(None) | Err(_)) => Err(lost()),
        Err(_) => Err(TokenError::Deadline { token, operation: name, limit_ms: deadline_ms }),
    }
}

async fn feed(mut writer: OwnedWriteHalf, mut frames: mpsc::UnboundedReceiver<Zeroizing<Vec<u8>>>) {
    while let Some(bytes) = frames.recv().await {
        if frame::write(&mut writer, &bytes).await.is_err() {
            return;
        }
    }
}

/// Closes our end, which ends a worker that is well, and kills one that is not.
async fn end(child: &mut Child, reader: OwnedReadHalf) {
    drop(reader);
    if timeout(GRACE, child.wait()).await.is_err() {
        // Already gone is what we want.
        let _ = child.kill().await;
    }
}

/// Jobs that wait in a lane at most.
const LANE_LENGTH: usize = 1_024;
/// Module load, login and reading of all objects.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a worker may go on after its caller's deadline.
const GRACE: Duration = Duration::from_millis(250);
/// A worker that lived so long is not part of a row of deaths.
const GOOD_LIFE: Duration = Duration::from_secs(60);
/// Pause before the next worker, by the number of deaths in a row.
const RESPAWN_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];
