//! The software token of opencryptoki: RSA alone, and no key wrap.

use super::{PIN, SO_PIN, Server, TestToken, secret_file};
use std::{fs, os::unix::fs::PermissionsExt as _};

/// A fresh token in namespaces of its own, which its worker enters.
pub(crate) fn opencryptoki() -> TestToken {
    let module = "/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0";
    let mut token = TestToken::prepare("opencryptoki", module, "opencryptoki");
    let server = Server::start(
        &["-m", "-i"],
        "opencryptoki.sh",
        &["opencryptoki", SO_PIN, PIN],
        &token.path("opencryptoki.log"),
    );
    let process = server.child.id().to_string();
    token.enter = ["/usr/bin/nsenter", "-t", &process, "-m", "-i"].map(str::to_owned).to_vec();
    let script = format!("#!/bin/sh\nexec {} {} \"$@\"\n", token.enter.join(" "), env!("CARGO_BIN_EXE_keyward"));
    let script = secret_file(token.home.path(), "worker-inside", &script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    token.settings.executable = script;
    token._server = Some(server);
    token
}
