//! The worker's process as its parent sees it: start, login, single questions, end.

use super::{
    address::TokenDescription,
    error::TokenError,
    frame::{self, Frames},
    message::{Answer, Operation, PlainSecret, RequestRef, Response},
    pin::{Candidate, PinKeeper},
    pool::TokenSettings,
    softhsm,
    worker::FINISH_WITHIN,
};
use std::{
    os::unix::net::UnixStream as StdUnixStream,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    time::{Instant, timeout, timeout_at},
};

/// A child process that has opened its token.
pub(super) struct Worker {
    pub(super) child: Child,
    pub(super) reader: Frames<OwnedReadHalf>,
    pub(super) writer: OwnedWriteHalf,
    pub(super) description: TokenDescription,
}

impl Worker {
    /// Starts a worker that serves: token open, user logged in.
    pub(super) async fn start(settings: &TokenSettings, user: &PinKeeper) -> Result<Self, TokenError> {
        // Without a process for each caller of a sealed token.
        user.check_unsealed()?;
        // The worker before may have been killed in the midst of a login.
        if let Err(error) = softhsm::mend(&settings.state_directory) {
            tracing::warn!(%error, "SoftHSM's file cannot be looked after");
        }
        let mut worker = Self::open(settings, SERVING_LOCK).await?;
        for adopt in settings.adopted.requests() {
            worker.ask(settings, adopt, START_LIMIT).await?;
        }
        let mut refusal = None;
        for candidate in user.candidates().await? {
            match worker.log_in(settings, user, &candidate, SERVING_LOCK).await {
                Ok(logged_in) => return Ok(logged_in),
                Err((Some(again), refused @ TokenError::PinRefused { .. })) => {
                    refusal = Some(refused);
                    worker = again;
                }
                Err((_, error)) => return Err(error),
            }
        }
        worker.end().await;
        // There was a candidate, so there is a refusal.
        Err(refusal.unwrap_or_else(|| TokenError::Protocol { detail: "a login without a PIN".to_owned() }))
    }

    async fn open(settings: &TokenSettings, lock_name: &str) -> Result<Self, TokenError> {
        let (child, socket) = start_process(settings)?;
        let (reader, mut writer) = socket.into_split();
        let mut reader = Frames::new(reader);
        match ask(settings, &mut reader, &mut writer, settings.open(lock_name), START_LIMIT).await? {
            Answer::Description(description) => Ok(Self { child, reader, writer, description }),
            other => Err(TokenError::Protocol { detail: format!("`open` was answered by {}", other.name()) }),
        }
    }

    /// Logs in by this PIN. A refusal leaves the worker as it was.
    async fn log_in(
        mut self,
        settings: &TokenSettings,
        user: &PinKeeper,
        candidate: &Candidate,
        lock_name: &str,
    ) -> Result<Self, (Option<Self>, TokenError)> {
        let login = Operation::Login(PlainSecret(candidate.pin()));
        match self.ask(settings, login, START_LIMIT).await {
            Ok(_) => {
                user.accepted(candidate);
                Ok(self)
            }
            Err(TokenError::PinRefused { rv, .. }) => Err((Some(self), user.refused(candidate, rv))),
            Err(error) if is_unclear(&error) => {
                self.end().await;
                Err((None, blame_pin(settings, user, candidate, (error, lock_name)).await))
            }
            Err(other) => Err((None, other)),
        }
    }

    async fn ask(
        &mut self,
        settings: &TokenSettings,
        operation: Operation,
        limit: Duration,
    ) -> Result<Answer, TokenError> {
        ask(settings, &mut self.reader, &mut self.writer, operation, limit).await
    }

    async fn end(self) {
        let Self { mut child, reader, writer, .. } = self;
        drop((reader, writer));
        end(&mut child, Instant::now() + GRACE).await;
    }
}

/// Whether an error of a login leaves open what the token made of the PIN.
pub(super) const fn is_unclear(error: &TokenError) -> bool {
    matches!(error, TokenError::Deadline { .. } | TokenError::Refused { .. } | TokenError::WorkerLost { .. })
}

