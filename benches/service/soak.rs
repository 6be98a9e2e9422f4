//! A minute at full load while the token worker is killed again and again: every answer is a signature that verifies,
//! or a 503 that says when to come again; and nothing grows.

use crate::{
    Outcome,
    carrier::Carrier,
    http1::{Connection, request},
    instance::{Instance, Service},
    load::block_on,
    workload::Algorithm,
};
use base64ct::{Base64, Encoding as _};
use keyward::pki::public_key::PublicKey;
use serde::Deserialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

/// Runs it and prints what was seen.
///
/// # Errors
/// An answer that is neither, a connection that broke, or memory or descriptors that grew.
pub(crate) fn run(instance: &Instance, seconds: u64) -> Outcome<()> {
    let mut service = instance.serve()?;
    let carrier = instance.carrier(&service)?;
    block_on(async {
        let (counts, over) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for number in 0..CONNECTIONS {
            let algorithm = [Algorithm::Rsa2048, Algorithm::P256][number as usize % 2];
            let public = public_key(&service, algorithm).await?;
            let connection = carrier.connect().await?;
            clients.spawn(sign(connection, (algorithm, public, number), Arc::clone(&counts), Arc::clone(&over)));
        }
        let seen = watch(&mut service, &counts, seconds).await;
        over.store(true, Ordering::Relaxed);
        while let Some(client) = clients.join_next().await {
            client??;
        }
        seen
    })
}

#[derive(Default)]
struct Counts {
    signed: AtomicU64,
    refused: AtomicU64,
}

/// Kills the worker every few seconds; memory and descriptors are looked at just before each time.
async fn watch(service: &mut Service, counts: &Counts, seconds: u64) -> Outcome<()> {
    println!("{:>4}  {:>10}  {:>6}  {:>8}  {:>11}", "s", "signed", "503s", "MiB", "descriptors");
    let (started, mut sizes) = (Instant::now(), Vec::new());
    while started.elapsed().as_secs() < seconds {
        sleep(BETWEEN_KILLS).await;
        let (memory, descriptors) = service.footprint()?;
        let [signed, refused] = [&counts.signed, &counts.refused].map(|count| count.load(Ordering::Relaxed));
        println!("{:4}  {signed:10}  {refused:6}  {memory:8.1}  {descriptors:11}", started.elapsed().as_secs());
        sizes.push((memory, descriptors));
        service.kill_worker()?;
        service.find_worker().await?;
    }
    // The first is from when everything had been used once.
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return Err("too short".into()) };
    if last.0 > first.0 + GROWTH_MIB || last.1 > first.1 {
        return Err(format!("it grew from {first:?} to {last:?} (MiB, descriptors)").into());
    }
    println!("every signature verified; every refusal was a 503 with Retry-After");
    Ok(())
}

/// Another digest each time, so that an answer to somebody else is seen.
async fn sign(
    mut connection: Connection,
    (algorithm, public, client): (Algorithm, PublicKey, u32),
    counts: Arc<Counts>,
    over: Arc<AtomicBool>,
) -> Outcome<()> {
    let path = format!("/api/v1/keys/{}/sign", algorithm.name());
    let mut digest = [7; 32];
    digest[..4].copy_from_slice(&client.to_be_bytes());
    for number in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        digest[4..12].copy_from_slice(&number.to_be_bytes());
        let body = format!("{{\"digests\":[\"{}\"]}}", Base64::encode_string(&digest));
        let answer = connection.exchange(&request("POST", &path, &body)).await?;
        match answer.status {
            200 => {
                verify(&public, &digest, answer.body)?;
                counts.signed.fetch_add(1, Ordering::Relaxed);
            }
            503 if answer.retry_after => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                sleep(REFUSED_PAUSE).await;
            }
            _ => return Err(String::from_utf8_lossy(answer.body).into()),
        }
    }
    Ok(())
}

fn verify(public: &PublicKey, digest: &[u8], body: &[u8]) -> Outcome<()> {
    #[derive(Deserialize)]
    struct Signed {
        signatures: [String; 1],
    }

    let signed: Signed = serde_json::from_slice(body)?;
    let signature = Base64::decode_vec(&signed.signatures[0]).map_err(|error| error.to_string())?;
    Ok(public.verify_prehash(public.algorithm().default_signature(), digest, &signature)?)
}

async fn public_key(service: &Service, algorithm: Algorithm) -> Outcome<PublicKey> {
    #[derive(Deserialize)]
    struct Public {
        pem: String,
    }

    let mut connection = Carrier::Socket(service.socket().to_owned()).connect().await?;
    let path = format!("/api/v1/keys/{}/public", algorithm.name());
    let answer = connection.exchange(&request("GET", &path, "")).await?;
    Ok(PublicKey::from_pem(&serde_json::from_slice::<Public>(answer.body)?.pem)?)
}

/// How long it runs unless told otherwise.
pub(crate) const SECONDS: u64 = 60;
const CONNECTIONS: u32 = 32;
const BETWEEN_KILLS: Duration = Duration::from_secs(5);
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
/// What an allocator may need more after a minute.
const GROWTH_MIB: f64 = 8.0;
