//! Archives that somebody changed: each is refused, and nothing comes of it.

use super::{Member, archive, members, text};
use crate::support::Rig;
use keyward::backup::offline::verify;
use std::{fs, path::Path};

#[test]
fn no_archive_that_was_cut_or_has_one_bit_flipped_is_taken() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    rig.key("mail", "rsa-2048", "exportable");
    let archive = archive(&rig);
    let whole = fs::read(&archive).unwrap();
    assert!(verify(&whole).is_ok());

    let mut taken = Vec::new();
    let lengths = (0..whole.len()).step_by(509).chain(whole.len() - 1_100..whole.len());
    taken.extend(lengths.filter(|length| verify(&whole[..*length]).is_ok()).map(|length| format!("cut at {length}")));
    // The first header and the end of the tar, the signature, which no hash covers, and the rest more thinly.
    let signature = place_of(&whole, &members(&archive)[1].1);
    let places = (0..512).chain(signature).chain((0..whole.len()).step_by(19));
    for place in places.chain(whole.len() - 1_024..whole.len()) {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        if verify(&flipped).is_ok() {
            taken.push(format!("bit flipped at {place}"));
        }
    }
    for more in [vec![0], vec![0; 512], b"more".to_vec()] {
        if verify(&[whole.clone(), more].concat()).is_ok() {
            taken.push("longer at the end".to_owned());
        }
    }

    assert_eq!(taken, [] as [String; 0]);
}

#[test]
fn no_archive_that_was_put_together_anew_is_taken() {
    let rig = Rig::new();
    for label in ["web", "mail"] {
        rig.key(label, "p256", "backup-only");
    }
    let another = Rig::new();
    let (first, second, another) = (archive(&rig), archive(&rig), archive(&another));
    let (before, ours, other) = (members(&first), members(&second), members(&another));
    let keys: Vec<usize> = (0..ours.len()).filter(|place| ours[*place].0.starts_with("keys/")).collect();
    let changed = |change: &dyn Fn(&mut Vec<Member>)| {
        let mut members = ours.clone();
        change(&mut members);
        members
    };

    // The same members in their order are the archive: what follows fails for what it changes.
    assert_eq!(packed(&ours), fs::read(&second).unwrap());
    for (what, members) in [
        (
            "contents of two keys swapped",
            changed(&|all| {
                let content = all[keys[0]].1.clone();
                all[keys[0]].1 = std::mem::replace(&mut all[keys[1]].1, content);
            }),
        ),
        ("two members in another order", changed(&|all| all.swap(keys[0], keys[1]))),
        ("manifest after its signature", changed(&|all| all.swap(0, 1))),
        ("a key removed", changed(&|all| drop(all.remove(keys[0])))),
        ("the signature removed", changed(&|all| drop(all.remove(1)))),
        ("the text removed", changed(&|all| drop(all.remove(2)))),
        ("a member added", changed(&|all| all.push(("keys/more.kwp".to_owned(), vec![1; 40])))),
        ("a member twice", changed(&|all| all.push(all[keys[0]].clone()))),
        ("a manifest twice", changed(&|all| all.push(before[0].clone()))),
        ("a key renamed", changed(&|all| all[keys[0]].0 = all[keys[0]].0.replace(".kwp", ".bin"))),
        ("a key under another spelling of its name", changed(&|all| all[keys[0]].0 = format!("./{}", all[keys[0]].0))),
        ("another text", changed(&|all| all[2].1.push(b'!'))),
        ("the manifest of an older archive", changed(&|all| all[0].1 = before[0].1.clone())),
        ("manifest and signature of an older archive", changed(&|all| all[..2].clone_from_slice(&before[..2]))),
        ("manifest and signature of another instance", changed(&|all| all[..2].clone_from_slice(&other[..2]))),
        ("the signature of another instance", changed(&|all| all[1].1 = other[1].1.clone())),
        ("the inventory of an older archive", changed(&|all| all[3].1 = before[3].1.clone())),
        ("nothing", Vec::new()),
    ] {
        let error = verify(&packed(&members)).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.starts_with("the archive is damaged or was changed")), "{what}");
    }
}

#[test]
fn a_changed_archive_is_refused_by_every_command_and_changes_nothing() {
    let rig = Rig::new();
    let web = rig.key("web", "p256", "backup-only");
    let whole = fs::read(archive(&rig)).unwrap();
    rig.lose(&web);
    let before = (rig.all_objects(), rig.json(&["backup", "list"]));

    let place = whole.windows(5).position(|window| window == b"keys/").unwrap() + 512;
    let mut flipped = whole.clone();
    flipped[place] ^= 1;
    for (name, bytes) in [("cut.tar", &whole[..whole.len() / 2]), ("flipped.tar", &flipped), ("text.tar", b"no tar")] {
        let file = rig.write(name, bytes);
        rig.refused(&["backup", "verify", &file], 3, "archive-invalid");
        rig.refused(&["backup", "drill", &file], 3, "archive-invalid");
        rig.refused(&["backup", "restore", &file], 3, "archive-invalid");
    }

    assert_eq!((rig.all_objects(), rig.json(&["backup", "list"])), before);
    assert!(!Path::new(&rig.file("rig/drills")).exists());
    assert_eq!(rig.json(&["audit", "verify"])["valid"], true);
    let whole = rig.write("whole.tar", whole);
    assert_eq!(rig.json(&["backup", "restore", text(Path::new(&whole))])["restored"][0], "web");
}

/// Where a member's content lies in the archive.
fn place_of(whole: &[u8], content: &[u8]) -> std::ops::Range<usize> {
    let start = whole.windows(content.len()).position(|window| window == content).unwrap();
    start..start + content.len()
}

/// A tar as keyward packs it.
fn packed(members: &[Member]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let manifest: Option<serde_json::Value> =
        members.iter().find_map(|(_, content)| serde_json::from_slice(content).ok());
    let seconds = manifest.map_or(0, |manifest| seconds_of(manifest["created_at"].as_str().unwrap()));
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        // `set_path` would tidy a name up.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &content[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn seconds_of(time: &str) -> u64 {
    let time: keyward::base::time::Timestamp = time.parse().unwrap();
    u64::try_from(time.as_millis() / 1_000).unwrap()
}
