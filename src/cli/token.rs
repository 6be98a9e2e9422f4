//! `keyward token`.

use super::{
    exit::CliError,
    output::{Output, lines, table},
};
use crate::client::Client;
use crate::token::api::{TokenSummary, TokenView};
use clap::Subcommand;

#[derive(Subcommand)]
pub(super) enum Token {
    /// The tokens of this instance, and which of them can be used now
    List,
    /// A token, and how it agrees with the inventory
    Show {
        /// Label of the token [default: the instance's own]
        token: Option<String>,
    },
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
    }
    Ok(())
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
