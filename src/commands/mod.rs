//! Commands: long work as a recorded unit with progress and result, whoever asked for it; and [`claims`], by which a
//! request is carried out once however often it is sent.
//!
//! Invariants: a command has a row before it begins; it ends once, with a result or a problem, whatever becomes
//! of its work or of the disk; one that nobody works on any more is failed, never running for ever. While
//! keyward runs, memory knows best: the row is the durable copy of how a command ended.

pub mod api;
pub mod claims;
mod db;
pub mod error;

pub use error::CommandError;

use crate::audit::{Audit, ObjectRef, Verdict};
use crate::base::{
    fault::{Fault, Kind, Report},
    ids::CommandId,
    principal::Caller,
    time::Clock,
};
use crate::db::Database;
use api::{CommandState, CommandView};
use claims::LiveClaims;
use serde::Serialize;
use serde_json::json;
use std::{
    collections::HashMap,
    future::{Future, pending},
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch, task::spawn_blocking};

/// The commands of this instance; cheap to clone.
#[derive(Clone)]
pub struct Commands {
    db: Database,
    audit: Audit,
    clock: Arc<dyn Clock>,
    /// Commands at work, and those whose end could not be written.
    live: Arc<Mutex<HashMap<CommandId, watch::Receiver<CommandView>>>>,
    claims: LiveClaims,
}

/// How far a running command is; given to the work, which moves it on.
#[derive(Clone, Debug)]
pub struct Progress(watch::Sender<CommandView>);

impl Progress {
    /// Says how much there is to do, in keys.
    pub fn expect(&self, total: usize) {
        self.0.send_modify(|view| view.progress.total = total);
    }

    /// One more is done.
    pub fn advance(&self) {
        self.0.send_modify(|view| view.progress.done += 1);
    }
}

/// Runs what computes for long on a thread of its own: the few threads that answer requests must not wait for it.
pub async fn aside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = Handle::current();
    match spawn_blocking(move || runtime.block_on(work)).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime goes down, and whoever waits goes with it.
            Err(_) => pending().await,
        },
    }
}

