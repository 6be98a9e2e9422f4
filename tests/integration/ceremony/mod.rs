//! Tests of `ceremony`: the KEKs in the token, and the shares that they come from.

mod attacks;
mod keks;
mod shares;

use crate::support::{Rig, openssl};
use std::fs;

/// What `init` wrote into the share file after this word, which begins a line.
pub(crate) fn share_line(rig: &Rig, word: &str) -> String {
    let text = fs::read_to_string(rig.directory().join("share-provisional.txt")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
    line.trim().to_owned()
}

/// The KEK of this purpose as 64 lower-case hex digits, derived from the share file with OpenSSL alone.
pub(crate) fn kek_by_openssl(rig: &Rig, purpose: &str) -> String {
    let (key, info) = (format!("hexkey:{}", share_line(rig, "secret-hex:")), format!("info:keyward/kek/v1/{purpose}"));
    let options = ["digest:SHA256", key.as_str(), info.as_str()].map(|option| ["-kdfopt", option]).concat();
    let derived = openssl(&[&["kdf", "-keylen", "32"][..], &options, &["HKDF"]].concat()).succeeded();
    derived.stdout.trim().replace(':', "").to_lowercase()
}

const PURPOSES: [&str; 3] = ["backup-only", "exportable", "inventory"];
