//! Frames on the socketpair: a big-endian length of four bytes, then that many bytes of postcard.
//!
//! Frames can hold PINs and passphrases, so a frame that is written has one buffer, of its final size, and whatever
//! held a frame is zeroed after use: a buffer that grew by itself would leave copies behind.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read, Write},
    ops::Range,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::{Zeroize as _, Zeroizing};

/// The frame of a message, ready to be written.
pub(super) fn encode<T: Serialize>(message: &T) -> io::Result<Zeroizing<Vec<u8>>> {
    let body_bytes = encoded_bytes(message)?;
    let length = u32::try_from(body_bytes).ok().filter(|length| *length <= LONGEST_BYTES).ok_or_else(too_long)?;
    let mut frame = Zeroizing::new(vec![0; HEAD_BYTES + body_bytes]);
    let (head, body) = frame.split_at_mut(HEAD_BYTES);
    head.copy_from_slice(&length.to_be_bytes());
    postcard::to_slice(message, body).map_err(io::Error::other)?;
    Ok(frame)
}

/// How long a message is in a frame.
pub(super) fn encoded_bytes<T: Serialize>(message: &T) -> io::Result<usize> {
    postcard::experimental::serialized_size(message).map_err(io::Error::other)
}

/// Writes a message on the worker's side.
pub(super) fn write_blocking<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// Frames that come by a stream, as many at a read as are there. What has passed is zeroed.
pub(super) struct Frames<R> {
    from: R,
    buffer: Zeroizing<Vec<u8>>,
    /// Where in the buffer is what was read and not yet taken.
    unread: Range<usize>,
}

impl<R> Frames<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: Zeroizing::new(vec![0; BUFFER_BYTES]), unread: 0..0 }
    }

    /// The next message, if all of it has been read; otherwise there is room for the rest of it.
    fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let unread = &self.buffer[self.unread.clone()];
        let Some((head, rest)) = unread.split_first_chunk::<HEAD_BYTES>() else {
            self.make_room(BUFFER_BYTES);
            return Ok(None);
        };
        let length = body_bytes(*head)?;
        let Some(body) = rest.get(..length) else {
            self.make_room(BUFFER_BYTES.max(HEAD_BYTES + length));
            return Ok(None);
        };
        let message = postcard::from_bytes(body).map_err(io::Error::other);
        let taken = self.unread.start..self.unread.start + HEAD_BYTES + length;
        self.buffer[taken.clone()].zeroize();
        self.unread.start = taken.end;
        message.map(Some)
    }

    /// Moves what is unread to the head of a buffer of this size, which is another one if need be.
    fn make_room(&mut self, bytes: usize) {
        let length = self.unread.len();
        if self.buffer.len() == bytes {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.buffer[length..self.unread.end].zeroize();
        } else {
            let mut buffer = Zeroizing::new(vec![0; bytes]);
            buffer[..length].copy_from_slice(&self.buffer[self.unread.clone()]);
            self.buffer = buffer;
        }
        self.unread = 0..length;
    }

    /// Notes what was read; whether the stream goes on.
    fn note(&mut self, read: usize) -> io::Result<bool> {
        self.unread.end += read;
        match (read, self.unread.is_empty()) {
            (0, true) => Ok(false),
            (0, false) => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(true),
        }
    }
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// The next message, on the parent's side; none at the end of the stream.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let read = self.from.read(&mut self.buffer[self.unread.end..]).await?;
            if !self.note(read)? {
                return Ok(None);
            }
        }
    }
}

impl<R: Read> Frames<R> {
    /// The next message, on the worker's side; none at the end of the stream.
    pub(super) fn next_blocking<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let read = match self.from.read(&mut self.buffer[self.unread.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if !self.note(read)? {
                return Ok(None);
            }
        }
    }
}

fn body_bytes(head: [u8; HEAD_BYTES]) -> io::Result<usize> {
    let length = u32::from_be_bytes(head);
    if length > LONGEST_BYTES {
        return Err(too_long());
    }
    usize::try_from(length).map_err(io::Error::other)
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a frame longer than 1 MiB")
}

const HEAD_BYTES: usize = 4;
/// Room for the frames of many signatures.
const BUFFER_BYTES: usize = 16 << 10;
const LONGEST_BYTES: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_the_end_of_the_stream_is_none() {
        let mut stream = Vec::new();
        write_blocking(&mut stream, &("sign", 7_u64)).unwrap();
        let mut frames = Frames::new(stream.as_slice());

        assert_eq!(frames.next_blocking::<(String, u64)>().unwrap(), Some(("sign".to_owned(), 7)));
        assert_eq!(frames.next_blocking::<(String, u64)>().unwrap(), None);
    }

    #[test]
    fn a_frame_that_claims_more_than_a_mebibyte_is_refused_before_it_is_read() {
        let error = Frames::new([0xFF; 8].as_slice()).next_blocking::<u64>().unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_frame_is_written_into_one_buffer_of_its_final_size() {
        let frame = encode(&("sign", vec![7_u8; 300])).unwrap();

        assert_eq!(frame[..8], [0, 0, 1, 51, 4, b's', b'i', b'g']);
        assert_eq!((frame.len(), frame.capacity()), (311, 311));
    }

    #[test]
    fn a_message_longer_than_a_mebibyte_is_no_frame() {
        let error = encode(&vec![0_u8; 1 << 20]).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_frame_that_is_cut_is_an_error() {
        let mut stream = Vec::new();
        write_blocking(&mut stream, &"message").unwrap();

        assert!(Frames::new(&stream[..6]).next_blocking::<String>().is_err());
    }

    /// Gives its bytes in pieces of these sizes.
    struct Pieces(Vec<u8>, Vec<usize>);

    impl Read for Pieces {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let size = self.1.pop().unwrap_or(usize::MAX).min(to.len()).min(self.0.len());
            to[..size].copy_from_slice(&self.0[..size]);
            self.0.drain(..size);
            Ok(size)
        }
    }

    #[test]
    fn frames_read_back_however_the_stream_cuts_them() {
        let messages = [vec![1_u8; 10], vec![2; 100_000], vec![3; 20_000], Vec::new(), vec![4; 16_000]];
        for size in [1, 3, 5, 4_096, 16_384, 200_000] {
            let mut stream = Vec::new();
            messages.iter().for_each(|message| write_blocking(&mut stream, message).unwrap());

            let mut frames = Frames::new(Pieces(stream, vec![size; 200_000 / size]));
            let read: Vec<Vec<u8>> = std::iter::from_fn(|| frames.next_blocking().unwrap()).collect();

            assert_eq!(read, messages, "pieces of {size}");
        }
    }

    #[test]
    fn nothing_stays_of_a_frame_that_has_passed() {
        let mut stream = Vec::new();
        write_blocking(&mut stream, &vec![0xAA_u8; 300]).unwrap();
        write_blocking(&mut stream, &vec![0xBB_u8; 300]).unwrap();
        let mut frames = Frames::new(Pieces(stream, vec![306, 306]));

        while frames.next_blocking::<Vec<u8>>().unwrap().is_some() {}

        assert!(frames.buffer.iter().all(|byte| *byte == 0));
    }
}
