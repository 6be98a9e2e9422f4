//! `keyward token`.

use super::{
    exit::CliError,
    files,
    output::{Output, lines, put_line, table},
};
use crate::client::Client;
use crate::token::api::{
    ChangePinAnswer, ChangePinRequest, ObjectAttributes, ObjectList, ObjectView, SealAnswer, TokenSummary, TokenView,
    UnlockRequest,
};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Token {
    /// The tokens of this instance, and which of them can be used now
    List,
    /// A token, and how it agrees with the inventory
    Show {
        /// Label of the token [default: the instance's own]
        token: Option<String>,
    },
    /// Give a running service the PIN of a token, until `seal` or its end
    #[command(after_help = "Examples:
  keyward token unlock                            asks for the PIN
  keyward token unlock hsm1 --pin-file hsm1.pin
  keyward token unlock --source                   after `seal`: read the PIN from its source again

With `pin_prompt = true` in keyward.toml a service starts sealed and waits for this. A PIN is sent to the token once:
one that it has refused is not sent again.")]
    Unlock {
        /// Label of the token [default: the instance's own]
        token: Option<String>,
        /// File with the PIN; asked for if absent
        #[arg(long, value_name = "FILE")]
        pin_file: Option<PathBuf>,
        /// Use the source of keyward.toml again instead
        #[arg(long, conflicts_with = "pin_file")]
        source: bool,
    },
    /// Take the PIN of a token away from a running service: nothing uses the token until `unlock`
    Seal {
        /// Label of the token [default: the instance's own]
        token: Option<String>,
    },
    /// Give a token a new user PIN; a PIN file of keyward.toml gets it too
    ChangePin {
        /// Label of the token [default: the instance's own]
        token: Option<String>,
        /// File with the new PIN; asked for twice if absent
        #[arg(long, value_name = "FILE")]
        new_pin_file: Option<PathBuf>,
    },
    /// The private keys in a token, whoever made them, and which key of the inventory each is
    #[command(after_help = "Example:
  keyward token scan
  keyward key adopt web 'pkcs11:token=keyward;id=%01;object=old;type=private'")]
    Scan {
        /// Label of the token [default: the instance's own]
        token: Option<String>,
    },
}

impl Token {
    /// Whether it is about what a service holds in its memory.
    pub(super) const fn needs_service(&self) -> bool {
        matches!(self, Self::Seal { .. } | Self::Unlock { .. })
    }
}

/// There is no service whose token could be sealed or not.
pub(super) fn no_service() -> CliError {
    CliError::invalid(
        "no service runs here that could hold the PIN",
        "start `keyward serve`; without a service a command asks for the PIN itself",
    )
}

pub(super) async fn run(token: Token, client: &Client, output: Output) -> Result<(), CliError> {
    match token {
        Token::List => {
            output.answer(&client.tokens().await?, |all| {
                table(["LABEL", "ROLE", "NOW", "MODULE"], all.items.iter().map(row));
            });
        }
        Token::Show { token: None } => output.answer(&client.token().await?, show),
        Token::Show { token: Some(token) } => output.answer(&client.token_named(&token).await?, show),
        Token::Unlock { token, pin_file, source } => {
            let pin = if source { None } else { Some(files::pin(pin_file.as_deref())?) };
            let token = label(client, token).await?;
            output.answer(&client.unlock_token(&token, &UnlockRequest { pin }).await?, show_seal);
        }
        Token::Seal { token } => {
            let token = label(client, token).await?;
            output.answer(&client.seal_token(&token).await?, show_seal);
        }
        Token::ChangePin { token, new_pin_file } => {
            let new_pin = files::new_pin(new_pin_file.as_deref())?;
            let token = label(client, token).await?;
            output.answer(&client.change_pin(&token, &ChangePinRequest { new_pin }).await?, show_change);
        }
        Token::Scan { token } => {
            let token = label(client, token).await?;
            output.answer(&client.scan(&token).await?, scanned);
        }
    }
    Ok(())
}

/// The label of the token that is named, or of the instance's own.
async fn label(client: &Client, named: Option<String>) -> Result<String, CliError> {
    match named {
        Some(label) => Ok(label),
        None => {
            let mut tokens = client.tokens().await?.items;
            Ok(tokens.drain(..).find(|token| token.home).map(|token| token.label).unwrap_or_default())
        }
    }
}

fn show_seal(answer: &SealAnswer) {
    let state = if answer.sealed { "sealed: nothing uses it until `keyward token unlock`" } else { "unlocked" };
    lines([("token", answer.token.clone()), ("state", state.to_owned())]);
}

fn show_change(answer: &ChangePinAnswer) {
    let (name, source) = if answer.stored {
        ("source", format!("{}, which has the new PIN", answer.source))
    } else {
        ("NOT IN", format!("{}: put the new PIN there before the next start of keyward", answer.source))
    };
    lines([("token", format!("{} has the new PIN", answer.token)), (name, source)]);
}

fn scanned(objects: &ObjectList) {
    let row = |object: &ObjectView| {
        [
            object.label.clone(),
            object.algorithm.map_or_else(|| "unknown".to_owned(), |algorithm| algorithm.to_string()),
            leaves(object.attributes).to_owned(),
            object.key.clone().unwrap_or_default(),
        ]
    };
    table(["LABEL", "ALGORITHM", "LEAVES", "RECORDED AS"], objects.items.iter().map(row));
    let mut foreign = objects.items.iter().filter(|object| object.key.is_none()).peekable();
    if foreign.peek().is_some() {
        put_line!("\nto take one into the inventory:");
        foreign.for_each(|object| put_line!("  keyward key adopt NAME '{}'", object.uri));
    }
}

/// In which way the key can leave the token, if its attributes tell the truth.
const fn leaves(attributes: ObjectAttributes) -> &'static str {
    match attributes {
        ObjectAttributes { sensitive: false, .. } => "in clear",
        ObjectAttributes { extractable: false, .. } => "never",
        ObjectAttributes { wrap_with_trusted: true, .. } => "by trusted keys",
        _ => "wrapped",
    }
}

fn row(token: &TokenSummary) -> [String; 4] {
    let role = if token.home { "instance's own" } else { "keys alone" };
    let now = token.problem.as_ref().map_or("ready", |problem| &problem.code);
    [token.label.clone(), role.to_owned(), now.to_owned(), token.module.clone()]
}

fn show(token: &TokenView) {
    let mut said = vec![("token", token.uri.clone())];
    said.extend([
        ("module", token.module.clone()),
        ("manufacturer", token.manufacturer.clone()),
        ("model", format!("{}, firmware {}", token.model, token.firmware)),
        ("serial", token.serial.clone()),
    ]);
    said.extend(comparison(token));
    lines(said);
}

/// How inventory and token agree; what does not is in capitals.
pub(super) fn comparison(token: &TokenView) -> Vec<(&'static str, String)> {
    let mut said = vec![("keys", format!("{} in the token", token.keys.present))];
    let lists = [
        ("MISSING", &token.keys.missing, "in the inventory, not in the token: restore them"),
        ("REPLACED", &token.keys.replaced, "another public key than recorded: not used"),
        ("unrecorded", &token.keys.unrecorded, "in the token, not in the inventory: `keyward token scan`"),
    ];
    for (name, labels, meaning) in lists {
        if !labels.is_empty() {
            said.push((name, format!("{} ({meaning})", labels.join(", "))));
        }
    }
    said
}
