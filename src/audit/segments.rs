//! The signature log on disk: `signatures-NNNNNN.jsonl`, and beside each closed segment its `.frontier`.
//!
//! A segment is only appended to. The frontier of a closed one is durable before the next one is made, so
//! that opening a log reads its newest segment only. Without it the segments before are read again.

use super::{
    error::{AuditError, unusable},
    merkle::Frontier,
};
use crate::db::durable;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// Where a log goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) number: u32,
    pub(super) length_bytes: u64,
    pub(super) frontier: Frontier,
}

/// The whole lines of a file, without their line ends.
pub(super) struct Lines<R>(R);

/// The lines of all segments, in order.
pub(super) struct LogLines {
    paths: std::vec::IntoIter<PathBuf>,
    current: Option<(PathBuf, Lines<BufReader<File>>)>,
}

pub(super) fn segment_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{PREFIX}{number:06}{SUFFIX}"))
}

pub(super) fn frontier_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{PREFIX}{number:06}.frontier"))
}

/// Finds where the log goes on, and cuts a last line that was never finished.
pub(super) fn recover(directory: &Path) -> Result<End, AuditError> {
    let number = numbers(directory)?.last().copied().unwrap_or(1);
    let (closed, mut frontier) = newest_frontier(directory, number, u64::MAX);
    for earlier in closed + 1..number {
        fold(&segment_path(directory, earlier), &mut frontier)?;
    }
    let newest = segment_path(directory, number);
    if !newest.exists() {
        return Ok(End { number, length_bytes: 0, frontier });
    }
    let length_bytes = fold(&newest, &mut frontier)?;
    cut(&newest, length_bytes).map_err(unusable("cut the unfinished last line of", &newest))?;
    Ok(End { number, length_bytes, frontier })
}

/// The newest readable frontier before a segment that covers at most so many records, and the number it
/// belongs to (0: none).
fn newest_frontier(directory: &Path, before: u32, at_most: u64) -> (u32, Frontier) {
    let read = |number| -> Option<Frontier> {
        let frontier: Frontier = fs::read_to_string(frontier_path(directory, number)).ok()?.parse().ok()?;
        (frontier.size() <= at_most).then_some(frontier)
    };
    let found = (1..before).rev().find_map(|number| Some((number, read(number)?)));
    found.unwrap_or_default()
}

/// Adds a segment's lines to the frontier; gives the length of its whole lines.
fn fold(path: &Path, frontier: &mut Frontier) -> Result<u64, AuditError> {
    let mut lines = Lines(BufReader::new(File::open(path).map_err(unusable("open", path))?));
    let mut length = 0;
    while let Some(line) = lines.next_line().map_err(unusable("read", path))? {
        frontier.push(&line);
        length += line.len() as u64 + 1;
    }
    Ok(length)
}

fn cut(path: &Path, length_bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let unfinished = file.metadata()?.len().saturating_sub(length_bytes);
    if unfinished == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), unfinished, "cut an unfinished last line; nobody was answered for it");
    file.set_len(length_bytes)?;
    file.sync_all()
}

fn numbers(directory: &Path) -> Result<Vec<u32>, AuditError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(unusable("read", directory))? {
        let name = entry.map_err(unusable("read", directory))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        numbers.extend(number.and_then(|digits| digits.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self(reader)
    }

    /// The next line; an unfinished last one is no line.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.next_piece()?;
        Ok(line.and_then(|line| line.strip_suffix(b"\n").map(<[u8]>::to_vec)))
    }

    /// The next line with its line end, or what there is of a line that is unfinished or too long.
    pub(super) fn next_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        io::Read::take(&mut self.0, LONGEST_LINE_BYTES).read_until(b'\n', &mut line)?;
        Ok((!line.is_empty()).then_some(line))
    }
}

impl LogLines {
    /// Begins at the first line of the first segment.
    pub(super) fn open(directory: &Path) -> Result<Self, AuditError> {
        Ok(Self::of(directory, &numbers(directory)?))
    }

    /// Begins at the first line of a segment, as late as can be but with no more than so many records before
    /// it; the frontier of those is as it was found.
    pub(super) fn open_before(directory: &Path, at_most: u64) -> Result<(Self, Frontier), AuditError> {
        let mut numbers = numbers(directory)?;
        let newest = numbers.last().copied().unwrap_or(1);
        let (closed, frontier) = newest_frontier(directory, newest, at_most);
        numbers.retain(|number| *number > closed);
        Ok((Self::of(directory, &numbers), frontier))
    }

    fn of(directory: &Path, numbers: &[u32]) -> Self {
        let paths: Vec<_> = numbers.iter().map(|number| segment_path(directory, *number)).collect();
        Self { paths: paths.into_iter(), current: None }
    }

    /// The next line; nothing at the end of the last segment.
    pub(super) fn next_line(&mut self) -> Result<Option<Vec<u8>>, AuditError> {
        loop {
            if let Some((path, lines)) = &mut self.current
                && let Some(line) = lines.next_line().map_err(unusable("read", path))?
            {
                return Ok(Some(line));
            }
            let Some(path) = self.paths.next() else {
                return Ok(None);
            };
            let file = File::open(&path).map_err(unusable("open", &path))?;
            self.current = Some((path, Lines::new(BufReader::new(file))));
        }
    }
}

/// Makes a frontier durable beside its segment.
pub(super) fn close(directory: &Path, number: u32, frontier: &Frontier) -> io::Result<()> {
    durable::replace(&frontier_path(directory, number), frontier.to_string().as_bytes())
}

const PREFIX: &str = "signatures-";
const SUFFIX: &str = ".jsonl";

/// No record is nearly as long; a reader of a foreign file must not take all memory for one line.
const LONGEST_LINE_BYTES: u64 = 1 << 20;
