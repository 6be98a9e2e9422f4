//! `keyward ceremony` and `keyward kek`.

use super::{
    exit::CliError,
    files,
    output::{Output, day, table},
};
use crate::ceremony::api::RecoverRequest;
use crate::client::Client;
use crate::keys::api::KekView;
use clap::Subcommand;
use std::path::PathBuf;
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub(super) enum Ceremony {
    /// Put the secret together from shares, and bring its KEKs into the token
    #[command(after_help = "Example:
  keyward ceremony recover --share-file share-a.txt --share-file share-b.txt")]
    Recover {
        /// Share file; may be given again, until the quorum is there
        #[arg(long = "share-file", value_name = "FILE", required = true)]
        share_files: Vec<PathBuf>,
    },
}

#[derive(Subcommand)]
pub(super) enum Kek {
    /// Every KEK, the oldest first
    List,
}

pub(super) async fn run(ceremony: Ceremony, client: &Client, output: Output) -> Result<(), CliError> {
    let Ceremony::Recover { share_files } = ceremony;
    let texts = share_files.iter().map(|path| files::read_text(path).map(Zeroizing::new));
    let request = RecoverRequest { shares: texts.collect::<Result<_, _>>()? };
    let recovery = client.put_together(&request).await?;
    let answer = client.import_keks(&recovery.recovery).await?;
    output.answer(&answer, |answer| show(&answer.keks));
    Ok(())
}

pub(super) async fn run_kek(_list: &Kek, client: &Client, output: Output) -> Result<(), CliError> {
    output.answer(&client.keks().await?, |page| show(&page.items));
    Ok(())
}

fn show(keks: &[KekView]) {
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let rows = keks.iter().map(|kek| {
        [
            kek.purpose.to_string(),
            kek.kcv.clone(),
            yes(kek.current),
            yes(kek.trusted),
            yes(kek.provisional),
            day(kek.created_at),
        ]
    });
    table(["PURPOSE", "KCV", "CURRENT", "TRUSTED", "PROVISIONAL", "SINCE"], rows);
}