/// The error of a login that ended without a clear answer. If the token counts a wrong PIN afterwards it may have
/// been this one, and a try that is lost by mistake costs more than a PIN that has to be given anew.
async fn blame_pin(
    settings: &TokenSettings,
    user: &PinKeeper,
    candidate: &Candidate,
    (error, lock_name): (TokenError, &str),
) -> TokenError {
    match describe(settings, lock_name).await {
        Ok(description) if description.pin_count_low => user.refused(candidate, counted(&error)),
        _ => error,
    }
}

/// Has a worker of its own log in by this PIN, beside the one that serves.
pub(super) async fn try_pin(settings: &TokenSettings, user: &PinKeeper, given: &Candidate) -> Result<(), TokenError> {
    let worker = Worker::open(settings, LONE_LOCK).await?;
    match worker.log_in(settings, user, given, LONE_LOCK).await {
        Ok(worker) => {
            worker.end().await;
            Ok(())
        }
        Err((worker, error)) => {
            if let Some(worker) = worker {
                worker.end().await;
            }
            Err(error)
        }
    }
}

/// What stands in place of a return code for a PIN that was counted as wrong without a clear answer.
pub(super) fn counted(error: &TokenError) -> String {
    format!("{error}, and it counts a wrong PIN since")
}

/// What the token says of itself to a worker that does not log in.
pub(super) async fn describe(settings: &TokenSettings, lock_name: &str) -> Result<TokenDescription, TokenError> {
    let worker = Worker::open(settings, lock_name).await?;
    let description = worker.description.clone();
    worker.end().await;
    Ok(description)
}

/// Runs one operation in a worker of its own that opens no token.
pub(super) async fn run_first(
    settings: &TokenSettings,
    operation: Operation,
    limit: Duration,
) -> Result<Answer, TokenError> {
    let (mut child, socket) = start_process(settings)?;
    let (reader, mut writer) = socket.into_split();
    let mut reader = Frames::new(reader);
    let answer = ask(settings, &mut reader, &mut writer, operation, limit).await;
    drop((reader, writer));
    end(&mut child, Instant::now() + GRACE).await;
    answer
}

/// Runs one operation in a worker of its own that has not logged in.
pub(super) async fn run_alone(
    settings: &TokenSettings,
    operation: Operation,
    limit: Duration,
) -> Result<Answer, TokenError> {
    let mut worker = Worker::open(settings, LONE_LOCK).await?;
    let answer = worker.ask(settings, operation, limit).await;
    worker.end().await;
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
    // In a group of its own, so that Ctrl-C at the terminal reaches us alone and we end the worker between two calls.
    command.process_group(0);
    command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
    Ok((command.spawn()?, UnixStream::from_std(ours)?))
}

/// One question and its answer, before the queue is in use.
async fn ask(
    settings: &TokenSettings,
    reader: &mut Frames<OwnedReadHalf>,
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
    writer.write_all(&bytes).await.map_err(|_| lost())?;
    match timeout(limit, reader.next::<Response>()).await {
        Ok(Ok(Some(response))) => response.result,
        Ok(Ok(None) | Err(_)) => Err(lost()),
        Err(_) => Err(TokenError::Deadline { token, operation: name, limit_ms: deadline_ms }),
    }
}

/// Waits for a child whose socket is closed, and kills one that is still there then; how it ended by itself.
pub(super) async fn end(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    let Ok(ended) = timeout_at(until, child.wait()).await else {
        // Already gone is what we want.
        let _ = child.kill().await;
        return None;
    };
    ended.ok()
}

/// The lock of the worker that serves.
const SERVING_LOCK: &str = "worker.lock";
/// The lock of a worker that stands beside it for one operation.
pub(super) const LONE_LOCK: &str = "worker-alone.lock";
/// Module load, login and reading of all objects.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a worker may go on after its caller's deadline, and how long it may take to end.
pub(super) const GRACE: Duration = Duration::from_millis(250);
/// How long a worker that is well may take to finish what it has begun, and end.
pub(super) const ORDERLY_END: Duration = FINISH_WITHIN.saturating_add(GRACE);
