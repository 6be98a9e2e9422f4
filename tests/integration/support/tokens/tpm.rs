//! A TPM 2.0 (swtpm) behind tpm2-pkcs11.

use super::{PIN, SO_PIN, Server, TestToken};

/// A fresh TPM with a token in it.
pub(crate) fn tpm() -> TestToken {
    let mut token = TestToken::prepare("tpm", "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so", "tpm");
    let home = token.home.path().to_str().unwrap().to_owned();
    let log = token.path("tpm.log");
    token._server = Some(Server::start(&["-n"], "tpm.sh", &[&home, "tpm", SO_PIN, PIN], &log));
    token.set("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={home}/bus"));
    token.set("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session");
    token.set("TPM2_PKCS11_STORE", format!("{home}/store"));
    token
}
