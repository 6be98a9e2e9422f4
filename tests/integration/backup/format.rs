//! `docs/backup-format.md`: its commands are run exactly as they stand there.

use super::{archive, column, manifest, members, text};
use crate::{
    ceremony::share_line,
    support::{Rig, openssl, run},
};
use serde_json::Value;
use std::{fs, path::Path, process::Command};

#[test]
fn the_commands_of_the_document_open_every_key_and_the_inventory_without_keyward() {
    let rig = Rig::new();
    for (label, algorithm, policy) in [
        ("a", "p256", "backup-only"),
        ("b", "p384", "exportable"),
        ("c", "p521", "backup-only"),
        ("d", "secp256k1", "exportable"),
        ("e", "rsa-2048", "backup-only"),
        ("f", "ed25519", "token-only"),
        ("gone", "p256", "exportable"),
    ] {
        rig.key(label, algorithm, policy);
    }
    rig.keyward(&["cert", "self-sign", "a", "--subject", "CN=a.example", "--out", &rig.file("a.pem")]).succeeded();
    rig.keyward(&["--yes", "key", "destroy", "gone"]).succeeded();
    let archive = archive(&rig);
    let folder = rig.path("opened");
    fs::create_dir(&folder).unwrap();

    run_document(&rig, &archive, &folder, &share_line(&rig, "# root-sha256:")).succeeded();

    let manifest = manifest(&archive);
    assert_eq!(manifest["keys"].as_array().unwrap().len(), 6);
    for key in manifest["keys"].as_array().unwrap() {
        let opened = folder.join(format!("keys/{}.pem", key["id"].as_str().unwrap()));
        let public_key = openssl(&["pkey", "-in", text(&opened), "-pubout"]).succeeded().stdout;
        assert_eq!(public_key, key["public_key_pem"].as_str().unwrap(), "{}", key["algorithm"]);
    }
    let inventory: Value = serde_json::from_slice(&fs::read(folder.join("inventory.json")).unwrap()).unwrap();
    assert_eq!(column(&inventory["keys"], "label"), ["a", "b", "c", "d", "e", "f", "keyward-audit", "keyward-ca"]);
    assert_eq!(inventory["keys"][0]["certificates"][0], fs::read_to_string(rig.path("a.pem")).unwrap());
    assert_eq!(column(&inventory["tombstones"], "label"), ["gone"]);
}

#[test]
fn the_commands_of_the_document_stop_at_another_root_and_at_a_changed_member() {
    let rig = Rig::new();
    let archive = archive(&rig);
    let root = share_line(&rig, "# root-sha256:");
    let folder = |name: &str| {
        fs::create_dir(rig.path(name)).unwrap();
        rig.path(name)
    };

    let another_root = run_document(&rig, &archive, &folder("another"), &"0".repeat(64));
    let changed = rig.path("changed.tar");
    let mut bytes = fs::read(&archive).unwrap();
    let readme = members(&archive).into_iter().find(|(name, _)| name == "README.txt").unwrap().1;
    let place = bytes.windows(40).position(|window| *window == readme[..40]).unwrap();
    bytes[place] ^= 1;
    fs::write(&changed, bytes).unwrap();
    let changed_member = run_document(&rig, &changed, &folder("changed"), &root);

    assert_ne!(another_root.code, 0);
    assert_ne!(changed_member.code, 0);
    assert!(changed_member.stdout.contains("README.txt was changed"), "{changed_member:?}");
}

#[test]
fn the_readme_in_the_archive_has_a_command_that_opens_a_key() {
    let rig = Rig::new();
    let web = rig.key("web", "p256", "backup-only");
    let archive = archive(&rig);
    let folder = rig.path("opened");
    fs::create_dir(&folder).unwrap();
    rig.tool("tar", &["-xf", text(&archive), "-C", text(&folder)]).succeeded();
    let readme = fs::read_to_string(folder.join("README.txt")).unwrap();
    let commands: Vec<&str> = readme.lines().filter(|line| line.starts_with("  ")).collect();
    let (id, secret) = (web["id"].as_str().unwrap(), share_line(&rig, "secret-hex:"));
    let script = commands.join("\n").replace("ID.kwp", &format!("{id}.kwp")).replace("SECRET", &secret);

    let ended = shell(&folder, &script).succeeded();

    assert_eq!(openssl_public(&folder, &ended.stdout), web["public_key_pem"].as_str().unwrap());
}

/// Runs every `sh` block of the document, one after the other.
fn run_document(rig: &Rig, archive: &Path, folder: &Path, root: &str) -> crate::support::Ended {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/backup-format.md")).unwrap();
    let blocks: Vec<&str> = document.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    let settings =
        format!("ARCHIVE='{}' SECRET={} ROOT_SHA256={root}\n", text(archive), share_line(rig, "secret-hex:"),);
    shell(folder, &(settings + &blocks.concat()))
}

fn shell(folder: &Path, script: &str) -> crate::support::Ended {
    run(Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(folder))
}

fn openssl_public(folder: &Path, private_key: &str) -> String {
    let file = folder.join("key.pem");
    fs::write(&file, private_key).unwrap();
    openssl(&["pkey", "-in", text(&file), "-pubout"]).succeeded().stdout
}