impl Commands {
    /// The commands in this database; one that was left running by an earlier process is failed.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn open(db: Database, audit: Audit, clock: Arc<dyn Clock>) -> Result<Self, CommandError> {
        let report = Report::of(&CommandError::Interrupted);
        db::fail_running(&db, &report, clock.now()).await?;
        Ok(Self { db, audit, clock, live: Arc::default(), claims: LiveClaims::default() })
    }

    /// Records a command and begins its work in the background.
    ///
    /// # Errors
    /// The row cannot be written: then nothing was begun.
    pub async fn start<T, E, F>(
        &self,
        caller: &Caller,
        kind: &'static str,
        work: impl FnOnce(Progress) -> F,
    ) -> Result<CommandView, CommandError>
    where
        T: Serialize + Send + 'static,
        E: Fault,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let view = CommandView::new(CommandId::new(), kind, caller.request, self.clock.now());
        db::insert(&self.db, &view, &caller.principal().id).await?;
        let (sender, receiver) = watch::channel(view.clone());
        self.live().insert(view.id, receiver);
        // A task of its own, so that a panic in the work is seen from outside.
        let work = tokio::spawn(aside(work(Progress(sender.clone()))));
        let (this, caller, id) = (self.clone(), caller.clone(), view.id);
        tokio::spawn(async move {
            let outcome = match work.await {
                Ok(Ok(result)) => Ok(serde_json::to_value(result).unwrap_or_default()),
                Ok(Err(error)) => Err(this.refusal(&caller, (kind, id), &error).await),
                Err(cause) => {
                    tracing::error!(request.id = %caller.request, command.id = %id, %cause, "a command broke off");
                    Err(this.refusal(&caller, (kind, id), &CommandError::Interrupted).await)
                }
            };
            this.end(&sender, outcome).await;
        });
        Ok(view)
    }

    /// The command as it is, at once if it has moved on from `seen` or ended, else when it does or `wait` is over.
    ///
    /// # Errors
    /// There is no such command.
    pub async fn show(&self, id: CommandId, seen: usize, wait: Duration) -> Result<CommandView, CommandError> {
        let live = self.live().get(&id).cloned();
        if let Some(mut live) = live {
            let moved_on = live.wait_for(|view| view.state != CommandState::Running || view.progress.done > seen);
            // Over time, and over when the sender is gone: both mean to answer with what there is.
            let _ = tokio::time::timeout(wait, moved_on).await;
            return Ok(live.borrow().clone());
        }
        let mut view = db::find(&self.db, id).await?.ok_or(CommandError::Unknown { id })?;
        if view.state == CommandState::Running {
            view.state = CommandState::Failed;
            view.problem = Some(Report::of(&CommandError::Interrupted));
        }
        Ok(view)
    }

    /// The report of a failure. One that was met before the intent leaves a record all the same; an internal one its
    /// words in the log.
    async fn refusal(&self, caller: &Caller, (kind, id): (&'static str, CommandId), error: &dyn Fault) -> Report {
        let report = Report::of(error);
        if report.kind == Kind::Internal {
            tracing::error!(request.id = %caller.request, command.id = %id, %error, "an internal fault");
        }
        if !caller.is_recorded() {
            let object = ObjectRef::new("command", id, "");
            let verdict = Verdict::of_fault(error, json!({}));
            if let Err(error) = self.audit.event(caller, kind, &object, verdict).await {
                tracing::error!(request.id = %caller.request, %error, "a refusal could not be recorded");
            }
        }
        report
    }

    /// Writes the end down, then tells of it. What cannot be written stays in memory, for whoever asks.
    async fn end(&self, sender: &watch::Sender<CommandView>, outcome: Result<serde_json::Value, Report>) {
        let mut view = sender.borrow().clone();
        view.finished_at = Some(self.clock.now());
        match outcome {
            Ok(result) => (view.state, view.result) = (CommandState::Done, Some(result)),
            Err(report) => (view.state, view.problem) = (CommandState::Failed, Some(report)),
        }
        let id = view.id;
        let written = db::end(&self.db, &view).await;
        sender.send_replace(view);
        match written {
            Ok(()) => drop(self.live().remove(&id)),
            Err(error) => {
                tracing::error!(command.id = %id, %error, "the end of the command could not be recorded");
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<CommandId, watch::Receiver<CommandView>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Writer;
    use crate::base::{ids::InstanceId, time::SystemClock};
    use tempfile::TempDir;

    /// Longer than any test: a wait that ends only because the command did.
    const LONG: Duration = Duration::from_secs(60);

    pub(super) struct Bench {
        pub(super) commands: Commands,
        _directory: TempDir,
    }

    impl Bench {
        pub(super) async fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let db = Database::open(&directory.path().join("keyward.db")).await.unwrap();
            let writer = Writer { instance: InstanceId::new(), suffix: String::new() };
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let audit = Audit::open(db.clone(), directory.path().join("audit"), writer, clock.clone()).await.unwrap();
            Self { commands: Commands::open(db, audit, clock).await.unwrap(), _directory: directory }
        }

        async fn sql(&self, statement: &'static str) {
            sqlx::query(statement).execute(self.commands.db.reader()).await.unwrap();
        }

        async fn ended<T, F>(&self, work: impl FnOnce(Progress) -> F) -> CommandView
        where
            T: Serialize + Send + 'static,
            F: Future<Output = Result<T, CommandError>> + Send + 'static,
        {
            let command = self.commands.start(&Caller::system(), "backup.run", work).await.unwrap();
            self.commands.show(command.id, usize::MAX, LONG).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_command_ends_with_its_result_and_so_does_its_row() {
        let bench = Bench::new().await;

        let view = bench.ended(|_| async { Ok(7) }).await;
        let row = db::find(&bench.commands.db, view.id).await.unwrap().unwrap();

        assert_eq!((view.state, &view.result), (CommandState::Done, &Some(json!(7))));
        assert_eq!((row.state, row.result, row.finished_at), (CommandState::Done, Some(json!(7)), view.finished_at));
        assert!(bench.commands.live().is_empty());
    }

    #[tokio::test]
    async fn a_command_whose_end_cannot_be_written_is_answered_with_its_end_all_the_same() {
        let bench = Bench::new().await;
        bench.sql("CREATE TRIGGER full BEFORE UPDATE ON commands BEGIN SELECT RAISE(ABORT, 'disk full'); END").await;

        let done = bench.ended(|_| async { Ok(7) }).await;
        let failed = bench.ended(|_| async { Err::<(), _>(CommandError::Interrupted) }).await;
        let again = bench.commands.show(done.id, 0, Duration::ZERO).await.unwrap();

        assert_eq!((done.state, done.result), (CommandState::Done, Some(json!(7))));
        assert_eq!(
            (failed.state, failed.problem.unwrap().code.as_str()),
            (CommandState::Failed, "command-interrupted")
        );
        assert_eq!(again.state, CommandState::Done);
    }

    #[tokio::test]
    async fn a_command_whose_work_panics_is_failed_and_recorded() {
        let bench = Bench::new().await;
        let breaks = |_| async {
            if true {
                panic!("a fault of ours");
            }
            Ok(())
        };

        let view = bench.ended(breaks).await;

        assert_eq!((view.state, view.problem.unwrap().code.as_str()), (CommandState::Failed, "command-interrupted"));
        let page = bench.commands.audit.list(crate::audit::api::RecordFilter::default()).await.unwrap();
        assert_eq!((page.items[0].event.as_str(), page.items[0].code.as_str()), ("backup.run", "command-interrupted"));
    }

    #[tokio::test]
    async fn a_running_command_is_answered_when_it_moves_on() {
        let bench = Bench::new().await;
        let (let_go, held) = tokio::sync::oneshot::channel::<()>();
        let work = |progress: Progress| async move {
            progress.expect(2);
            progress.advance();
            let _ = held.await;
            Ok::<_, CommandError>(())
        };

        let command = bench.commands.start(&Caller::system(), "backup.run", work).await.unwrap();
        let moved = bench.commands.show(command.id, 0, LONG).await.unwrap();
        let waited = bench.commands.show(command.id, 1, Duration::ZERO).await.unwrap();
        let_go.send(()).unwrap();
        let ended = bench.commands.show(command.id, 1, LONG).await.unwrap();

        assert_eq!((moved.state, moved.progress.done, moved.progress.total), (CommandState::Running, 1, 2));
        assert_eq!((waited.state, waited.progress.done), (CommandState::Running, 1));
        assert_eq!(ended.state, CommandState::Done);
    }

    #[tokio::test]
    async fn a_row_that_nobody_works_on_is_never_answered_as_running() {
        let bench = Bench::new().await;
        let view = CommandView::new(
            CommandId::new(),
            "backup.run",
            crate::base::ids::RequestId::new(),
            bench.commands.clock.now(),
        );
        db::insert(&bench.commands.db, &view, "uid:1").await.unwrap();

        let shown = bench.commands.show(view.id, 0, LONG).await.unwrap();

        assert_eq!((shown.state, shown.problem.unwrap().code.as_str()), (CommandState::Failed, "command-interrupted"));
    }
}
