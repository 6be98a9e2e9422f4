//! `keyward doctor`: the token is tried out, and each finding says what it means.

use super::{
    exit::CliError,
    output::{Output, put_line, table},
};
use crate::client::Client;
use crate::token::api::{AlgorithmCapability, Capabilities};

pub(super) async fn run(client: &Client, output: Output) -> Result<(), CliError> {
    output.say("trying the token out on scratch session objects …");
    output.answer(&client.probe(&client.tokens().await?.items[0].label).await?, show);
    Ok(())
}

fn show(capabilities: &Capabilities) {
    let yes = |flag: bool| if flag { "yes" } else { "NO" }.to_owned();
    let row = |seen: &AlgorithmCapability| {
        let meaning = match (seen.sign, seen.wrap) {
            (true, true) => "every policy".to_owned(),
            (true, false) => format!("`token-only` alone: {}", cause(seen)),
            (false, _) => format!("cannot be made here: {}", cause(seen)),
        };
        [seen.algorithm.to_string(), yes(seen.sign), yes(seen.wrap), meaning]
    };
    table(["ALGORITHM", "SIGNS", "WRAPS", "MEANS"], capabilities.algorithms.iter().map(row));
    put_line!("");
    let findings = [
        (
            "RFC 5649 key wrap",
            capabilities.key_wrap.is_some(),
            "backups and exports work",
            "no backup and no export from this token: keys can only be token-only",
        ),
        (
            "RFC 3394 content key",
            capabilities.content_key_wrap,
            "the inventory of an archive can be sealed",
            "no backup from this token: its inventory could not be sealed",
        ),
        (
            "EXTRACTABLE is honoured",
            capabilities.honours_extractable,
            "a token-only key cannot leave",
            "UNFIT: this token gives keys away that it was told to keep; use another",
        ),
        (
            "trusted wrapping",
            capabilities.honours_wrap_with_trusted,
            "backup-only is enforced by the token itself",
            "backup-only is enforced by keyward: who holds the PIN could take such a key out",
        ),
        (
            "UNWRAP_TEMPLATE",
            capabilities.unwrap_template,
            "restore and drills work online without opening a way out",
            "restore by quorum only: the KEK in the token cannot unwrap",
        ),
    ];
    let row = |(name, seen, good, bad): (&str, bool, &str, &str)| {
        [name.to_owned(), yes(seen), if seen { good } else { bad }.to_owned()]
    };
    table(["PROPERTY", "SEEN", "MEANS"], findings.into_iter().map(row));
}

fn cause(seen: &AlgorithmCapability) -> &str {
    seen.cause.as_deref().unwrap_or("no reason given")
}
