//! `keyward serve`.

use super::{
    exit::CliError,
    output::{Output, lines},
};
use crate::app::serve::{Ready, serve};
use std::path::Path;

pub(super) async fn run(directory: &Path, output: Output) -> Result<(), CliError> {
    serve(directory, |ready| output.event(ready, show)).await.map_err(CliError::app)
}

fn show(ready: &Ready) {
    lines([
        ("ready", ready.url.clone()),
        ("socket", ready.socket.display().to_string()),
        ("CA SHA-256", ready.ca_sha256.clone()),
        ("process", ready.pid.to_string()),
    ]);
}

pub(super) const EXAMPLES: &str = "\
Examples:
  keyward serve --dir rig
  keyward serve -o json        first prints {\"event\":\"ready\",\"url\",\"socket\",\"ca_sha256\",\"pid\"}

SIGTERM ends it when requests under way are answered, SIGHUP reads keyward.toml and the certificate again.
Settings: [http] listen, names, connections, requests_per_second in keyward.toml.";
