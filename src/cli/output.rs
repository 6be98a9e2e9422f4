//! What goes to standard output and standard error: tables, JSON, messages, progress, problems.

use crate::base::{fault::Report, time::Timestamp};
use crate::commands::api::ProgressView;
use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
};

/// As `println!`, to a reader that may have closed the pipe.
macro_rules! put_line {
    ($($text:tt)*) => { $crate::cli::output::put(format_args!("{}\n", format_args!($($text)*))) };
}
pub(super) use put_line;

/// Writes to standard output. A reader that closed the pipe has what it wanted, and the command still ends as it should.
pub(super) fn put(text: fmt::Arguments<'_>) {
    let _ = io::stdout().write_fmt(text);
}

/// Writes a line to standard error, if anybody listens.
pub(super) fn tell(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON document.
    Json,
    /// For people.
    Table,
}

impl Format {
    /// The format that a command line asks for which cannot be parsed.
    pub(super) fn asked_for() -> Self {
        let arguments: Vec<_> = std::env::args_os().collect();
        let apart = arguments.windows(2).any(|pair| (pair[0] == "-o" || pair[0] == "--output") && pair[1] == "json");
        let joined = arguments.iter().any(|argument| argument == "-ojson" || argument == "--output=json");
        if apart || joined { Self::Json } else { Self::Table }
    }
}

/// Where answers and messages go.
#[derive(Clone, Copy)]
pub(super) struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    pub(super) const fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// Prints an answer: as JSON, or by the given words.
    pub(super) fn answer<T: Serialize>(self, answer: &T, words: impl FnOnce(&T)) {
        match self.format {
            Format::Json => put_line!("{}", serde_json::to_string_pretty(answer).unwrap_or_default()),
            Format::Table => words(answer),
        }
    }

    /// Tells of something that happened while a command goes on: as a line of JSON, or by the given words.
    pub(super) fn event<T: Serialize>(self, event: &T, words: impl FnOnce(&T)) {
        match self.format {
            Format::Json => put_line!("{}", serde_json::to_string(event).unwrap_or_default()),
            Format::Table => words(event),
        }
    }

    /// A message for people, beside the answer.
    pub(super) fn say(self, message: &str) {
        if !self.quiet {
            tell(format_args!("{message}"));
        }
    }

    /// A problem: what happened, and what to do.
    pub(super) fn problem(self, report: &Report, request: &str) {
        if self.problem_as_json(report, request) {
            return;
        }
        let request = if request.is_empty() { String::new() } else { format!(", request {request}") };
        let Report { detail, advice, code, .. } = report;
        tell(format_args!("error: {detail}\n       {advice}\n       ({code}{request})"));
    }

    /// Prints a problem if answers are printed as JSON; says whether.
    pub(super) fn problem_as_json(self, report: &Report, request: &str) -> bool {
        if self.format == Format::Json {
            let problem = json!({
                "code": report.code, "kind": report.kind, "title": report.title, "detail": report.detail,
                "advice": report.advice, "request_id": request,
            });
            put_line!("{}", serde_json::to_string_pretty(&problem).unwrap_or_default());
        }
        self.format == Format::Json
    }

    /// A bar for work that takes longer than a second, on a terminal only.
    pub(super) fn progress(self, what: &str) -> Progress {
        let bar = (!self.quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} keys, {elapsed} ({eta} left)");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_message(what.to_owned());
            bar
        });
        Progress(bar)
    }
}

/// A progress bar, or none.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn show(&self, progress: ProgressView) {
        if let Some(bar) = &self.0 {
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Prints a table that fits the terminal. What has no space in it is never broken, so that it can be copied.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let rows: Vec<[String; N]> = rows.into_iter().map(|row| row.map(or_dash)).collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    table.add_rows(rows.iter());
    for (index, column) in table.column_iter_mut().enumerate() {
        let longest = rows.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
        let prose = rows.iter().any(|row| row[index].contains(' '));
        column.set_padding((0, 2)).set_constraint(match u16::try_from(longest) {
            Ok(longest) if prose => ColumnConstraint::LowerBoundary(Width::Fixed(longest.min(PROSE_LEAST) + 2)),
            _ => ColumnConstraint::ContentWidth,
        });
    }
    put_line!("{}", table.trim_fmt());
}

/// Prints names and values, one a line; further lines of a value stand under its first.
pub(super) fn lines<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) {
    let lines: Vec<_> = lines.into_iter().collect();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in lines {
        let value = or_dash(value).replace('\n', &format!("\n{:width$}  ", ""));
        put_line!("{name:width$}  {value}");
    }
}

/// `2026-01-02`.
pub(super) fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// `2026-01-02T03:04Z`: seconds say nothing here, and a value without a space is not broken.
pub(super) fn minute(at: Timestamp) -> String {
    at.to_string().chars().take(16).collect::<String>() + "Z"
}

/// `2026-01-02T03:04:05Z`.
pub(super) fn second(at: Timestamp) -> String {
    at.to_string().chars().take(19).collect::<String>() + "Z"
}

fn or_dash(value: String) -> String {
    if value.is_empty() { "-".to_owned() } else { value }
}

/// Characters below which a column of prose is not squeezed.
const PROSE_LEAST: u16 = 16;
