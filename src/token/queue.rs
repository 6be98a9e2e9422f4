//! The queue in front of a worker: two lanes, each bounded, taken in turn; and in each lane the clients in turn, so
//! that one with many requests at once holds no other up.

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
    /// For whom, to be fair by; empty for keyward's own work.
    pub(super) client: String,
    pub(super) deadline: Instant,
    /// Workers that ended with this job under way.
    pub(super) deaths: u8,
    pub(super) answer: oneshot::Sender<Result<Answer, TokenError>>,
}

/// Jobs that no worker has yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: [Turns; 2],
    batch_turn: bool,
}

/// The jobs of one lane: a queue for each client that waits, the next client first.
#[derive(Debug, Default)]
struct Turns(VecDeque<VecDeque<Job>>);

impl Queue {
    /// How many wait in a lane, if there is no room for one more.
    pub(super) fn waiting_if_full(&self, lane: Lane) -> Option<usize> {
        Some(self.waiting(lane)).filter(|waiting| *waiting >= LANE_LENGTH)
    }

    /// How many wait in a lane.
    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.lanes[lane as usize].jobs()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|turns| turns.0.is_empty())
    }

    pub(super) fn push(&mut self, job: Job) {
        self.lanes[job.lane as usize].push(job);
    }

    /// Puts a job back to the head of its lane; it may stand over the bound, because it had its place before.
    pub(super) fn put_back(&mut self, job: Job) {
        self.lanes[job.lane as usize].put_back(job);
    }

    /// The next job, the lanes in turn; from the batches' lane only while there are places that they may take.
    pub(super) fn next(&mut self, places_for_batches: usize) -> Option<Job> {
        let turn = if self.batch_turn { [Lane::Batch, Lane::Single] } else { [Lane::Single, Lane::Batch] };
        let open = turn.into_iter().filter(|lane| *lane == Lane::Single || places_for_batches > 0);
        let job = open.into_iter().find_map(|lane| self.lanes[lane as usize].next())?;
        self.batch_turn = job.lane == Lane::Single;
        Some(job)
    }

    /// Takes the last job of whoever has most in a full lane, for a client that has less: otherwise one client could
    /// fill the lane, and nobody else would get a turn.
    pub(super) fn give_way(&mut self, lane: Lane, client: &str) -> Option<Job> {
        self.lanes[lane as usize].give_way(client)
    }

    /// Drops a job whose caller is gone.
    pub(super) fn forget(&mut self, id: u64) {
        for Turns(clients) in &mut self.lanes {
            clients.iter_mut().for_each(|jobs| jobs.retain(|job| job.id != id));
            clients.retain(|jobs| !jobs.is_empty());
        }
    }

    /// Takes every job out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Job> {
        self.lanes.iter_mut().flat_map(|turns| turns.0.drain(..).flatten())
    }
}

impl Turns {
    fn jobs(&self) -> usize {
        self.0.iter().map(VecDeque::len).sum()
    }

    fn push(&mut self, job: Job) {
        match self.place(&job.client) {
            Some(place) => self.0[place].push_back(job),
            None => self.0.push_back(VecDeque::from([job])),
        }
    }

    fn put_back(&mut self, job: Job) {
        let mut jobs = self.place(&job.client).and_then(|place| self.0.remove(place)).unwrap_or_default();
        jobs.push_front(job);
        self.0.push_front(jobs);
    }

    /// A job of the client whose turn it is, which is last from then on.
    fn next(&mut self) -> Option<Job> {
        let mut jobs = self.0.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.0.push_back(jobs);
        }
        job
    }

    fn give_way(&mut self, client: &str) -> Option<Job> {
        let own = self.place(client).map_or(0, |place| self.0[place].len());
        let most = self.0.iter_mut().max_by_key(|jobs| jobs.len())?;
        // At least one stays, so that no client is left without jobs.
        if most.len() > own + 1 { most.pop_back() } else { None }
    }

    fn place(&self, client: &str) -> Option<usize> {
        self.0.iter().position(|jobs| jobs.front().is_some_and(|job| job.client == client))
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
        let client = String::new();
        Job { id, operation: Operation::Refresh, lane, client, deadline: Instant::now(), deaths: 0, answer }
    }

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.next(1)).map(|job| job.id).collect()
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
    fn a_single_passes_batches_for_which_there_is_no_place() {
        let mut queue = Queue::default();
        for id in 1..=2 {
            queue.push(job(id, Lane::Batch));
        }
        queue.push(job(3, Lane::Single));
        queue.next(1);

        assert_eq!(queue.next(0).map(|job| job.id), None);
        queue.push(job(4, Lane::Single));
        assert_eq!(queue.next(0).map(|job| job.id), Some(4));
        assert_eq!(order(&mut queue), [1, 2]);
    }

    #[test]
    fn clients_of_a_lane_are_taken_in_turn_however_many_jobs_one_has() {
        let mut queue = Queue::default();
        for (id, client) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c"), (6, "b")] {
            queue.push(Job { client: client.to_owned(), ..job(id, Lane::Batch) });
        }

        assert_eq!(order(&mut queue), [1, 4, 5, 2, 6, 3]);
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

    #[test]
    fn in_a_full_lane_the_client_with_most_jobs_gives_way_to_one_with_fewer_and_to_no_other() {
        let mut queue = Queue::default();
        for (id, client) in [(1, "a"), (2, "b"), (3, "b"), (4, "b"), (5, "c"), (6, "c")] {
            queue.push(Job { client: client.to_owned(), ..job(id, Lane::Single) });
        }
        let mut gives_way = |client| queue.give_way(Lane::Single, client).map(|job| job.id);

        assert_eq!(gives_way("b"), None);
        assert_eq!(gives_way("c"), None);
        assert_eq!(gives_way("d"), Some(4));
        assert_eq!(gives_way("a"), None);
    }
}
