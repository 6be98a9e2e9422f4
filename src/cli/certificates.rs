//! `keyward cert`.

use super::{
    exit::CliError,
    files::{self, NewFile},
    output::{Output, day, lines, put, put_line, second, table},
};
use crate::base::algorithm::SignatureAlgorithm;
use crate::certificates::api::{AddRequest, CertificateView, SelfSignRequest};
use crate::client::Client;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Cert {
    /// Make a self-signed certificate and attach it to the key
    #[command(after_help = "Example:
  keyward cert self-sign web --subject CN=web.example --days 1825 --san dns:web.example --out web.pem")]
    SelfSign {
        /// Label or id
        key: String,
        /// Distinguished name
        #[arg(long)]
        subject: String,
        /// Lifetime, 1 to 36500
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// dns:…, ip:…, email:…, uri:…; several with commas, or the option again
        #[arg(long, value_delimiter = ',')]
        san: Vec<String>,
        /// The key's default if absent
        #[arg(long)]
        signature_algorithm: Option<SignatureAlgorithm>,
        /// Write it to a new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Attach a certificate, with its chain, to the key that it certifies
    Add {
        /// Label or id
        key: String,
        /// PEM: the certificate and its chain
        file: PathBuf,
    },
    /// Every certificate, the one that expires first at the top
    List,
    /// One certificate, with its chain
    Show {
        /// SHA-256 fingerprint, as in the list
        id: String,
    },
}

pub(super) async fn run(cert: Cert, client: &Client, output: Output) -> Result<(), CliError> {
    match cert {
        Cert::SelfSign { key, subject, days, san, signature_algorithm, out } => {
            let file = NewFile::create_public(&out)?;
            let request = SelfSignRequest { subject, san, days: Some(days), signature_algorithm };
            let answer = client.self_sign(&key, &request).await?;
            file.finish(answer.pem.as_bytes())?;
            output.answer(&answer, |_| put_line!("{}", out.display()));
        }
        Cert::Add { key, file } => {
            let request = AddRequest { pem: files::read_text(&file)? };
            output.answer(&client.add_certificate(&key, &request).await?, show);
        }
        Cert::List => {
            let row = |certificate: &CertificateView| {
                [
                    certificate.key.label.to_string(),
                    certificate.subject.clone(),
                    certificate.issuer.clone(),
                    day(certificate.not_after),
                    beginning(&certificate.id).to_owned(),
                ]
            };
            output.answer(&client.certificates().await?, |page| {
                table(["KEY", "SUBJECT", "ISSUER", "EXPIRES", "ID (BEGINS)"], page.items.iter().map(row));
            });
        }
        Cert::Show { id } => output.answer(&client.certificate(&id).await?, show),
    }
    Ok(())
}

fn show(certificate: &CertificateView) {
    lines([
        ("id", certificate.id.clone()),
        ("key", certificate.key.label.to_string()),
        ("subject", certificate.subject.clone()),
        ("issuer", certificate.issuer.clone()),
        ("serial", certificate.serial.clone()),
        ("valid", format!("{} to {}", second(certificate.not_before), second(certificate.not_after))),
    ]);
    put(format_args!("{}", certificate.pem));
}

/// Enough of an id to tell certificates apart.
fn beginning(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_short_is_shown_whole() {
        assert_eq!(beginning("0123456789abcdef0123"), "0123456789abcdef");
        assert_eq!(beginning("0123"), "0123");
    }
}
