//! `keyward init`.

use super::{
    exit::CliError,
    output::{Output, lines},
};
use crate::app::{
    init::{self, InitRequest, InitToken},
    settings::TokenSection,
};
use crate::base::custody::Posture;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "Examples:
  keyward init --dir rig
  keyward init --dir hsm --token-module /usr/lib/vendor.so --token-label hsm \\
    --token-pin-file pin --token-so-pin-file so-pin")]
pub(super) struct Init {
    /// `rig`: one person, everything at hand, for trying out. `production`: people's keys
    #[arg(long, default_value = "rig")]
    posture: Posture,
    /// Path of a PKCS#11 module, or `softhsm` for a fresh token inside the instance
    #[arg(long, default_value = "softhsm", value_name = "PATH|softhsm")]
    token_module: String,
    /// Label of the token, if it is not the embedded one
    #[arg(long, value_name = "LABEL")]
    token_label: Option<String>,
    /// File with the user PIN
    #[arg(long, value_name = "FILE")]
    token_pin_file: Option<PathBuf>,
    /// File with the SO PIN, which importing KEKs needs
    #[arg(long, value_name = "FILE")]
    token_so_pin_file: Option<PathBuf>,
    /// What the module reads in its environment, which has nothing else in it; can be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    token_environment: Vec<(String, String)>,
}

pub(super) async fn run(
    arguments: Init,
    directory: PathBuf,
    softhsm_conf: Option<PathBuf>,
    output: Output,
) -> Result<(), CliError> {
    let posture = arguments.posture;
    let token = token(arguments, softhsm_conf)?;
    let answer = init::init(InitRequest { directory, posture, token }).await.map_err(CliError::app)?;
    output.answer(&answer, |answer| {
        lines([
            ("instance", answer.id.to_string()),
            ("directory", answer.directory.display().to_string()),
            ("posture", answer.posture.to_string()),
            ("token", answer.token.clone()),
            ("root SHA-256", answer.root_sha256.clone()),
            ("share file", answer.share_file.display().to_string()),
        ]);
    });
    output.say("This is a rig: its PINs and its share file lie in the directory. Move the share file to a safe");
    output.say("place: with it and a backup everything can be restored, without it nothing.");
    Ok(())
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no `=`")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn token(arguments: Init, softhsm_conf: Option<PathBuf>) -> Result<InitToken, CliError> {
    if arguments.token_module == "softhsm" {
        return Ok(InitToken::Embedded);
    }
    let needed =
        |what: &str| CliError::invalid(format!("`--token-module` needs `{what}`"), "name the token and its PIN file");
    let absolute =
        |path: PathBuf| std::path::absolute(&path).map_err(|error| CliError::file("resolving", path.display(), error));
    Ok(InitToken::Existing(Box::new(TokenSection {
        module: Some(absolute(PathBuf::from(arguments.token_module))?),
        yubikey: None,
        management_key_file: None,
        attestation_roots: None,
        label: arguments.token_label.ok_or_else(|| needed("--token-label"))?,
        pin_file: Some(absolute(arguments.token_pin_file.ok_or_else(|| needed("--token-pin-file"))?)?),
        pin_credential: None,
        pin_fd: None,
        pin_command: None,
        pin_prompt: false,
        so_pin_file: arguments.token_so_pin_file.map(absolute).transpose()?,
        softhsm_conf: softhsm_conf.map(absolute).transpose()?,
        environment: arguments.token_environment.into_iter().collect(),
        sessions: None,
        keep_alive_seconds: None,
    })))
}
