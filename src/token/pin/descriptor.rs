//! A PIN that comes through a descriptor which `serve` was started with. It can be read once only, so it is kept.

use super::{LONGEST_PIN_BYTES, ffi, file::too_long};
use crate::base::secret::Secret;
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::fd::RawFd,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};
use zeroize::Zeroizing;

/// What came through an inherited descriptor, zeroized when it is forgotten.
#[derive(Clone)]
pub struct InheritedPin {
    number: RawFd,
    kept: Arc<Mutex<Result<Secret, String>>>,
}

impl InheritedPin {
    /// Reads a line from the descriptor and closes it. What goes wrong is told to those who need the PIN.
    #[must_use]
    pub fn read(number: RawFd) -> Self {
        let kept = ffi::inherited(number).and_then(|descriptor| read_in_time(File::from(descriptor), LIMIT));
        Self { number, kept: Arc::new(Mutex::new(kept.map_err(|error| error.to_string()))) }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        format!("descriptor {}", self.number)
    }

    pub(super) fn pin(&self) -> io::Result<Secret> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(Secret::duplicate).map_err(|cause| io::Error::other(cause.clone()))
    }

    /// Drops the PIN.
    pub(super) fn forget(&self) {
        let forgotten = "it was forgotten by `token seal`, and a descriptor is read once".to_owned();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Err(forgotten);
    }
}

impl fmt::Debug for InheritedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InheritedPin").field("number", &self.number).finish_non_exhaustive()
    }
}

fn read_in_time(mut from: impl Read + Send + 'static, limit: Duration) -> io::Result<Secret> {
    let (sender, line) = mpsc::channel();
    // One that waits for ever ends with the process.
    thread::Builder::new().name("pin-fd".to_owned()).spawn(move || sender.send(read_line(&mut from)))?;
    let late = |_| io::Error::other(format!("no whole line came through it within {} s", limit.as_secs()));
    line.recv_timeout(limit).map_err(late)?
}

/// Reads to the end of the line, or of the stream; byte by byte, so that nothing is left in a buffer.
fn read_line(from: &mut impl Read) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_PIN_BYTES + 1));
    let mut byte = Zeroizing::new([0]);
    while bytes.len() <= LONGEST_PIN_BYTES {
        match from.read(&mut *byte) {
            Ok(0) => return Ok(Secret::from_line(bytes.to_vec())),
            Ok(_) => bytes.extend_from_slice(&*byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.last() == Some(&b'\n') {
            return Ok(Secret::from_line(bytes.to_vec()));
        }
    }
    Err(too_long())
}

/// For whoever writes it to be asked for a passphrase first.
const LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, os::unix::net::UnixStream};

    #[test]
    fn a_line_is_enough_although_the_writer_keeps_his_end() {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        writer.write_all(b"1234\n").unwrap();

        let pin = read_in_time(reader, Duration::from_secs(10)).unwrap();

        assert_eq!(pin.expose(), b"1234");
        drop(writer);
    }

    #[test]
    fn a_writer_that_says_nothing_is_not_waited_for_without_end() {
        let (writer, reader) = UnixStream::pair().unwrap();

        let error = read_in_time(reader, Duration::from_millis(10)).unwrap_err();

        assert!(error.to_string().contains("no whole line"), "{error}");
        drop(writer);
    }

    #[test]
    fn a_stream_that_is_longer_than_any_pin_is_not_taken_for_one() {
        let error = read_line(&mut [b'1'; 2_000].as_slice()).unwrap_err();

        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn neither_a_closed_descriptor_nor_one_of_our_own_is_an_inherited_one() {
        use std::os::fd::AsRawFd as _;
        let own = File::open("/dev/null").unwrap();

        let closed = InheritedPin::read(60_000).pin().unwrap_err();
        let ours = InheritedPin::read(own.as_raw_fd()).pin().unwrap_err();

        assert!(closed.to_string().contains("was not started with it"), "{closed}");
        assert!(ours.to_string().contains("of keyward's own"), "{ours}");
        assert!(own.metadata().is_ok(), "it was closed under its owner");
    }
}
