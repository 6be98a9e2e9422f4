//! Errors as a person reads them, and the exit code that a script reads.

use super::output::Output;
use crate::app::{AppError, errors_page::exit_code};
use crate::base::fault::{Fault, Kind, Report};
use crate::client::ClientError;
use std::{fmt::Display, io, process::ExitCode};

crate::catalogue! {
    ARGUMENT_INVALID = Invalid, "argument-invalid", "an argument or an answer cannot be used", "do as the message says; `--help` has examples";
    FILE_EXISTS = Conflict, "file-exists", "a file is there already", "choose another name, or move the file away: nothing is overwritten";
    FILE_MISSING = NotFound, "file-missing", "a file is not there", "check the path";
    FILE_UNUSABLE = Unavailable, "file-unusable", "a file cannot be read or written", "check free space and rights";
}

/// Why a command ended without success.
pub(super) enum CliError {
    /// A problem, from the API or from the instance.
    Problem(Report, String),
    /// The command did its work, and its outcome is bad: a red backup, a log that does not verify.
    Outcome(Kind),
}

impl CliError {
    /// A fault of the instance.
    #[expect(clippy::needless_pass_by_value, reason = "for use with map_err")]
    pub(super) fn app(error: AppError) -> Self {
        Self::fault(&error)
    }

    /// Any fault.
    pub(super) fn fault(fault: &dyn Fault) -> Self {
        // On this side of the API the particulars of an internal fault are for the person who runs it.
        Self::Problem(Report { detail: fault.to_string(), ..Report::of(fault) }, String::new())
    }

    /// A local file that cannot be used.
    pub(super) fn file(action: &str, path: impl Display, source: io::Error) -> Self {
        let failed = format!("{action} {path} failed: {source}");
        let report = match source.kind() {
            io::ErrorKind::AlreadyExists => FILE_EXISTS.report(format!("{path} exists already")),
            io::ErrorKind::NotFound => FILE_MISSING.report(failed),
            _ => FILE_UNUSABLE.report(failed),
        };
        Self::Problem(report, String::new())
    }

    /// Arguments that do not fit together.
    pub(super) fn invalid(detail: impl Into<String>, advice: &str) -> Self {
        let report = Report { advice: advice.to_owned(), ..ARGUMENT_INVALID.report(detail.into()) };
        Self::Problem(report, String::new())
    }
}

/// Exit code of a wrong command line, which never becomes a request.
const USAGE: u8 = 2;

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let request = match &error {
            ClientError::Refused { request_id, .. } => request_id.clone(),
            ClientError::Unreadable { .. } => String::new(),
        };
        Self::Problem(error.report(), request)
    }
}

/// Shows help, or says what is wrong with the command line.
pub(super) fn usage(error: &clap::Error, output: Output) -> ExitCode {
    if !error.use_stderr() {
        // A reader that closed the pipe has what it wanted.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let detail = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let report = Report { code: "usage".to_owned(), ..ARGUMENT_INVALID.report(detail) };
    if !output.problem_as_json(&report, "") {
        let _ = error.print();
    }
    ExitCode::from(USAGE)
}

/// Tells the person what happened, and gives the exit code.
pub(super) fn report(error: &CliError, output: Output) -> ExitCode {
    match error {
        CliError::Problem(report, request) => {
            output.problem(report, request);
            ExitCode::from(exit_code(report.kind))
        }
        CliError::Outcome(kind) => ExitCode::from(exit_code(*kind)),
    }
}
