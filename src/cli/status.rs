//! `keyward status`: what lies where, and whether inventory and token agree.

use super::{
    exit::CliError,
    output::{Output, lines, put_line},
};
use crate::backup::api::{BackupView, CoverageSummary};
use crate::base::{custody::Posture, fault::Report};
use crate::client::{Client, ClientError};
use crate::http::api::InstanceView;
use crate::token::api::TokenView;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Everything a person wants to see first.
#[derive(Serialize)]
struct Status {
    directory: PathBuf,
    instance: InstanceView,
    token: Option<TokenView>,
    token_problem: Option<Report>,
    coverage: CoverageSummary,
    last_backup: Option<BackupView>,
    provisional_kek: bool,
}

pub(super) async fn run(client: &Client, directory: &Path, output: Output) -> Result<(), CliError> {
    let (token, token_problem) = match client.token().await {
        Ok(token) => (Some(token), None),
        Err(error @ ClientError::Refused { .. }) => (None, Some(error.report())),
        Err(error) => return Err(error.into()),
    };
    let status = Status {
        directory: directory.to_owned(),
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
    lines([
        ("instance", status.instance.id.to_string()),
        ("directory", status.directory.display().to_string()),
        ("posture", status.instance.posture.to_string()),
        ("root fingerprint", status.instance.root_sha256.clone()),
        ("last backup", last_backup(status)),
        (
            "coverage",
            format!(
                "{} green, {} amber, {} red, {} token-only",
                summary.green, summary.amber, summary.red, summary.token_only
            ),
        ),
    ]);
    if let Some(token) = &status.token {
        show_token(token);
    }
    if let Some(problem) = &status.token_problem {
        put_line!("token away        {}\n                  {}", problem.detail, problem.advice);
    }
    if status.instance.posture == Posture::Rig {
        put_line!("note              this is a rig, for trying out: PINs lie in its directory");
    }
    if status.provisional_kek {
        put_line!("note              the KEKs are provisional: keep share-provisional.txt in a safe place");
    }
}

fn show_token(token: &TokenView) {
    put_line!("token             {} ({}, {})", token.uri, token.model, token.module);
    put_line!("keys in token     {}", token.keys.present);
    let lists = [
        ("MISSING", &token.keys.missing, "in the inventory, not in the token: restore them"),
        ("REPLACED", &token.keys.replaced, "another public key than recorded: not used"),
        ("unrecorded", &token.keys.unrecorded, "in the token, not in the inventory"),
    ];
    for (name, labels, meaning) in lists {
        if !labels.is_empty() {
            put_line!("{name:17} {} ({meaning})", labels.join(", "));
        }
    }
}

fn last_backup(status: &Status) -> String {
    status.last_backup.as_ref().map_or_else(
        || "none: run `keyward backup run`".to_owned(),
        |backup| format!("number {} of {}, {}", backup.sequence, backup.created_at, backup.state),
    )
}
