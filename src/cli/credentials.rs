//! `keyward credential`.

use super::{
    exit::CliError,
    files::{self, NewFile},
    output::{Output, day, lines, put_line, second, table},
};
use crate::access::api::{AddCredentialAnswer, AddCredentialRequest, CredentialView};
use crate::base::principal::Role;
use crate::client::Client;
use clap::Subcommand;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub(super) enum Credential {
    /// Let a program in: by an API token, or with --csr by a client certificate
    #[command(after_help = "Examples:
  keyward credential add ci --role signer --key web --days 30 --out ci.token
  (printf 'Authorization: Bearer '; cat ci.token) >ci.header       not on a command line, which everybody can read
  curl --cacert tls/ca.pem --header @ci.header https://localhost:8443/api/v1/keys/web
  keyward credential add deploy --role operator --csr deploy.csr --out deploy.pem")]
    Add {
        /// Unique name: letters, digits, `.`, `_`, `-`
        name: String,
        /// admin, approver, auditor, operator or signer; the option again for several
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// Label or id of a key that it may use and see, and no others; the option again for several; for `--role
        /// signer` alone [default: every key]
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
        /// Lifetime, 1 to 3650
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Certify the key of this certificate signing request (PEM) instead of making a token
        #[arg(long, value_name = "FILE")]
        csr: Option<PathBuf>,
        /// Write the token, or the certificate, to a new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Every credential, the oldest first
    List,
    /// One credential
    Show {
        /// Name or id
        credential: String,
    },
    /// Take a credential back; from then on nobody is let in with it
    Revoke {
        /// Name or id
        credential: String,
    },
}

pub(super) async fn run(credential: Credential, client: &Client, output: Output) -> Result<(), CliError> {
    match credential {
        Credential::Add { name, roles, keys, days, csr, out } => {
            let csr = csr.as_deref().map(files::read_text).transpose()?;
            let keys = (!keys.is_empty()).then_some(keys);
            let request = AddCredentialRequest { name, roles, keys, days: Some(days), csr };
            add(client, &request, &out, output).await?;
        }
        Credential::List => {
            let row = |credential: &CredentialView| {
                [
                    credential.name.clone(),
                    credential.kind.to_string(),
                    roles(credential),
                    credential.keys.as_ref().map_or_else(|| "every".to_owned(), |keys| keys.len().to_string()),
                    credential.state.to_string(),
                    day(credential.expires_at),
                ]
            };
            output.answer(&client.credentials().await?, |page| {
                table(["NAME", "KIND", "ROLES", "KEYS", "STATE", "EXPIRES"], page.items.iter().map(row));
            });
        }
        Credential::Show { credential } => output.answer(&client.credential(&credential).await?, show),
        Credential::Revoke { credential } => output.answer(&client.revoke_credential(&credential).await?, show),
    }
    Ok(())
}

async fn add(client: &Client, request: &AddCredentialRequest, out: &Path, output: Output) -> Result<(), CliError> {
    let file = NewFile::create(out)?;
    let AddCredentialAnswer { credential, token, certificate_pem } = client.add_credential(request).await?;
    let written = match (token, certificate_pem) {
        (Some(token), _) => file.finish(Zeroizing::new(format!("{}\n", *token)).as_bytes()),
        (None, pem) => file.finish(pem.unwrap_or_default().as_bytes()),
    };
    if let Err(error) = written {
        // What nobody has must not let anybody in.
        client.revoke_credential(&credential.id.to_string()).await?;
        return Err(error);
    }
    output.answer(&credential, |credential| {
        show(credential);
        put_line!("file         {}", out.display());
    });
    Ok(())
}

fn show(credential: &CredentialView) {
    let ids = |keys: &Vec<_>| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let revoked = credential.revoked_at.map_or_else(String::new, |at| format!(", {}", second(at)));
    lines([
        ("name", credential.name.clone()),
        ("id", credential.id.to_string()),
        ("kind", credential.kind.to_string()),
        ("roles", roles(credential)),
        ("keys", credential.keys.as_ref().map_or_else(|| "every key".to_owned(), ids)),
        ("state", format!("{}{revoked}", credential.state)),
        ("certificate", credential.certificate_sha256.clone().unwrap_or_default()),
        ("added", second(credential.created_at)),
        ("expires", second(credential.expires_at)),
    ]);
}

fn roles(credential: &CredentialView) -> String {
    credential.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}
