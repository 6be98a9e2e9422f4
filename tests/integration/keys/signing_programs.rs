//! Programs that people have sign with keys that keyward made: OpenSSL's engine, GnuTLS, ssh; NSS lists them.
//!
//! No Ed25519 key is in the token: one of those breaks the engine (libp11 0.4.12) for every key.

use crate::support::{Ended, Rig, assert_verifies, openssl, run};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

fn rig_with_keys() -> Rig {
    let rig = Rig::new();
    rig.key("web", "rsa-2048", "backup-only");
    rig.key("api", "p256", "backup-only");
    rig
}

fn uri(label: &str, kind: &str) -> String {
    format!("pkcs11:token=keyward;object={label};type={kind}")
}

#[test]
fn the_openssl_engine_signs_and_requests_certificates_with_keys_of_keyward() {
    let rig = rig_with_keys();
    let (module, pin) = (rig.module(), rig.pin());
    let engine = format!("engine_id = pkcs11\nMODULE_PATH = {module}\nPIN = {pin}\ninit = 0\n");
    let sections = "openssl_conf = conf\n[conf]\nengines = engines\n[engines]\npkcs11 = pkcs11\n[pkcs11]\n";
    let conf = rig.write("engine.cnf", format!("{sections}{engine}"));
    let by_engine = |arguments: &[&str]| {
        let conf = format!("OPENSSL_CONF={conf}");
        rig.tool("env", &[&[conf.as_str(), "openssl"], arguments].concat()).succeeded()
    };
    let message = rig.write("message", "signed through the engine");

    for label in ["web", "api"] {
        let (key, signature) = (uri(label, "private"), rig.file(&format!("{label}.sig")));
        let sign = ["dgst", "-engine", "pkcs11", "-keyform", "engine", "-sign", &key, "-sha256", "-out", &signature];
        by_engine(&[&sign[..], &[&message]].concat());

        assert_verifies("sha256", &rig.public_key(label), &signature, &message);
    }
    let (key, csr) = (uri("api", "private"), rig.file("api.csr"));
    by_engine(&[
        "req", "-new", "-engine", "pkcs11", "-keyform", "engine", "-key", &key, "-subj", "/CN=api", "-out", &csr,
    ]);
    let public_key = openssl(&["req", "-in", &csr, "-verify", "-noout", "-pubkey"]).succeeded().stdout;
    assert_eq!(public_key, fs::read_to_string(rig.public_key("api")).unwrap());
}

#[test]
fn gnutls_makes_a_certificate_with_a_key_of_keyward() {
    let rig = rig_with_keys();
    let template = rig.write("template", "cn = \"web\"\nexpiration_days = 10\n");
    let (module, pin) = (rig.module(), format!("GNUTLS_PIN={}", rig.pin()));
    let (private, public, out) = (uri("web", "private"), uri("web", "public"), rig.file("web.pem"));

    let certtool = ["certtool", "--provider", &module, "--generate-self-signed", "--template", &template];
    let files = ["--load-privkey", &private, "--load-pubkey", &public, "--outfile", &out];
    rig.tool("env", &[&[pin.as_str()], &certtool[..], &files].concat()).succeeded();

    openssl(&["verify", "-CAfile", &out, &out]).succeeded();
    let public_key = openssl(&["x509", "-in", &out, "-noout", "-pubkey"]).succeeded().stdout;
    assert_eq!(public_key, fs::read_to_string(rig.public_key("web")).unwrap());
}

/// A real ssh-agent that was given the token; ended with the test.
struct Agent<'a> {
    rig: &'a Rig,
    process: std::process::Child,
}

impl<'a> Agent<'a> {
    fn start(rig: &'a Rig, module: &str) -> Self {
        let socket = rig.file("agent");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a", &socket, "-P", module]).stdout(Stdio::null()).stderr(Stdio::null());
        let conf = rig.directory().join("softhsm/softhsm2.conf");
        let agent = Self { rig, process: command.env("SOFTHSM2_CONF", conf).spawn().unwrap() };
        while !rig.path("agent").exists() {
            std::thread::yield_now();
        }
        agent
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Ended {
        let mut command = Command::new(program);
        command.args(arguments).env("SSH_AUTH_SOCK", self.rig.path("agent")).env("SSH_ASKPASS_REQUIRE", "force");
        run(command.env("SSH_ASKPASS", self.rig.path("askpass")))
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn ssh_signs_through_its_agent_with_a_key_of_keyward() {
    let rig = rig_with_keys();
    // The agent compares the real path with those that it may load.
    let module = fs::canonicalize(rig.module()).unwrap().to_str().unwrap().to_owned();
    let askpass = rig.write("askpass", format!("#!/bin/sh\ncat {}\n", rig.pin_file().display()));
    fs::set_permissions(askpass, fs::Permissions::from_mode(0o700)).unwrap();
    let agent = Agent::start(&rig, &module);
    let message = rig.write("message", "signed by ssh");

    agent.run("ssh-add", &["-s", &module]).succeeded();
    let listed = agent.run("ssh-add", &["-L"]).succeeded().stdout;
    let public = listed.lines().find(|line| line.ends_with(" web")).unwrap();
    let key = rig.write("web-ssh.pub", format!("{public}\n"));
    agent.run("ssh-keygen", &["-Y", "sign", "-f", &key, "-n", "file", &message]).succeeded();

    let exported = run(Command::new("ssh-keygen").args(["-i", "-m", "PKCS8", "-f", &rig.public_key("web")]));
    assert!(public.starts_with(exported.succeeded().stdout.trim()), "{listed}");
    let allowed = rig.write("allowed", format!("me {public}\n"));
    let verify = format!("ssh-keygen -Y verify -f {allowed} -I me -n file -s {message}.sig < {message}");
    let verified = rig.tool("sh", &["-c", &verify]).succeeded();
    assert!(verified.stdout.contains("Good \"file\" signature for me with RSA key"), "{verified:?}");
}

#[test]
fn nss_lists_the_keys_of_keyward() {
    let rig = rig_with_keys();
    let (folder, module, pin) = (rig.path("nss"), rig.module(), rig.pin_file());
    fs::create_dir(&folder).unwrap();
    let database = format!("sql:{}", folder.display());
    rig.tool("certutil", &["-N", "-d", &database, "--empty-password"]).succeeded();
    rig.tool("modutil", &["-dbdir", &database, "-add", "softhsm", "-libfile", &module, "-force"]).succeeded();

    let list = ["-K", "-d", &database, "-h", "keyward", "-f", pin.to_str().unwrap()];
    let listed = rig.tool("certutil", &list).succeeded().stdout;

    for (label, kind) in [("web", " rsa "), ("api", " ec ")] {
        assert!(listed.lines().any(|line| line.ends_with(&format!(" {label}")) && line.contains(kind)), "{listed}");
    }
}
