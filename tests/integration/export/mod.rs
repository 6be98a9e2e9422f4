//! Tests of `export`: what leaves, for which readers, and what does not leave.

mod files;
mod readers;
mod refusals;

use super::support::{Ended, Rig, openssl};

/// A passphrase that every reader takes.
const PASSPHRASE: &str = "correct horse 7";

/// A rig with a file that holds the passphrase.
fn rig_with_passphrase() -> (Rig, String) {
    let rig = Rig::new();
    let passphrase = rig.write("passphrase", PASSPHRASE);
    (rig, passphrase)
}

/// Makes an exportable key with a self-signed certificate `CN=LABEL`.
fn certified_key(rig: &Rig, label: &str, algorithm: &str) {
    rig.key(label, algorithm, "exportable");
    let certificate = rig.file(&format!("{label}.crt"));
    rig.json(&["cert", "self-sign", label, "--subject", &format!("CN={label}"), "--out", &certificate]);
}

/// The private key in a PKCS#12 file, in clear, as OpenSSL reads it.
fn private_key_in(pkcs12: &str, passphrase: &str) -> Result<String, String> {
    let pass = format!("pass:{passphrase}");
    printed(openssl(&["pkcs12", "-in", pkcs12, "-nocerts", "-nodes", "-passin", &pass]))
}

/// What a program printed, or why it failed.
fn printed(ended: Ended) -> Result<String, String> {
    match ended.code {
        0 => Ok(ended.stdout),
        code => Err(format!("exit code {code}: {}{}", ended.stdout, ended.stderr)),
    }
}
