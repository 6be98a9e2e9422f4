//! As little HTTP/1.1 (RFC 9112) as a load needs: whole requests out, answers with a `Content-Length` in.

use crate::Outcome;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What a connection is made of.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that is kept open, with one request under way.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

/// An answer. Its body stands in the connection until the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// Whether it says when to come again.
    pub(crate) retry_after: bool,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, received: Vec::with_capacity(64 << 10) }
    }

    /// Sends a request and waits for the answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.received.clear();
        let head = loop {
            if let Some(head) = head_of(&self.received)? {
                break head;
            }
            self.more().await?;
        };
        while self.received.len() < head.length + head.content_length {
            self.more().await?;
        }
        Ok(Answer { status: head.status, retry_after: head.retry_after, body: &self.received[head.length..] })
    }

    async fn more(&mut self) -> Outcome<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the service closed a connection".into()),
            _ => Ok(()),
        }
    }
}

/// A whole request with a JSON body.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

struct Head {
    status: u16,
    retry_after: bool,
    /// Bytes, with the empty line.
    length: usize,
    content_length: usize,
}

/// The head of an answer, once it is there.
fn head_of(received: &[u8]) -> Outcome<Option<Head>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&received[..end])?;
    let status = text.get(9..12).ok_or("no status")?.parse()?;
    let field = |wanted: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.trim()))
    };
    let content_length = field("content-length").ok_or("no Content-Length")?.parse()?;
    Ok(Some(Head { status, retry_after: field("retry-after").is_some(), length: end + 4, content_length }))
}
