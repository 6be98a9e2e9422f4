//! The session threads: each takes jobs from one queue, performs them in its own session, and answers.

use super::backend::{self, Backend, Fate};
use crate::token::{
    error::TokenError,
    frame,
    message::{Answer, OpenToken, Operation, Request, Response, SignJob},
};
use rustix::process::{Signal, getpid, kill_process};
use std::{
    collections::VecDeque,
    io::{self, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// The threads' common ground.
pub(super) struct Crew {
    queue: Mutex<Queue>,
    /// A job has come, one is finished, or the queue is closed.
    changed: Condvar,
    socket: Mutex<UnixStream>,
    backend: OnceLock<Box<dyn Backend>>,
    gave_up: AtomicBool,
}

/// A request, and when it came.
pub(super) struct Job {
    request: Request,
    arrived: Instant,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Single signatures, which go before everything else.
    singles: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    threads: usize,
    closed: bool,
}

impl Job {
    pub(super) fn new(request: Request) -> Self {
        Self { request, arrived: Instant::now() }
    }

    fn is_single(&self) -> bool {
        matches!(&self.request.operation, Operation::Sign(job) if job.inputs.len() == 1)
    }

    /// Whether the caller has been told that it took too long; nothing may happen any more then.
    fn is_late(&self) -> bool {
        self.arrived.elapsed() > Duration::from_millis(self.request.deadline_ms)
    }
}

impl Crew {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            queue: Mutex::default(),
            changed: Condvar::new(),
            socket: Mutex::new(socket),
            backend: OnceLock::new(),
            gave_up: AtomicBool::new(false),
        }
    }

    pub(super) fn submit(&self, job: Job) {
        let mut queue = self.queue();
        let lane = if job.is_single() { &mut queue.singles } else { &mut queue.jobs };
        lane.push_back(job);
        // A thread that is at work looks for the next job by itself; waking nobody is a system call all the same.
        if queue.idle > 0 {
            self.changed.notify_one();
        }
    }

    /// Takes a request out of the queue whose caller has given up, and answers it as late; one that has been begun
    /// goes on.
    pub(super) fn cancel(&self, id: u64) {
        let job = self.queue().remove(id);
        if let Some(job) = job {
            self.answer(id, Err(self.late(&job)));
        }
    }

    /// Starts a session thread.
    pub(super) fn hire(self: &Arc<Self>, number: usize) -> io::Result<JoinHandle<()>> {
        let crew = Arc::clone(self);
        self.queue().threads += 1;
        let thread = thread::Builder::new().name(format!("session-{number}")).spawn(move || crew.work());
        if thread.is_err() {
            self.queue().threads -= 1;
        }
        thread
    }

    /// The life of one session thread.
    fn work(&self) {
        let _leaving = Leaving(self);
        while let Some(job) = self.next() {
            self.serve(&job);
        }
    }

    fn serve(&self, job: &Job) {
        let (result, fate) = self.perform(job);
        if fate == Fate::End {
            // Before the answer, so that nothing comes in any more that was asked after it.
            self.give_up();
        }
        if result.is_err() && self.gave_up() && job.request.operation.is_repeatable() {
            // The parent sends it to the next process, or tells why there is none.
            return;
        }
        self.answer(job.request.id, result);
    }

    /// Takes no more jobs, and waits for those under way; a call that hangs longer is killed with the process.
    pub(super) fn close(&self, limit: Duration) {
        let mut queue = self.queue();
        queue.jobs.clear();
        queue.singles.clear();
        queue.closed = true;
        self.changed.notify_all();
        let until = Instant::now() + limit;
        while queue.threads > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // A normal exit would run the module's destructors beside a call that is still inside it.
                let _ = kill_process(getpid(), Signal::KILL);
            }
            queue = self.changed.wait_timeout(queue, left.min(POLL)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether a session thread has asked for a new process.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Acquire)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.next() {
                return Some(job);
            }
            queue.idle += 1;
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn perform(&self, job: &Job) -> (Result<Answer, TokenError>, Fate) {
        let operation = &job.request.operation;
        match (operation, self.backend.get()) {
            (Operation::Open(open), None) => (self.open(open), Fate::GoOn),
            (Operation::MakeToken(new), None) => (backend::make_token(new).map(|()| Answer::Done), Fate::GoOn),
            (_, None) => {
                let detail = format!("`{}` comes before the token is open", operation.name());
                (Err(TokenError::Protocol { detail }), Fate::GoOn)
            }
            (_, Some(_)) if job.is_late() => (Err(self.late(job)), Fate::GoOn),
            (Operation::Sign(batch), Some(backend)) if batch.inputs.len() > 1 => {
                self.sign_batch(&**backend, job, batch)
            }
            (_, Some(backend)) => backend.perform(operation),
        }
    }

    /// One signature after the other, and between two of them a single that came meanwhile: it does not wait for the
    /// rest of the batch. The caller's time may end in between, too.
    fn sign_batch(&self, backend: &dyn Backend, job: &Job, batch: &SignJob) -> (Result<Answer, TokenError>, Fate) {
        let mut signatures = Vec::with_capacity(batch.inputs.len());
        for input in &batch.inputs {
            let single = self.queue().singles.pop_front();
            if let Some(single) = single {
                self.serve(&single);
            }
            if job.is_late() {
                return (Err(self.late(job)), Fate::GoOn);
            }
            let one = SignJob { inputs: vec![input.clone()], ..*batch };
            match backend.perform(&Operation::Sign(one)) {
                (Ok(Answer::Signatures(made)), Fate::GoOn) => signatures.extend(made),
                otherwise => return otherwise,
            }
        }
        (Ok(Answer::Signatures(signatures)), Fate::GoOn)
    }

    fn open(&self, open: &OpenToken) -> Result<Answer, TokenError> {
        let backend = backend::open(open)?;
        let description = backend.description()?;
        // Only the first request opens, so the place is free.
        let _ = self.backend.set(backend);
        Ok(Answer::Description(description))
    }

    /// What the caller of a request is told that waited longer than he did.
    fn late(&self, job: &Job) -> TokenError {
        TokenError::Deadline {
            token: self.backend.get().map(|backend| backend.name()).unwrap_or_default(),
            operation: job.request.operation.name().to_owned(),
            limit_ms: job.request.deadline_ms,
        }
    }

    fn answer(&self, id: u64, result: Result<Answer, TokenError>) {
        let Ok(frame) = response(id, result) else { return };
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        // A parent that is gone wants no answer, and the reading thread sees its end too.
        let _ = socket.write_all(&frame);
    }

    /// Ends the reading of requests, and so the process; what has not begun is left to the next one.
    fn give_up(&self) {
        self.gave_up.store(true, Ordering::Release);
        self.queue().closed = true;
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.shutdown(Shutdown::Read);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent after every statement, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn next(&mut self) -> Option<Job> {
        self.singles.pop_front().or_else(|| self.jobs.pop_front())
    }

    fn remove(&mut self, id: u64) -> Option<Job> {
        [&mut self.singles, &mut self.jobs].into_iter().find_map(|lane| {
            let place = lane.iter().position(|job| job.request.id == id)?;
            lane.remove(place)
        })
    }
}

/// The frame of an answer. One that does not fit is said to be so: without an answer its caller would wait for his
/// deadline, and a worker that is well would be taken for one that hangs.
fn response(id: u64, result: Result<Answer, TokenError>) -> io::Result<Zeroizing<Vec<u8>>> {
    let response = Response { id, result };
    frame::encode(&response).or_else(|error| {
        let what = response.result.as_ref().map_or("an error", Answer::name);
        let detail = format!("an answer of kind {what} cannot be sent: {error}");
        frame::encode(&Response { id, result: Err(TokenError::Protocol { detail }) })
    })
}

/// Counts a thread out.
struct Leaving<'a>(&'a Crew);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.queue().threads -= 1;
        self.0.changed.notify_all();
        if thread::panicking() {
            // The caller gets no answer; a new process is better than waiting for his deadline.
            self.0.give_up();
        }
    }
}

