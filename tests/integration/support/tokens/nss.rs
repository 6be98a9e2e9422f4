//! NSS softokn: the token that gives keys away which it was told to keep.

use super::TestToken;
use crate::support::pkcs11::test_module;
use crate::support::run;
use std::{fs, process::Command};

/// A fresh database, behind the module that hands its place over.
pub(crate) fn nss() -> TestToken {
    let mut token = TestToken::prepare("nss", test_module("keyward_test_nss"), "NSS Certificate DB");
    let database = token.path("nssdb");
    fs::create_dir(&database).unwrap();
    let place = format!("sql:{}", database.display());
    run(Command::new("certutil").args(["-N", "-d", &place, "-f"]).arg(token.path("pin"))).succeeded();
    token.set("KEYWARD_TEST_NSS_MODULE", "/usr/lib/x86_64-linux-gnu/libsoftokn3.so");
    token.set("KEYWARD_TEST_NSS_PARAMETERS", format!("configdir='{place}' flags="));
    token.settings.so_pin = None;
    token
}
