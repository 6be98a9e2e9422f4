//! The sockets: made here, or taken over from systemd (`sd_listen_fds(3)`: one Unix, one TCP, in any order).

use super::{connection, connections::Connections, tls::Tls};
use crate::app::AppError;
use listenfd::ListenFd;
use std::{
    fs::{self, Permissions},
    io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, net::UnixListener as StdUnixListener},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinHandle,
    time::sleep,
};

/// Both listeners, bound.
pub(super) struct Listeners {
    /// Of the TLS listener.
    pub(super) address: SocketAddr,
    /// Path of the socket.
    pub(super) socket: PathBuf,
    maker: Maker,
    tcp: TcpListener,
    unix: UnixListener,
}

/// Whose the socket's file is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    /// It goes with us.
    Keyward,
    /// It stays: systemd listens there when we are gone, and starts us again.
    Systemd,
}

/// The loops that accept connections.
pub(super) struct Accepting {
    loops: [JoinHandle<()>; 2],
    /// Of a socket that we made, and that goes with us.
    socket: Option<PathBuf>,
}

impl Listeners {
    /// Makes the sockets, unless systemd has. The caller holds the instance's lock, so a socket that is there is
    /// nobody's.
    pub(super) fn bind(directory: &Path, listen: SocketAddr) -> Result<Self, AppError> {
        let mut given = ListenFd::from_env();
        let (mut tcp, mut unix) = (None, None);
        for index in 0..given.len() {
            // One of the two fails, which says what the descriptor is.
            match given.take_unix_listener(index) {
                Ok(listener) => unix = listener.or(unix),
                Err(_) => tcp = given.take_tcp_listener(index).map_err(failed("the socket of systemd"))?.or(tcp),
            }
        }
        let (unix, socket, maker) = match unix {
            Some(unix) => {
                let path = path_of(&unix).map_err(failed("the socket of systemd"))?;
                (unix, path, Maker::Systemd)
            }
            None => {
                let path = directory.join(SOCKET);
                (bind_socket(directory, &path).map_err(failed(path.display()))?, path, Maker::Keyward)
            }
        };
        let tcp = tcp.map_or_else(|| StdTcpListener::bind(listen), Ok).map_err(failed(listen))?;
        let address = tcp.local_addr().map_err(failed(listen))?;
        // What waits to be accepted; the library asks for 128, which a restart of many clients fills at once.
        let _ = rustix::net::listen(&tcp, BACKLOG).and_then(|()| rustix::net::listen(&unix, BACKLOG));
        let asynchronous = || -> io::Result<_> {
            tcp.set_nonblocking(true)?;
            unix.set_nonblocking(true)?;
            Ok((TcpListener::from_std(tcp)?, UnixListener::from_std(unix)?))
        };
        let (tcp, unix) = asynchronous().map_err(failed(listen))?;
        Ok(Self { address, socket, maker, tcp, unix })
    }

    /// Starts to accept.
    pub(super) fn accept(self, connections: &Arc<Connections>, tls: &Tls) -> Accepting {
        let Self { tcp, unix, socket, maker, .. } = self;
        let (local, remote, tls) = (Arc::clone(connections), Arc::clone(connections), tls.clone());
        let local = tokio::spawn(async move {
            loop {
                match unix.accept().await {
                    Ok((stream, _)) => connection::local(&local, stream),
                    Err(error) => pause(&error).await,
                }
            }
        });
        let remote = tokio::spawn(async move {
            loop {
                match tcp.accept().await {
                    Ok((stream, address)) => connection::remote(&remote, &tls, stream, address),
                    Err(error) => pause(&error).await,
                }
            }
        });
        Accepting { loops: [local, remote], socket: (maker == Maker::Keyward).then_some(socket) }
    }
}

impl Accepting {
    /// Accepts no more.
    pub(super) fn stop(self) {
        self.loops.iter().for_each(JoinHandle::abort);
        // What cannot be removed is replaced at the next start.
        let _ = self.socket.map(fs::remove_file);
    }
}

/// Binds through the directory's descriptor, since a socket's address has room for 108 bytes only (`unix(7)`).
fn bind_socket(directory: &Path, path: &Path) -> io::Result<StdUnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let directory = fs::File::open(directory)?;
    let listener = StdUnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Where clients find a socket that we did not make.
fn path_of(listener: &StdUnixListener) -> io::Result<PathBuf> {
    let address = listener.local_addr()?;
    let path = address.as_pathname().ok_or_else(|| io::Error::other("it has no path in the file system"))?;
    Ok(path.to_owned())
}

/// Most often the process has no descriptors left; those of connections that end come back.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a connection was not accepted");
    sleep(ACCEPT_PAUSE).await;
}

fn failed(what: impl ToString) -> impl FnOnce(io::Error) -> AppError {
    let what = what.to_string();
    move |source| AppError::Listen { what, source }
}

/// Its name in the instance directory.
const SOCKET: &str = "keyward.sock";
/// The system has a limit of its own (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
