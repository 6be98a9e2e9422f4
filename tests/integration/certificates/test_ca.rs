//! A certificate authority made by OpenSSL: a root, an intermediate, and leaves for CSRs.

use crate::support::{Rig, openssl};
use std::fs;

const ROOT: &str = "basicConstraints=critical,CA:TRUE";
const INTERMEDIATE: &str = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n";
const LEAF: &str =
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nsubjectAltName=DNS:web.example\n";

/// Certificates as PEM.
pub(super) struct TestCa {
    pub(super) root: String,
    pub(super) intermediate: String,
    name: &'static str,
}

impl TestCa {
    /// A root and an intermediate; their files lie beside the rig under this name.
    pub(super) fn new(rig: &Rig, name: &'static str) -> Self {
        let file = |what: &str| rig.file(&format!("{name}-{what}"));
        let [root_key, root, key, csr, intermediate] = ["root.key", "root.pem", "ca.key", "ca.csr", "ca.pem"].map(file);
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let subject = format!("/CN={name} root");
        let root_options = ["req", "-x509", "-subj", &subject, "-addext", ROOT, "-keyout", &root_key, "-out", &root];
        openssl(&[&root_options[..], &new_key].concat()).succeeded();
        let subject = format!("/CN={name} intermediate");
        openssl(&[&["req", "-new", "-subj", &subject, "-keyout", &key, "-out", &csr][..], &new_key].concat())
            .succeeded();
        issue(rig, &csr, (&root, &root_key), INTERMEDIATE, &intermediate);
        let read = |path| fs::read_to_string(path).unwrap();
        Self { root: read(&root), intermediate: read(&intermediate), name }
    }

    /// A certificate of the intermediate for a CSR.
    pub(super) fn certify(&self, rig: &Rig, csr: &str) -> String {
        let [key, intermediate] = ["ca.key", "ca.pem"].map(|what| rig.file(&format!("{}-{what}", self.name)));
        let out = rig.file("issued.pem");
        issue(rig, csr, (&intermediate, &key), LEAF, &out);
        fs::read_to_string(out).unwrap()
    }
}

fn issue(rig: &Rig, csr: &str, (issuer, key): (&str, &str), extensions: &str, out: &str) {
    let extensions = rig.write("extensions", extensions);
    let by = ["-CA", issuer, "-CAkey", key, "-CAcreateserial", "-days", "30", "-extfile", &extensions];
    openssl(&[&["x509", "-req", "-in", csr, "-out", out][..], &by].concat()).succeeded();
}
