//! Workers that die or hang: callers are answered, signatures are right, and another worker serves.

use crate::support::Rig;
use keyward::{
    base::{
        algorithm::{KeyAlgorithm, SignatureAlgorithm},
        custody::{KeyPolicy, Purpose},
        ids::KeyId,
    },
    pki::public_key::PublicKey,
    token::{
        Token, TokenError,
        message::{NewKey, SignJob},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::{JoinSet, yield_now};

const SCHEME: SignatureAlgorithm = SignatureAlgorithm::EcdsaSha256;
const SESSIONS: usize = 2;

/// A token with one P-256 key, and its pool.
struct Site {
    token: Token,
    id: KeyId,
    public_key: PublicKey,
    worker: PathBuf,
    rig: Rig,
}

impl Site {
    fn new() -> Self {
        let rig = Rig::new();
        rig.key("web", "p256", "token-only");
        let (id, public_key) = rig.id_and_public_key("web");
        let settings = rig.token_settings(SESSIONS);
        let worker = settings.executable.clone();
        Self { token: Token::new(settings, None), id, public_key, worker, rig }
    }

    async fn sign(&self, digest: [u8; 32]) -> Result<(), TokenError> {
        let signatures = self.token.sign("", job(self.id, &self.public_key, digest.to_vec())).await?;
        assert_eq!(signatures.len(), 1);
        self.public_key.verify_prehash(SCHEME, &digest, &signatures[0]).unwrap();
        Ok(())
    }

    /// The worker that serves now.
    fn worker(&self) -> Pid {
        worker(&self.worker).unwrap()
    }
}

/// The process whose command line begins with this path: the workers of each rig have one of their own.
pub(super) fn worker(executable: &Path) -> Option<Pid> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut of_rig = pids.filter(|pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next() == Some(executable.to_str().unwrap().as_bytes())
    });
    of_rig.next().and_then(Pid::from_raw)
}

/// The workers of a service: its children.
pub(super) fn children(parent: i32) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let line = format!("PPid:\t{parent}\n");
    let is_child = |pid: &i32| {
        // One that has ended and is not waited for yet has no command line.
        let is_alive = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        is_alive && fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| status.contains(&line))
    };
    pids.filter(is_child).collect()
}

fn new_key(algorithm: KeyAlgorithm) -> NewKey {
    NewKey {
        id: KeyId::new(),
        label: "new".to_owned().try_into().unwrap(),
        algorithm,
        policy: KeyPolicy::TokenOnly,
        purpose: Purpose::Tls,
        trusted_kek: false,
    }
}