/// How often the end looks whether a job has finished.
const POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{algorithm::SignatureAlgorithm, ids::KeyId};
    use crate::token::{frame::Frames, message::PlainSecret};

    fn crew() -> (UnixStream, Crew) {
        let (parent, child) = UnixStream::pair().unwrap();
        (parent, Crew::new(child))
    }

    fn job(id: u64) -> Job {
        Job::new(Request { id, deadline_ms: 1_000, operation: Operation::Refresh })
    }

    #[test]
    fn an_answer_longer_than_a_frame_is_answered_as_a_fault_of_the_protocol() {
        let (mut parent, crew) = crew();

        crew.answer(7, Ok(Answer::Bytes(vec![0; 1 << 20])));

        let response: Response = Frames::new(&mut parent).next_blocking().unwrap().unwrap();
        assert_eq!(response.id, 7);
        let error = response.result.unwrap_err();
        assert!(matches!(&error, TokenError::Protocol { detail } if detail.contains("kind bytes")), "{error}");
    }

    #[test]
    fn a_cancelled_request_that_nobody_has_begun_is_answered_as_late_and_never_done() {
        let (mut parent, crew) = crew();
        crew.submit(job(1));
        crew.submit(job(2));

        crew.cancel(1);

        let response: Response = Frames::new(&mut parent).next_blocking().unwrap().unwrap();
        assert_eq!(response.id, 1);
        assert!(matches!(response.result, Err(TokenError::Deadline { limit_ms: 1_000, .. })));
        assert_eq!(crew.next().unwrap().request.id, 2);
    }

    #[test]
    fn a_single_signature_goes_before_what_came_before_it() {
        let (_parent, crew) = crew();
        let single = SignJob {
            key: KeyId::from_bytes([7; 16]),
            public_key_sha256: [7; 32],
            algorithm: SignatureAlgorithm::EcdsaSha256,
            inputs: vec![vec![7; 32]],
        };
        crew.submit(job(1));
        crew.submit(job(2));
        crew.submit(Job::new(Request { id: 3, deadline_ms: 1_000, operation: Operation::Sign(single) }));

        let order = [(); 3].map(|()| crew.next().unwrap().request.id);

        assert_eq!(order, [3, 1, 2]);
    }

    #[test]
    fn cancelling_a_request_that_is_under_way_is_not_answered() {
        let (mut parent, crew) = crew();
        crew.submit(job(1));
        let begun = crew.next().unwrap();

        crew.cancel(1);
        crew.answer(begun.request.id, Ok(Answer::Secret(PlainSecret(crate::base::secret::Secret::new(vec![5])))));

        let response: Response = Frames::new(&mut parent).next_blocking().unwrap().unwrap();
        assert!(matches!(response.result, Ok(Answer::Secret(_))));
    }
}
