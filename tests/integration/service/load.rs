//! Everybody signs while workers are killed: no wrong answer, none lost, nothing that grows.

use crate::support::{
    Rig,
    http::{Connection, Reply},
    service::Service,
};
use base64ct::{Base64, Encoding as _};
use keyward::pki::public_key::PublicKey;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

#[test]
fn workers_that_die_under_load_cost_no_answer_but_503_with_retry_after() {
    let rig = Rig::new();
    let keys = ["rsa-2048", "p256"].map(|algorithm| {
        rig.key(algorithm, algorithm, "token-only");
        (algorithm, rig.id_and_public_key(algorithm).1)
    });
    let service = Service::start(&rig);
    let (signed, over) = (AtomicUsize::new(0), AtomicBool::new(false));

    let (before, after) = thread::scope(|scope| {
        let _over = SetAtTheEnd(&over);
        for number in 0..8 {
            let (key, connection) = (&keys[number % 2], Connection::open(service.socket()));
            let (signed, over) = (&signed, &over);
            scope.spawn(move || sign_until(key, connection, signed, over));
        }
        wait_for_more(&signed, 200);
        let before = footprint(&service);
        for _ in 0..KILLS {
            let worker = worker(&service);
            kill_process(worker, Signal::KILL).unwrap();
            while self::worker_now(&service).is_none_or(|now| now == worker) {
                thread::yield_now();
            }
            wait_for_more(&signed, 200);
        }
        (before, footprint(&service))
    });

    assert_eq!(before.1, after.1, "descriptors");
    assert!(after.0 < before.0 + 8 * 1_024, "resident memory grew from {} to {} KiB", before.0, after.0);
    assert!(service.stop().success());
    let checkpoint = rig.json(&["audit", "verify"]);
    let logged = checkpoint["logs"].as_array().unwrap().iter().find(|log| log["log"] == "signatures").unwrap();
    let logged = usize::try_from(logged["size"].as_u64().unwrap()).unwrap();
    assert!(logged >= signed.load(Ordering::Relaxed), "{logged} records for {signed:?} signatures");
}

/// Ends the signing threads, also when the test fails.
struct SetAtTheEnd<'a>(&'a AtomicBool);

impl Drop for SetAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Signs by one key over one connection, and verifies every signature.
fn sign_until(
    (label, public): &(&str, PublicKey),
    mut connection: Connection,
    signed: &AtomicUsize,
    over: &AtomicBool,
) {
    let scheme = public.algorithm().default_signature();
    for number in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let mut digest = [7; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        let request = json!({ "digests": [Base64::encode_string(&digest)] });
        let reply: Reply = connection.post(&format!("/api/v1/keys/{label}/sign"), &request).unwrap();
        match reply.status {
            200 => {
                let signature = Base64::decode_vec(reply.body["signatures"][0].as_str().unwrap()).unwrap();
                public.verify_prehash(scheme, &digest, &signature).unwrap();
                signed.fetch_add(1, Ordering::Relaxed);
            }
            503 => assert!(reply.header("retry-after").is_some(), "{}", reply.body),
            other => panic!("{other}: {}", reply.body),
        }
    }
}

/// Until so many more were signed.
fn wait_for_more(signed: &AtomicUsize, more: usize) {
    let goal = signed.load(Ordering::Relaxed) + more;
    while signed.load(Ordering::Relaxed) < goal {
        thread::yield_now();
    }
}

fn worker(service: &Service) -> Pid {
    worker_now(service).unwrap()
}

/// The service's child process, if there is one.
fn worker_now(service: &Service) -> Option<Pid> {
    let pid = service.pid().as_raw_nonzero();
    // A child belongs to the thread that made it; a thread may end while we look.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let children: String = children.collect();
    children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().unwrap()))
}

/// Resident memory in KiB, and open descriptors.
fn footprint(service: &Service) -> (usize, usize) {
    let pid = service.pid().as_raw_nonzero();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (resident, fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

/// The pauses before the next worker are 0, 1 and 5 seconds.
const KILLS: usize = 3;