fn digest_of(number: usize) -> [u8; 32] {
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_during_1000_signatures_costs_none_of_them() {
    let site = Arc::new(Site::new());
    site.sign(digest_of(0)).await.unwrap();
    let killed = site.worker();
    let answered = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();

    for caller in 0..50 {
        let (site, answered) = (Arc::clone(&site), Arc::clone(&answered));
        callers.spawn(async move {
            for number in 0..20 {
                site.sign(digest_of(caller * 20 + number)).await.unwrap();
                if answered.fetch_add(1, Ordering::Relaxed) + 1 == 300 {
                    kill_process(killed, Signal::KILL).unwrap();
                }
            }
        });
    }
    callers.join_all().await;

    assert_eq!(answered.load(Ordering::Relaxed), 1_000);
    site.sign(digest_of(1_000)).await.unwrap();
    assert_ne!(site.worker(), killed);
    site.token.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_survives_a_death_between_two_calls_and_a_second_death_soon_after() {
    let site = Site::new();

    for number in 0..3 {
        site.sign(digest_of(number)).await.unwrap();
        kill_process(site.worker(), Signal::KILL).unwrap();
    }

    site.sign(digest_of(3)).await.unwrap();
    site.token.close().await;
    assert_eq!(worker(&site.worker), None, "a pool that is closed leaves no worker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_is_given_up_at_the_deadline_and_another_one_serves() {
    let site = Site::new();
    site.sign(digest_of(0)).await.unwrap();
    let hanging = site.worker();
    kill_process(hanging, Signal::STOP).unwrap();

    let asked = Instant::now();
    let refused = site.sign(digest_of(1)).await.unwrap_err();
    let waited = asked.elapsed();
    site.sign(digest_of(2)).await.unwrap();

    assert!(matches!(&refused, TokenError::Deadline { limit_ms: 10_000, .. }), "{refused}");
    assert!((Duration::from_secs(10)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
    assert_ne!(site.worker(), hanging);
    assert!(!Path::new(&format!("/proc/{}", hanging.as_raw_pid())).exists(), "the worker that hung was not ended");
    site.token.close().await;
}

/// On one thread, so that every caller has asked when the last one has.
#[tokio::test]
async fn a_full_queue_turns_further_callers_away_at_once() {
    let site = Arc::new(Site::new());
    site.sign(digest_of(0)).await.unwrap();
    let worker = site.worker();
    kill_process(worker, Signal::STOP).unwrap();
    let room = 1_024 + 2 * SESSIONS;
    let sign = |number| {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.sign(digest_of(number)).await })
    };

    let taken_in: Vec<_> = (0..room).map(sign).collect();
    let turned_away: Vec<_> = (0..10).map(sign).collect();
    let everybody_has_asked = 100;
    for _ in 0..everybody_has_asked {
        yield_now().await;
    }

    assert_eq!(taken_in.iter().filter(|caller| caller.is_finished()).count(), 0);
    assert_eq!(turned_away.iter().filter(|caller| caller.is_finished()).count(), 10);
    kill_process(worker, Signal::CONT).unwrap();
    for caller in turned_away {
        let refused = caller.await.unwrap().unwrap_err();
        assert!(matches!(refused, TokenError::Busy { waiting: 1_024, .. }), "{refused}");
    }
    for caller in taken_in {
        caller.await.unwrap().unwrap();
    }
    site.token.close().await;
}

/// On one thread, so that the request is with the worker when it is killed.
#[tokio::test]
async fn a_generation_that_loses_its_worker_says_so_and_is_not_sent_again() {
    let site = Arc::new(Site::new());
    site.sign(digest_of(0)).await.unwrap();
    let killed = site.worker();
    let new = new_key(KeyAlgorithm::P256);
    let id = new.id;
    kill_process(killed, Signal::STOP).unwrap();
    let token = site.token.clone();
    let generation = tokio::spawn(async move { token.generate(new).await });
    yield_now().await;

    kill_process(killed, Signal::KILL).unwrap();

    let lost = generation.await.unwrap().unwrap_err();
    assert!(matches!(&lost, TokenError::WorkerLost { operation, .. } if operation == "generate"), "{lost}");
    assert!(!site.token.keys().await.unwrap().iter().any(|key| key.id == id));
    site.token.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_whose_worker_died_while_it_was_made_is_whole_or_can_be_removed() {
    let Site { rig, token, worker: executable, .. } = Site::new();
    let before = rig.objects();
    let asked = Instant::now();
    let key = token.generate(new_key(KeyAlgorithm::P256)).await.unwrap();
    let usual = asked.elapsed();
    token.destroy(key.id).await.unwrap();
    token.close().await;

    for round in 0..12 {
        let token = Token::new(rig.token_settings(SESSIONS), None);
        token.describe().await.unwrap();
        let killed = worker(&executable).unwrap();
        let new = new_key(KeyAlgorithm::P256);
        let id = new.id;
        let objects = object_files(&rig);
        let generation = tokio::spawn({
            let token = token.clone();
            async move { token.generate(new).await }
        });
        if round < 8 {
            // Each round strikes at another moment: before, during and after the generation.
            tokio::time::sleep(usual * round / 5).await;
        } else {
            // Between the two objects of a pair, or very close to it.
            while object_files(&rig) == objects && !generation.is_finished() {
                yield_now().await;
            }
        }
        kill_process(killed, Signal::KILL).unwrap();

        let made = generation.await.unwrap();
        assert!(matches!(made, Ok(_) | Err(TokenError::WorkerLost { .. })), "{made:?}");
        let seen = token.keys().await.unwrap().into_iter().find(|key| key.id == id);
        assert!(made.is_err() || seen.is_some(), "a key that was answered for is not there");
        if let Some(key) = seen {
            let public_key = PublicKey::from_der(&key.public_key_der).unwrap();
            let signatures = token.sign("", job(id, &public_key, vec![7; 32])).await.unwrap();
            public_key.verify_prehash(SCHEME, &[7; 32], &signatures[0]).unwrap();
        }
        token.destroy(id).await.unwrap();
        token.close().await;
    }

    assert_eq!(rig.objects(), before);
}

/// How many objects SoftHSM has on disk.
fn object_files(rig: &Rig) -> usize {
    let tokens = fs::read_dir(rig.directory().join("softhsm/tokens")).unwrap();
    let files = tokens.flat_map(|token| fs::read_dir(token.unwrap().path()).unwrap());
    files
        .filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|end| end == "object")))
        .count()
}

fn job(key: KeyId, public_key: &PublicKey, digest: Vec<u8>) -> SignJob {
    SignJob { key, public_key_sha256: public_key.sha256(), algorithm: SCHEME, inputs: vec![digest] }
}
