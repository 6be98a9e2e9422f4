//! Errors as a person reads them, and the exit code that a script reads.

use super::output::Output;
use crate::app::{AppError, errors_page::exit_code};
use crate::base::fault::{Fault, Kind, Report};
use crate::client::{ClientError, LocalError, local::ARGUMENT_INVALID};
use std::{fmt::Display, io, process::ExitCode};

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
    pub(super) fn file(action: &'static str, path: impl Display, source: io::Error) -> Self {
        Self::fault(&LocalError::file(action, path, source))
    }

    /// Arguments that do not fit together, and what to give instead.
    pub(super) fn invalid(what: impl Into<String>, instead: &'static str) -> Self {
        Self::fault(&LocalError::ArgumentInvalid { what: what.into(), instead })
    }
}

/// Exit code of a wrong command line, which never becomes a request.
const USAGE: u8 = 2;

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let request = match &error {
            ClientError::Refused { request_id, .. } => request_id.clone(),
            _ => String::new(),
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
