//! `keyward login`: pins the CA of a server, and says who one is there.

use super::{
    exit::CliError,
    output::{Output, lines},
};
use crate::app::settings::Environment;
use crate::client::{api_token::ApiToken, fingerprint::Fingerprint, https, login::Login, url::ServerUrl};
use crate::http::api::WhoamiView;
use crate::pki::certificate::Certificate;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LogIn {
    /// Address of the service: `https://HOST` or `https://HOST:PORT`
    #[arg(value_name = "URL")]
    url: ServerUrl,
    /// SHA-256 of the certificate of the instance's CA, as `keyward serve` and `keyward init` print it
    #[arg(long, value_name = "H")]
    ca_sha256: Fingerprint,
    /// File with an API token; its path is saved, the token is not. `KEYWARD_API_TOKEN_FILE` counts before it
    #[arg(long, value_name = "FILE")]
    api_token_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct LoggedIn {
    url: String,
    ca_sha256: String,
    file: PathBuf,
    caller: Option<WhoamiView>,
}

pub(super) async fn run(arguments: LogIn, environment: &Environment, output: Output) -> Result<(), CliError> {
    let LogIn { url, ca_sha256, api_token_file } = arguments;
    let absolute =
        |path: PathBuf| std::path::absolute(&path).map_err(|error| CliError::file("resolving", path.display(), error));
    let api_token_file = api_token_file.map(absolute).transpose()?;
    let api_token = environment.api_token_file.as_ref().or(api_token_file.as_ref());
    let api_token = api_token.map(|path| ApiToken::read(path)).transpose()?;
    let ca = https::fetch_ca(url.clone(), ca_sha256).await?;
    let ca_pem = Certificate::from_der(&ca).and_then(|ca| ca.to_pem()).map_err(|error| CliError::fault(&error))?;
    let caller = match api_token {
        Some(token) => Some(https::client(url.clone(), &ca_pem, Some(token))?.whoami().await?),
        None => None,
    };
    let login = Login { url: url.to_string(), ca_pem, api_token_file };
    let file = login.save(&environment.configuration_directory(), &url)?;
    let answer = LoggedIn { url: login.url, ca_sha256: ca_sha256.to_string(), file, caller };
    output.answer(&answer, show);
    if answer.caller.is_none() {
        output
            .say("No API token was named. Most commands need one: KEYWARD_API_TOKEN_FILE, or `--api-token-file` here.");
    }
    Ok(())
}

fn show(answer: &LoggedIn) {
    let mut said = vec![
        ("server", answer.url.clone()),
        ("CA SHA-256", answer.ca_sha256.clone()),
        ("saved in", answer.file.display().to_string()),
    ];
    if let Some(caller) = &answer.caller {
        let roles: Vec<_> = caller.roles.iter().map(|role| role.as_str()).collect();
        let keys = caller.keys.as_ref().map_or_else(|| "every key".to_owned(), |keys| keys.join("\n"));
        said.extend([("you are", caller.principal.name.clone()), ("roles", roles.join(", ")), ("keys", keys)]);
    }
    lines(said);
}

const EXAMPLES: &str = "\
Examples:
  keyward login https://keys.example:8443 --ca-sha256 3f9a… --api-token-file ~/.keyward-token
  keyward --server https://keys.example:8443 key list

Nothing is saved unless the server shows a CA with this fingerprint and, if a token is named, knows its bearer.";
