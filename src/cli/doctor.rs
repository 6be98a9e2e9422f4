//! `keyward doctor`: what each part of an instance does, what that means, and what to do.

use super::{
    exit::CliError,
    output::{Output, put_line, table},
};
use crate::base::fault::{Kind, Report};
use crate::client::Client;
use crate::doctor::api::{CheckOutcome, DoctorQuery, DoctorReport, Finding};
use clap::Args;

#[derive(Args)]
#[command(after_help = AFTER)]
pub(super) struct Doctor {
    /// Mend what can be mended without losing anything, such as open file modes, and list it
    #[arg(long)]
    fix: bool,
}

pub(super) async fn run(asked: &Doctor, client: &Client, output: Output) -> Result<(), CliError> {
    output.say("trying each token out with scratch keys …");
    told(&client.doctor(DoctorQuery { fix: asked.fix }).await?, output)
}

/// The instance cannot be opened: that is the finding.
pub(super) fn without_instance(error: CliError, output: Output) -> Result<(), CliError> {
    let CliError::Problem(report, request) = error else { return Err(error) };
    if report.kind == Kind::NotFound {
        // There is nothing to look at.
        return Err(CliError::Problem(report, request));
    }
    let Report { code, title, detail, advice, .. } = report;
    let failed = Finding::failed("instance", format!("{detail} ({code})"), &title, &advice);
    let rest = ["files", "database", "backups", "tokens"].map(Finding::not_tried);
    told(&DoctorReport::new([vec![failed], rest.to_vec()].concat(), Vec::new(), Vec::new()), output)
}

fn told(report: &DoctorReport, output: Output) -> Result<(), CliError> {
    output.answer(report, show);
    if report.outcome == CheckOutcome::Failed { Err(CliError::Outcome(Kind::Unavailable)) } else { Ok(()) }
}

fn show(report: &DoctorReport) {
    for fixed in &report.fixed {
        put_line!("fixed: {fixed}");
    }
    put_line!("INSTANCE");
    findings(&report.instance);
    for token in &report.tokens {
        put_line!("\nTOKEN {}", token.label);
        findings(&token.findings);
    }
    let all = || report.instance.iter().chain(report.tokens.iter().flat_map(|token| &token.findings));
    let count = |outcome| all().filter(|finding| finding.outcome == outcome).count();
    let (failed, notices) = (count(CheckOutcome::Failed), count(CheckOutcome::Notice));
    put_line!("\n{failed} failed, {notices} to know about, {} as they should be", count(CheckOutcome::Ok));
}

fn findings(findings: &[Finding]) {
    table(["", "WHAT", "SEEN", "MEANS", "WHAT TO DO"], findings.iter().map(row));
}

fn row(finding: &Finding) -> [String; 5] {
    let mark = match finding.outcome {
        CheckOutcome::Failed => "FAILED",
        CheckOutcome::NotTried => "not-tried",
        CheckOutcome::Notice => "note",
        CheckOutcome::Ok => "ok",
    };
    let Finding { what, seen, means, to_do, .. } = finding.clone();
    [mark.to_owned(), what, seen, means, to_do]
}

const AFTER: &str = "\
A token that cannot be used is looked at as far as it goes: the step that fails is named, those after it are not tried.

Exit codes: 0 if nothing failed (notes are no failures), 10 if something did.

Examples:
  keyward --dir rig doctor
  keyward --dir rig doctor --fix
  keyward --dir rig -o json doctor | jq '.tokens[].capabilities'";
