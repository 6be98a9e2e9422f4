//! Frames on the socketpair: a big-endian length of four bytes, then that many bytes of postcard.
//!
//! Frames can hold PINs and passphrases, so a frame has one buffer, of its final size, that is zeroed after use: one
//! that grew would leave copies behind.

use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

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

/// Writes a frame on the parent's side.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    to.write_all(frame).await
}

/// Reads a message on the parent's side; none at the end of the stream.
pub(super) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; HEAD_BYTES];
    if let Err(error) = from.read_exact(&mut length).await {
        return end_or(error);
    }
    let mut body = buffer(length)?;
    from.read_exact(&mut body).await?;
    decode(&body).map(Some)
}

/// Writes a message on the worker's side.
pub(super) fn write_blocking<T: Serialize>(to: &mut impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// Reads a message on the worker's side; none at the end of the stream.
pub(super) fn read_blocking<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; HEAD_BYTES];
    if let Err(error) = from.read_exact(&mut length) {
        return end_or(error);
    }
    let mut body = buffer(length)?;
    from.read_exact(&mut body)?;
    decode(&body).map(Some)
}

fn buffer(length: [u8; HEAD_BYTES]) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = u32::from_be_bytes(length);
    if length > LONGEST_BYTES {
        return Err(too_long());
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    Ok(Zeroizing::new(vec![0; length]))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(io::Error::other)
}

fn end_or<T>(error: io::Error) -> io::Result<Option<T>> {
    if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a frame longer than 1 MiB")
}

const HEAD_BYTES: usize = 4;
const LONGEST_BYTES: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_the_end_of_the_stream_is_none() {
        let mut stream = Vec::new();
        write_blocking(&mut stream, &("sign", 7_u64)).unwrap();
        let mut from = stream.as_slice();

        assert_eq!(read_blocking::<(String, u64)>(&mut from).unwrap(), Some(("sign".to_owned(), 7)));
        assert_eq!(read_blocking::<(String, u64)>(&mut from).unwrap(), None);
    }

    #[test]
    fn a_frame_that_claims_more_than_a_mebibyte_is_refused_before_it_is_read() {
        let error = read_blocking::<u64>(&mut [0xFF; 8].as_slice()).unwrap_err();

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

        assert!(read_blocking::<String>(&mut &stream[..6]).is_err());
    }
}
