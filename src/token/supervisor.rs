//! What the pool asks of its worker: take a job in, answer it or give it up at its deadline, end.
//!
//! The worker's own life is in [`life`](super::life).

use super::{
    address::TokenDescription,
    error::TokenError,
    figures::{Figures, Standing},
    life::Shared,
    message::{Answer, Operation},
    pin::PinKeeper,
    pool::TokenSettings,
    process::START_LIMIT,
    queue::{Job, Lane},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

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

impl Supervisor {
    pub(super) fn new(settings: Arc<TokenSettings>, user: Arc<PinKeeper>) -> Self {
        Self { shared: Arc::new(Shared::new(settings, user)) }
    }

    /// The same pool's, for its own questions.
    pub(super) const fn over(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What came of a sign of life. A full queue says nothing about the token.
    pub(super) fn note(&self, error: Option<&TokenError>) {
        match error {
            Some(TokenError::Busy { .. }) => {}
            Some(error) => self.shared.note_failing(error),
            None => self.shared.note_well(),
        }
    }

    /// Whether the token can be used, as far as is known.
    pub(super) fn standing(&self) -> Standing {
        self.shared.standing()
    }

    /// Takes a job of keyward's own into its lane, and starts a worker if there is none.
    pub(super) fn submit(&self, operation: Operation, lane: Lane, limit: Duration) -> Result<Waiting, TokenError> {
        self.submit_for(String::new(), operation, lane, limit)
    }

    /// Takes a client's job into its lane, and starts a worker if there is none.
    pub(super) fn submit_for(
        &self,
        client: String,
        operation: Operation,
        lane: Lane,
        limit: Duration,
    ) -> Result<Waiting, TokenError> {
        let (sender, answer) = oneshot::channel();
        let name = operation.name();
        let deadline = Instant::now() + limit;
        let job = Job { id: 0, operation, lane, client, deadline, deaths: 0, answer: sender };
        let id = self.shared.take_in(job)?;
        Ok(Waiting { shared: Arc::clone(&self.shared), id, operation: name, limit, deadline, answer })
    }

    /// What the token said when it was opened; starts a worker if there is none.
    pub(super) async fn description(&self) -> Result<TokenDescription, TokenError> {
        self.submit(Operation::ListKeks, Lane::Batch, START_LIMIT)?.answer().await?;
        self.shared.description().ok_or_else(|| TokenError::Protocol {
            detail: "a worker that serves but never described its token".to_owned(),
        })
    }

    pub(super) fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Ends the worker in order and waits until it is gone; what is asked for later starts another one.
    pub(super) async fn retire(&self) {
        self.shared.retire().await;
    }

    /// Ends the worker for good and waits until it is gone; what it has begun it may finish.
    pub(super) async fn close(&self) {
        self.shared.close().await;
    }
}

impl Waiting {
    /// The answer, or [`TokenError::Deadline`] when the time is over.
    pub(super) async fn answer(mut self) -> Result<Answer, TokenError> {
        match timeout_at(self.deadline, &mut self.answer).await {
            Ok(Ok(result)) => result,
            // Dropped unsent: its time was over before the worker had room for it.
            Ok(Err(_)) if Instant::now() < self.deadline => {
                Err(TokenError::WorkerLost { token: self.shared.token(), operation: self.operation.to_owned() })
            }
            Ok(Err(_)) | Err(_) => {
                self.shared.note_late();
                Err(TokenError::Deadline {
                    token: self.shared.token(),
                    operation: self.operation.to_owned(),
                    limit_ms: u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
                })
            }
        }
    }
}

impl Drop for Waiting {
    /// Without its answer the caller has gone, or its time is over.
    fn drop(&mut self) {
        if !self.answer.is_terminated() {
            self.shared.give_up(self.id, self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{
        address::TokenAddress,
        adoptions::Adoptions,
        pin::{PinSource, RefusedPin},
    };

    #[tokio::test]
    async fn a_job_whose_caller_is_gone_holds_no_place_in_its_lane() {
        let settings = TokenSettings {
            address: TokenAddress { device: "/none.so".into(), label: "rig".to_owned() },
            sessions: 1,
            pin: PinSource::File("/none".into()),
            so_pin: None,
            attestation_roots: None,
            environment: Vec::new(),
            adopted: Adoptions::default(),
            keep_alive: None,
            state_directory: "/none".into(),
            executable: "/none/keyward".into(),
        };
        let user = PinKeeper::new("rig", settings.pin.clone(), RefusedPin::of_user("/none".as_ref()));
        let supervisor = Supervisor::new(Arc::new(settings), Arc::new(user));
        let submit = || supervisor.submit(Operation::Refresh, Lane::Batch, START_LIMIT).unwrap();
        let (first, _second) = (submit(), submit());

        drop(first);

        assert_eq!(supervisor.figures().waiting_batch, 1);
    }
}
