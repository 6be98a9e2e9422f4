//! Commands: long work as a recorded unit with progress and result, whoever asked for it.
//!
//! Invariants: a command has a row before it begins; it ends once, with a result or a problem; one that
//! was running when keyward ended is failed at the next start, never running for ever.

pub mod api;
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
use api::{CommandState, CommandView, ProgressView};
use serde::Serialize;
use serde_json::json;
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// The commands of this instance; cheap to clone.
#[derive(Clone)]
pub struct Commands {
    db: Database,
    audit: Audit,
    clock: Arc<dyn Clock>,
    live: Arc<Mutex<HashMap<CommandId, watch::Receiver<Live>>>>,
}

/// How far a running command is; given to the work, which moves it on.
#[derive(Clone, Debug)]
pub struct Progress(watch::Sender<Live>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Live {
    progress: ProgressView,
    ended: bool,
}

impl Progress {
    /// Says how much there is to do, in keys.
    pub fn expect(&self, total: usize) {
        self.0.send_modify(|live| live.progress.total = total);
    }

    /// One more is done.
    pub fn advance(&self) {
        self.0.send_modify(|live| live.progress.done += 1);
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
        Ok(Self { db, audit, clock, live: Arc::default() })
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
        T: Serialize + Send,
        E: Fault,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let id = CommandId::new();
        let view = CommandView::new(id, kind, caller.request, self.clock.now());
        db::insert(&self.db, &view, &caller.principal.id).await?;
        let (sender, receiver) = watch::channel(Live::default());
        self.live().insert(id, receiver);
        let work = work(Progress(sender.clone()));
        let (this, caller) = (self.clone(), caller.clone());
        tokio::spawn(async move {
            let outcome = work.await;
            if let Err(error) = &outcome {
                this.record_refusal(&caller, id, kind, error).await;
            }
            this.end(id, outcome).await;
            sender.send_modify(|live| live.ended = true);
            this.live().remove(&id);
        });
        Ok(view)
    }

    /// The command as it is, at once if it has moved on from `seen` or ended, else when it does or `wait` is over.
    ///
    /// # Errors
    /// There is no such command.
    pub async fn show(&self, id: CommandId, seen: usize, wait: Duration) -> Result<CommandView, CommandError> {
        let live = self.live().get(&id).cloned();
        let mut progress = None;
        if let Some(mut live) = live {
            let moved_on = live.wait_for(|live| live.ended || live.progress.done > seen);
            // Over time, and over when the sender is gone: both mean to answer with what there is.
            let _ = tokio::time::timeout(wait, moved_on).await;
            progress = Some(live.borrow().progress);
        }
        let mut view = db::find(&self.db, id).await?.ok_or(CommandError::Unknown { id })?;
        view.progress = progress.unwrap_or_default();
        Ok(view)
    }

    /// A command that was refused before its intent leaves a record all the same; an internal fault its words in the log.
    async fn record_refusal(&self, caller: &Caller, id: CommandId, kind: &str, error: &dyn Fault) {
        if error.entry().kind == Kind::Internal {
            tracing::error!(request.id = %caller.request, command.id = %id, error = %error, "an internal fault");
        }
        if caller.is_recorded() {
            return;
        }
        let object = ObjectRef::new("command", id, kind);
        let verdict = Verdict::of_fault(error, json!({}));
        if let Err(error) = self.audit.event(caller, "command.refuse", &object, verdict).await {
            tracing::error!(request.id = %caller.request, error = %error, "a refusal could not be recorded");
        }
    }

    async fn end<T: Serialize, E: Fault>(&self, id: CommandId, outcome: Result<T, E>) {
        let (state, result, problem) = match outcome {
            Ok(result) => (CommandState::Done, serde_json::to_string(&result).ok(), None),
            Err(error) => (CommandState::Failed, None, serde_json::to_string(&Report::of(&error)).ok()),
        };
        let ended = db::end(&self.db, id, state, result, problem, self.clock.now()).await;
        if let Err(error) = ended {
            tracing::error!(command.id = %id, error = %error, "the end of the command could not be recorded");
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<CommandId, watch::Receiver<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
