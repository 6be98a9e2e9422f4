//! The queue in front of a worker: two lanes, each bounded, taken in turn.

use super::{
    error::TokenError,
    frame,
    message::{Answer, Operation, RequestRef},
};
use std::collections::VecDeque;
use tokio::{sync::oneshot, time::Instant};
use zeroize::Zeroizing;

/// Which lane a job waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Many at once: batches of signatures, backups, listings.
    Batch,
    /// One signature that somebody waits for.
    Single,
}

/// One request and the way back to its caller.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) operation: Operation,
    pub(super) lane: Lane,
    pub(super) deadline: Instant,
    /// Workers that ended with this job under way.
    pub(super) deaths: u8,
    pub(super) answer: oneshot::Sender<Result<Answer, TokenError>>,
}

/// Jobs that no worker has yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: [VecDeque<Job>; 2],
    batch_turn: bool,
}

impl Queue {
    /// How many wait in a lane, if there is no room for one more.
    pub(super) fn waiting_if_full(&self, lane: Lane) -> Option<usize> {
        Some(self.waiting(lane)).filter(|waiting| *waiting >= LANE_LENGTH)
    }

    /// How many wait in a lane.
    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.lanes[lane as usize].len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    pub(super) fn push(&mut self, job: Job) {
        self.lanes[job.lane as usize].push_back(job);
    }

    /// Puts a job back to the head of its lane; it may stand over the bound, because it had its place before.
    pub(super) fn put_back(&mut self, job: Job) {
        self.lanes[job.lane as usize].push_front(job);
    }

    /// The next job, the lanes in turn.
    pub(super) fn next(&mut self) -> Option<Job> {
        let turn = if self.batch_turn { [Lane::Batch, Lane::Single] } else { [Lane::Single, Lane::Batch] };
        let job = turn.into_iter().find_map(|lane| self.lanes[lane as usize].pop_front())?;
        self.batch_turn = job.lane == Lane::Single;
        Some(job)
    }

    /// Drops a job whose caller is gone.
    pub(super) fn forget(&mut self, id: u64) {
        for lane in &mut self.lanes {
            lane.retain(|job| job.id != id);
        }
    }

    /// Takes every job out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Job> {
        self.lanes.iter_mut().flat_map(|lane| lane.drain(..))
    }
}

impl Job {
    /// The job as the worker reads it; none if nobody waits for it any more.
    pub(super) fn frame(&self) -> Result<Option<Zeroizing<Vec<u8>>>, TokenError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.answer.is_closed() || left.is_zero() {
            return Ok(None);
        }
        let deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        frame::encode(&RequestRef { id: self.id, deadline_ms, operation: &self.operation })
            .map(Some)
            .map_err(|error| TokenError::Protocol { detail: error.to_string() })
    }

    /// Answers; the caller may have given up, then nobody wants it.
    pub(super) fn answer(self, result: Result<Answer, TokenError>) {
        let _ = self.answer.send(result);
    }

    /// Answers that the worker ended, or will not be there.
    pub(super) fn lose(self, token: String) {
        let operation = self.operation.name().to_owned();
        self.answer(Err(TokenError::WorkerLost { token, operation }));
    }
}

/// Jobs that wait in a lane at most.
const LANE_LENGTH: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, lane: Lane) -> Job {
        let (answer, _) = oneshot::channel();
        Job { id, operation: Operation::Refresh, lane, deadline: Instant::now(), deaths: 0, answer }
    }

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.next()).map(|job| job.id).collect()
    }

    #[test]
    fn the_lanes_are_taken_in_turn_so_that_none_holds_the_other_up() {
        let mut queue = Queue::default();
        for id in 1..=3 {
            queue.push(job(id, Lane::Batch));
        }
        queue.push(job(4, Lane::Single));
        queue.push(job(5, Lane::Single));

        assert_eq!(order(&mut queue), [4, 1, 5, 2, 3]);
    }

    #[test]
    fn a_job_that_is_put_back_is_the_next_of_its_lane_and_a_forgotten_one_is_gone() {
        let mut queue = Queue::default();
        for id in 1..=3 {
            queue.push(job(id, Lane::Batch));
        }

        queue.put_back(job(9, Lane::Batch));
        queue.forget(2);

        assert_eq!(order(&mut queue), [9, 1, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_lane_is_full_at_1024_jobs_and_the_other_one_is_not() {
        let mut queue = Queue::default();
        for id in 0..1_024 {
            queue.push(job(id, Lane::Batch));
        }

        assert_eq!(queue.waiting_if_full(Lane::Batch), Some(1_024));
        assert_eq!(queue.waiting_if_full(Lane::Single), None);
    }
}
