//! The segment that is being appended to.

use super::{
    merkle::Frontier,
    segments::{self, End},
    syncer::Syncer,
};
use crate::db::durable;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::Arc,
};

/// The newest segment. After a failure it is opened anew, so that writing goes on as soon as it can.
pub(super) struct Tail {
    directory: PathBuf,
    number: u32,
    /// What was written whole; anything behind it is the rest of a write that failed.
    length_bytes: u64,
    limit_bytes: u64,
    file: Option<Arc<File>>,
    syncer: Syncer,
}

impl Tail {
    pub(super) fn new(directory: PathBuf, end: &End, limit_bytes: u64) -> io::Result<Self> {
        let syncer = Syncer::start()?;
        Ok(Self { directory, number: end.number, length_bytes: end.length_bytes, limit_bytes, file: None, syncer })
    }

    /// Appends whole lines; `frontier` is that of everything before them.
    ///
    /// # Errors
    /// Nothing was appended.
    pub(super) fn append(&mut self, lines: &[u8], frontier: &Frontier) -> io::Result<()> {
        if self.length_bytes >= self.limit_bytes {
            self.next_segment(frontier)?;
        }
        let file = self.writable()?;
        if let Err(cause) = (&*file).write_all(lines) {
            self.file = None;
            return Err(cause);
        }
        let bytes = lines.len() as u64;
        self.length_bytes += bytes;
        self.syncer.wrote(&file, bytes);
        Ok(())
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(file) = self.file()? else { return Ok(()) };
        if let Err(cause) = file.sync_data() {
            self.close();
            return Err(cause);
        }
        self.syncer.forget();
        Ok(())
    }

    /// The file that holds what may not be durable; none if nothing was appended to this segment.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn file(&mut self) -> io::Result<Option<Arc<File>>> {
        if self.length_bytes == 0 { Ok(None) } else { self.writable().map(Some) }
    }

    /// The disk refused: the segment is opened anew before the next write.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    fn next_segment(&mut self, frontier: &Frontier) -> io::Result<()> {
        self.flush()?;
        segments::close(&self.directory, self.number, frontier)?;
        self.number += 1;
        self.length_bytes = 0;
        self.file = None;
        Ok(())
    }

    fn writable(&mut self) -> io::Result<Arc<File>> {
        if self.syncer.take_failure() {
            self.file = None;
        }
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => Ok(Arc::clone(self.file.insert(Arc::new(self.reopen()?)))),
        }
    }

    fn reopen(&self) -> io::Result<File> {
        let path = segments::segment_path(&self.directory, self.number);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let found = file.metadata()?.len();
        if found < self.length_bytes {
            return Err(io::Error::other(format!("{} is shorter than what was written to it", path.display())));
        }
        if found > self.length_bytes {
            file.set_len(self.length_bytes)?;
        }
        file.sync_all()?;
        durable::sync_parent(&path)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_rest_of_a_write_that_failed_is_cut_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = segments::segment_path(directory.path(), 1);
        fs::write(&path, "one\ntw").unwrap();

        tail(&directory, 4).append(b"three\n", &Frontier::default()).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nthree\n");
    }

    #[test]
    fn a_segment_that_was_shortened_is_not_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = segments::segment_path(directory.path(), 1);
        fs::write(&path, "one\n").unwrap();

        let appended = tail(&directory, 8).append(b"three\n", &Frontier::default());

        assert!(appended.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }

    fn tail(directory: &tempfile::TempDir, length_bytes: u64) -> Tail {
        let end = End { number: 1, length_bytes, frontier: Frontier::default() };
        Tail::new(directory.path().to_owned(), &end, 1_000).unwrap()
    }
}
