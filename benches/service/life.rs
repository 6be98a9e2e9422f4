//! How long a start takes, how soon it signs again after its token worker was killed, and what it needs at rest.

use crate::{
    Outcome,
    figures::{IdleFigures, LifeFigures, Spread},
    instance::{Instance, Service},
    load::block_on,
    plan::LONE_P256,
};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// A rig, and how many keys its token has.
pub(crate) type Filled<'a> = (&'a Instance, u32);

/// Starts of the rig with many keys, and both at rest. No other service may run on them.
pub(crate) fn measure(few: Filled<'_>, many: Filled<'_>, starts: usize) -> Outcome<LifeFigures> {
    let mut times = Vec::new();
    for _ in 0..starts {
        times.push(one_start(many.0)?);
    }
    Ok(LifeFigures {
        keys: many.1,
        ready_s: Spread::of(times.iter().map(|times| times.ready)),
        first_signature_s: Spread::of(times.iter().map(|times| times.first_signature)),
        respawn_s: Spread::of(times.iter().map(|times| times.respawn)),
        idle: idle(&[few, many])?,
    })
}

/// Seconds.
struct Times {
    ready: f64,
    first_signature: f64,
    respawn: f64,
}

fn one_start(instance: &Instance) -> Outcome<Times> {
    let started = Instant::now();
    let service = instance.serve()?;
    let ready = started.elapsed().as_secs_f64();
    block_on(first_signature(instance, &service))?;
    let first_signature_after = started.elapsed().as_secs_f64();
    let killed = Instant::now();
    service.kill_worker()?;
    block_on(first_signature(instance, &service))?;
    let respawn = killed.elapsed().as_secs_f64();
    service.stop()?;
    Ok(Times { ready, first_signature: first_signature_after, respawn })
}

/// Asks until there is one; what is not answered at once is asked again.
async fn first_signature(instance: &Instance, service: &Service) -> Outcome<()> {
    let request = LONE_P256.request();
    let asking = async {
        let mut connection = instance.carrier(service)?.connect().await?;
        loop {
            if connection.exchange(&request).await?.status == 200 {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
    };
    timeout(PATIENCE, asking).await.map_err(|_| "no signature within a minute")?
}

/// Both services rest at the same time.
fn idle(rigs: &[Filled<'_>]) -> Outcome<Vec<IdleFigures>> {
    let mut services = Vec::new();
    for (instance, keys) in rigs {
        services.push((instance.serve()?, *keys));
    }
    std::thread::sleep(REST);
    services
        .iter()
        .map(|(service, keys)| {
            let (server_mib, worker_mib) = service.resident_mib()?;
            Ok(IdleFigures { keys: *keys, server_mib, worker_mib })
        })
        .collect()
}

const AGAIN: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_secs(10);
