//! Tests of `backup`: archives, what comes back from them, and what they withstand.

mod destination;
mod drill;
mod format;
mod kill;
mod new_token;
mod restore;
mod run;
mod takeover;
mod tamper;

use crate::support::Rig;
use serde_json::Value;
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

/// A member of an archive, in its place.
type Member = (String, Vec<u8>);

/// Makes a backup, which must be green; gives its archive.
fn archive(rig: &Rig) -> PathBuf {
    let backup = rig.json(&["backup", "run"]);
    assert_eq!(backup["state"], "green", "{backup}");
    stored_at(&backup)
}

/// Where the archive of a backup lies.
fn stored_at(backup: &Value) -> PathBuf {
    PathBuf::from(backup["destinations"][0]["path"].as_str().unwrap())
}

/// The members of an archive in their order.
fn members(archive: &Path) -> Vec<Member> {
    let mut tar = tar::Archive::new(fs::File::open(archive).unwrap());
    let read = |entry: Result<tar::Entry<'_, fs::File>, _>| {
        let (mut entry, mut content) = (entry.unwrap(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    tar.entries().unwrap().map(read).collect()
}

fn manifest(archive: &Path) -> Value {
    serde_json::from_slice(&members(archive)[0].1).unwrap()
}

/// The texts in a JSON list, in their order.
fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// One value of each entry of a JSON list.
fn column<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|entry| entry[name].as_str().unwrap()).collect()
}

/// The names in a JSON object, sorted.
fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
