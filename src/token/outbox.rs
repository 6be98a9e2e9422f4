//! The way to the child: a frame is written where it is made, and by a task only what the socket has no room for.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::unix::OwnedWriteHalf, sync::mpsc};
use zeroize::Zeroizing;

/// Writes frames one behind the other. Dropped, together with its [`Feeder`], it closes our half of the socket.
#[derive(Debug)]
pub(super) struct Outbox {
    writer: Arc<OwnedWriteHalf>,
    rest: mpsc::UnboundedSender<Rest>,
    waiting: Arc<AtomicUsize>,
}

/// Writes what the socket had no room for.
pub(super) struct Feeder {
    writer: Arc<OwnedWriteHalf>,
    rest: mpsc::UnboundedReceiver<Rest>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Rest {
    frame: Zeroizing<Vec<u8>>,
    written: usize,
}

impl Outbox {
    /// The two ways onto one socket.
    pub(super) fn new(writer: OwnedWriteHalf) -> (Self, Feeder) {
        let (writer, waiting) = (Arc::new(writer), Arc::default());
        let (sender, rest) = mpsc::unbounded_channel();
        let feeder = Feeder { writer: Arc::clone(&writer), rest, waiting: Arc::clone(&waiting) };
        (Self { writer, rest: sender, waiting }, feeder)
    }

    /// Writes a frame; callers take turns by a lock of theirs.
    ///
    /// # Errors
    /// The child reads no more.
    pub(super) fn send(&self, frame: Zeroizing<Vec<u8>>) -> io::Result<()> {
        let mut written = 0;
        if self.waiting.load(Ordering::Acquire) == 0 {
            written = match self.writer.try_write(&frame) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                other => other?,
            };
        }
        if written < frame.len() {
            self.waiting.fetch_add(1, Ordering::Release);
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            self.rest.send(Rest { frame, written }).map_err(gone)?;
        }
        Ok(())
    }
}

impl Feeder {
    /// Works until the outbox is gone or the child reads no more.
    pub(super) async fn run(mut self) {
        while let Some(Rest { frame, written }) = self.rest.recv().await {
            if self.write(&frame[written..]).await.is_err() {
                return;
            }
            self.waiting.fetch_sub(1, Ordering::Release);
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writer.writable().await?;
            match self.writer.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(written) => bytes = &bytes[written..],
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncReadExt as _, net::UnixStream};

    #[tokio::test]
    async fn frames_arrive_whole_and_in_order_also_when_the_socket_is_full() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (_reader, writer) = ours.into_split();
        let (outbox, feeder) = Outbox::new(writer);
        let feeding = tokio::spawn(feeder.run());
        let sent: Vec<u8> = (0..40).flat_map(|number| vec![number; 50_000]).collect();

        for frame in sent.chunks(50_000) {
            outbox.send(frame.to_vec().into()).unwrap();
        }
        drop(outbox);
        let mut arrived = Vec::new();
        theirs.read_to_end(&mut arrived).await.unwrap();

        assert!(arrived == sent);
        feeding.await.unwrap();
    }

    #[tokio::test]
    async fn a_child_that_is_gone_is_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_reader, writer) = ours.into_split();
        let (outbox, _feeder) = Outbox::new(writer);

        outbox.writer.writable().await.unwrap();
        drop(theirs);

        assert!(outbox.send(vec![7].into()).is_err());
    }
}
