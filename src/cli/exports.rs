//! `keyward export`.

use super::{
    exit::CliError,
    files::{self, NewFile},
    output::{Output, lines, minute, put_line, second, table},
};
use crate::client::Client;
use crate::export::api::{ExportFormat, ExportRequest, ExportView};
use crate::pki::pkcs12::Pkcs12Profile;
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Export {
    /// Release an exportable key into an encrypted file (mode 0600, never overwritten)
    #[command(after_help = "Profiles of PKCS#12:
  modern  AES-256, SHA-256: OpenSSL 3, Java from 8u301, NSS, GnuTLS, Windows from Server 2019
  compat  3DES, SHA-1: what `modern` opens in, and Java before 8u301, Windows Server 2016, iOS 17, macOS 14

Example:
  keyward export create web --format pkcs12 --out web.p12 --passphrase-file pass")]
    Create {
        /// Label or id
        key: String,
        /// pkcs12: key and chain. pem: encrypted PKCS#8, then the chain
        #[arg(long)]
        format: ExportFormat,
        /// modern or compat; PKCS#12 only [default: modern]
        #[arg(long)]
        profile: Option<Pkcs12Profile>,
        /// Name of the entry inside [default: the label]
        #[arg(long)]
        alias: Option<String>,
        /// File with the passphrase, at least 8 printable ASCII characters; asked for if absent
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Why, for the record
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Write it to a new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Every export, the newest first
    List,
    /// One export
    Show {
        /// Its id
        id: String,
    },
}

/// The record of an export, and where its file is.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    export: ExportView,
    file: PathBuf,
}

pub(super) async fn run(export: Export, client: &Client, output: Output) -> Result<(), CliError> {
    match export {
        Export::Create { key, format, profile, alias, passphrase_file, reason, out } => {
            let file = NewFile::create(&out)?;
            let passphrase = files::passphrase(passphrase_file.as_deref())?;
            let request = ExportRequest { key, format, profile, alias, passphrase, reason };
            let (bytes, export) = client.create_export(&request).await?;
            file.finish(&bytes)?;
            output.answer(&Created { export, file: out }, |created| {
                show(&created.export);
                put_line!("file         {}", created.file.display());
            });
        }
        Export::List => {
            let row = |export: &ExportView| {
                [export.id.to_string(), export.key.label.to_string(), minute(export.created_at), export.reason.clone()]
            };
            output.answer(&client.exports().await?, |page| {
                table(["ID", "KEY", "WHEN", "REASON"], page.items.iter().map(row));
            });
        }
        Export::Show { id } => output.answer(&client.export(&id).await?, show),
    }
    Ok(())
}

fn show(export: &ExportView) {
    lines([
        ("id", export.id.to_string()),
        ("key", export.key.label.to_string()),
        (
            "format",
            export.profile.map_or_else(|| export.format.to_string(), |profile| format!("{}, {profile}", export.format)),
        ),
        ("alias", export.alias.clone()),
        ("sha256", export.sha256.clone()),
        (
            "approved by",
            if export.self_approved { "the requester alone".to_owned() } else { export.approvals.join(", ") },
        ),
        ("reason", export.reason.clone()),
        ("when", second(export.created_at)),
        ("audit", format!("{} {}", export.audit.log, export.audit.seq)),
    ]);
}
