//! `keyward status`: what lies where, and whether inventory and token agree.

use super::{
    exit::CliError,
    output::{Output, lines, second},
    reach::Place,
    token::comparison,
};
use crate::backup::api::{BackupView, CoverageSummary};
use crate::base::{custody::Posture, fault::Report};
use crate::client::{Client, ClientError};
use crate::http::api::InstanceView;
use crate::token::api::TokenView;
use serde::Serialize;

/// Everything a person wants to see first.
#[derive(Serialize)]
struct Status {
    /// `directory`, or `server`.
    #[serde(flatten)]
    place: Place,
    instance: InstanceView,
    token: Option<TokenView>,
    token_problem: Option<Report>,
    coverage: CoverageSummary,
    last_backup: Option<BackupView>,
    provisional_kek: bool,
}

pub(super) async fn run(client: &Client, place: &Place, output: Output) -> Result<(), CliError> {
    let (token, token_problem) = match client.token().await {
        Ok(token) => (Some(token), None),
        Err(error @ ClientError::Refused { .. }) => (None, Some(error.report())),
        Err(error) => return Err(error.into()),
    };
    let status = Status {
        place: place.clone(),
        instance: client.instance().await?,
        token,
        token_problem,
        coverage: client.coverage().await?.summary,
        last_backup: client.backups().await?.items.into_iter().next(),
        provisional_kek: client.keks().await?.items.iter().any(|kek| kek.current && kek.provisional),
    };
    output.answer(&status, show);
    Ok(())
}

fn show(status: &Status) {
    let summary = &status.coverage;
    let mut said = vec![
        ("instance", status.instance.id.to_string()),
        place(&status.place),
        ("posture", status.instance.posture.to_string()),
        ("root SHA-256", status.instance.root_sha256.clone()),
        ("last backup", last_backup(status)),
        (
            "coverage",
            format!(
                "{} green, {} amber, {} red, {} token-only",
                summary.green, summary.amber, summary.red, summary.token_only
            ),
        ),
    ];
    said.extend(status.token.iter().flat_map(token));
    said.extend(status.token_problem.iter().map(|away| ("TOKEN AWAY", format!("{}\n{}", away.detail, away.advice))));
    if status.instance.posture == Posture::Rig {
        said.push(("note", "this is a rig, for trying out: PINs lie in its directory".to_owned()));
    }
    if status.provisional_kek {
        said.push(("note", "provisional KEKs: keep the share file of their secret in a safe place".to_owned()));
    }
    lines(said);
}

fn place(place: &Place) -> (&'static str, String) {
    match place {
        Place::Directory(directory) => ("directory", directory.display().to_string()),
        Place::Server(url) => ("server", url.to_string()),
    }
}

fn token(token: &TokenView) -> Vec<(&'static str, String)> {
    let mut said = vec![("token", token.uri.clone()), ("module", token.module.clone())];
    said.extend(comparison(token));
    said
}

fn last_backup(status: &Status) -> String {
    status.last_backup.as_ref().map_or_else(
        || "none: run `keyward backup run`".to_owned(),
        |backup| format!("number {} of {}, {}", backup.sequence, second(backup.created_at), backup.state),
    )
}
