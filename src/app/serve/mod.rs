//! `keyward serve`: the API at a socket in the instance directory and at a TLS listener.
//!
//! `bind` makes the sockets, `tls` what the listener shows, `connection` is one connection from its first byte
//! to its last, `connections` all of them. From the outside: ready, reload, drain.

mod bind;
mod connection;
mod connections;
mod tls;

use super::{
    AppError, limits,
    settings::Settings,
    start::{Opened, open_services},
};
use crate::certificates::authority;
use crate::http::router;
use crate::keys::presence;
use bind::Listeners;
use connections::{Connections, END_LIMIT};
use sd_notify::NotifyState;
use serde::Serialize;
use std::{net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration};
use tls::Tls;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

/// Where a service can be reached, once it can.
#[derive(Debug, Serialize)]
pub struct Ready {
    /// Always `ready`.
    pub event: &'static str,
    /// Of the TLS listener.
    pub url: String,
    /// The socket of this machine's user.
    pub socket: PathBuf,
    /// SHA-256 of the certificate of the instance's CA, which clients pin.
    pub ca_sha256: String,
    /// This process.
    pub pid: u32,
}

/// Serves an instance until SIGTERM or SIGINT. SIGHUP reads the settings again.
///
/// # Errors
/// The instance cannot be opened, or a listener cannot be had. A token that is away is no error: what needs it
/// answers so.
pub async fn serve(directory: &Path, announce: impl FnOnce(&Ready)) -> Result<(), AppError> {
    let signals = Signals::new()?;
    limits::widen();
    let opened = open_services(directory, None).await?;
    let served = serve_opened(&opened, signals, announce).await;
    opened.close().await;
    served
}

async fn serve_opened(opened: &Opened, signals: Signals, announce: impl FnOnce(&Ready)) -> Result<(), AppError> {
    let http = &opened.settings.http;
    let listeners = Listeners::bind(&opened.directory, http.listen)?;
    let meter = opened.services.meters.connections().clone();
    let connections = Connections::new(limits::connections(http.connections), router(opened.services.clone()), meter);
    let tls = Tls::default();
    tls.renew(&opened.keys, &opened.directory, &http.certificate_names()).await;
    // The first caller should not wait for the login; a token that is away is told to those who need it.
    if let Err(error) = opened.keys.home().describe().await {
        tracing::error!(%error, "the token is not there");
    }
    let ready = Ready {
        event: "ready",
        url: url(listeners.address),
        socket: listeners.socket.clone(),
        ca_sha256: authority::root(&opened.keys).await?.fingerprint(),
        pid: std::process::id(),
    };
    let accepting = listeners.accept(&connections, &tls);
    announce(&ready);
    tracing::info!(url = ready.url, socket = %ready.socket.display(), "serving");
    notify(&[NotifyState::Ready]);
    let presence = tokio::spawn(presence::watch(opened.keys.clone()));
    watch(opened, &tls, &connections, signals).await;
    presence.abort();
    notify(&[NotifyState::Stopping]);
    opened.services.health.drain();
    accepting.stop();
    connections.drain(END_LIMIT).await;
    tracing::info!("stopped");
    Ok(())
}

/// Until the process is asked to end: reloads, keeps the listener's certificate fresh, and settles what waited for the
/// token.
async fn watch(opened: &Opened, tls: &Tls, connections: &Arc<Connections>, mut signals: Signals) {
    let mut renewal = interval(RENEWAL_PERIOD);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut names = opened.settings.http.certificate_names();
    let mut unsettled = opened.unsettled;
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hang_up.recv() => {
                notify_reloading();
                match Settings::read(&opened.directory) {
                    Ok(settings) => {
                        names = settings.http.certificate_names();
                        connections.limit(limits::connections(settings.http.connections));
                        tracing::info!("settings read again; a new listen address, rate or token needs a restart");
                    }
                    Err(error) => tracing::error!(%error, "the settings stay as they were"),
                }
                tls.renew(&opened.keys, &opened.directory, &names).await;
                notify(&[NotifyState::Ready]);
            }
            _ = renewal.tick() => {
                tls.renew(&opened.keys, &opened.directory, &names).await;
                if let Err(error) = unsettled.settle(&opened.services.backups).await {
                    tracing::error!(%error, "interrupted requests stay as they are");
                }
            }
        }
    }
}

/// The signals that a service lives by.
struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, AppError> {
        let on = |kind| signal(kind).map_err(|source| AppError::Listen { what: "signals".to_owned(), source });
        Ok(Self {
            hang_up: on(SignalKind::hangup())?,
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }
}

/// With the time, without which a unit of the type `notify-reload` would count as failed (`sd_notify(3)`).
fn notify_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd was not told of the reload"),
    }
}

/// Tells systemd, if it listens.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}

fn url(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_unspecified() => format!("https://localhost:{}", address.port()),
        _ => format!("https://{address}"),
    }
}

/// How soon a certificate that is about to end, a new CA after a restore, or a token that is back is noticed.
const RENEWAL_PERIOD: Duration = Duration::from_secs(60);
