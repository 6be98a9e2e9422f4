//! The service of an instance directory, at its socket.

use super::{
    Client, ClientError,
    activity::{Activity, Watched},
    exchange::{Connector, Exchange, Patience},
};
use ::http::HeaderValue;
use std::{
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time::sleep};

/// A client of the service that listens in this directory; none if nobody does, also when its socket was left
/// behind.
pub async fn connect(directory: &Path) -> Option<Client> {
    let exchange = Exchange::new(Socket { directory: directory.to_owned() }, Patience::default());
    match exchange.open().await {
        Ok(()) => Some(Client::new(exchange)),
        Err(error) => {
            tracing::debug!(%error, "no service listens");
            None
        }
    }
}

struct Socket {
    directory: PathBuf,
}

impl Connector for Socket {
    type Stream = Watched<UnixStream>;

    async fn connect(&self, activity: &Activity) -> Result<Self::Stream, ClientError> {
        let stream = open(&self.directory).await;
        let stream =
            stream.map_err(|error| ClientError::Unreachable { server: self.name(), cause: error.to_string() })?;
        Ok(Watched::new(stream, activity))
    }

    fn name(&self) -> String {
        format!("the service of {}", self.directory.display())
    }

    fn host(&self) -> HeaderValue {
        HeaderValue::from_static("localhost")
    }

    /// The system says who we are.
    fn authorization(&self) -> Option<HeaderValue> {
        None
    }
}

/// Connects through the directory's descriptor, since a socket's address has room for 108 bytes only (`unix(7)`).
async fn open(directory: &Path) -> io::Result<UnixStream> {
    let directory = File::open(directory)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
    loop {
        match UnixStream::connect(&path).await {
            // As many wait already as the system lets wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PAUSE).await,
            connected => return connected,
        }
    }
}

/// Its name in the instance directory.
const SOCKET: &str = "keyward.sock";
const PAUSE: Duration = Duration::from_millis(20);
