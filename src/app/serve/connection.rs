//! One connection: handshake, who is at the other end, then requests until it closes or is closed.

use super::{
    connections::{Connections, Seat},
    tls::{HTTP_2, Tls},
};
use crate::http::Peer;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::{Digest as _, Sha256};
use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A user of this machine.
pub(super) fn local(connections: &Arc<Connections>, stream: UnixStream) {
    let Some(seat) = connections.seat() else { return };
    // Without the system's word on who it is, nobody is let in.
    let Ok(credentials) = stream.peer_cred() else { return };
    let peer = Peer::Local { uid: credentials.uid() };
    tokio::spawn(async move { http_1(stream, peer, seat).await });
}

/// Somebody at the TLS listener.
pub(super) fn remote(connections: &Arc<Connections>, tls: &Tls, stream: TcpStream, address: SocketAddr) {
    let (Some(seat), Some(config)) = (connections.seat(), tls.config()) else { return };
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(async move {
        let handshake = async {
            // An answer in several pieces must not wait for the other side's acknowledgement of the first.
            stream.set_nodelay(true)?;
            if is_plain(&stream).await? {
                tell_plain(stream).await?;
                return Ok(None);
            }
            acceptor.accept(stream).await.map(Some)
        };
        let handshake = async {
            tokio::select! {
                shaken = timeout(HANDSHAKE_LIMIT, handshake) => Some(shaken),
                () = seat.vacated() => None,
            }
        };
        let Some(shaken) = handshake.await else { return };
        match shaken {
            Ok(Ok(Some(stream))) => encrypted(stream, address, seat).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(peer = %address, %error, "a handshake failed"),
            Err(_) => tracing::debug!(peer = %address, "a handshake took too long"),
        }
    });
}

async fn encrypted(stream: TlsStream<TcpStream>, address: SocketAddr, seat: Seat) {
    let (_, session) = stream.get_ref();
    // The chain was verified in the handshake; what counts from now on is which certificate it was.
    let certificate =
        session.peer_certificates().and_then(|chain| chain.first()).map(|leaf| Sha256::digest(leaf).into());
    let peer = Peer::Remote { address, certificate };
    if session.alpn_protocol() == Some(HTTP_2) {
        http_2(stream, peer, seat).await;
    } else {
        http_1(stream, peer, seat).await;
    }
}

async fn http_1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, peer: Peer, seat: Seat) {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEADER_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), seat.requests(peer)));
    tokio::select! {
        ended = connection.as_mut() => note(ended),
        () = seat.vacated() => {
            connection.as_mut().graceful_shutdown();
            seat.until_idle(connection).await;
        }
    }
}

async fn http_2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, peer: Peer, seat: Seat) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(STREAMS).max_header_list_size(HEADER_BYTES_2);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), seat.requests(peer)));
    tokio::select! {
        ended = connection.as_mut() => note(ended),
        () = seat.vacated() => {
            connection.as_mut().graceful_shutdown();
            seat.until_idle(connection).await;
        }
    }
}

/// Whether the first byte is none of a handshake (RFC 8446, section 5.1: content type 22).
async fn is_plain(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    Ok(read == 1 && first[0] != 22)
}

/// What somebody reads who speaks HTTP where HTTPS is spoken.
async fn tell_plain(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN).await?;
    stream.shutdown().await
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        // Most often a client that went away.
        tracing::debug!(%error, "a connection broke");
    }
}

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEADER_BYTES: usize = 16 << 10;
const HEADER_BYTES_2: u32 = 16 << 10;
/// Requests at the same time on one HTTP/2 connection.
const STREAMS: u32 = 64;
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\
Content-Length: 45\r\n\r\nThis is an HTTPS port: use https:// with it.\n";
