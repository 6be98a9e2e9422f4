//! `kill -9` of keyward at random moments: afterwards every key is whole or absent, and `status` says so.
//!
//! Either the parent alone, whose worker sees the end of its stream, or both at once. The moments come from a seed that is printed
//! when a test fails; `KEYWARD_TEST_SEED` repeats it, as far as a schedule of processes can be repeated.

use super::{archive, column, text};
use crate::support::{Rig, openssl, run};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fmt, fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[test]
fn killed_while_a_key_is_made_it_is_there_whole_or_not_at_all() {
    let rig = Rig::new();
    let mut moments = Moments::of(&rig, &["key", "generate", "timed", "--algorithm", "p256"]);
    let mut answered = 0;
    for number in 0..KILLS {
        let label = format!("k{number}");
        answered += u32::from(moments.kill(&rig, &["key", "generate", &label, "--algorithm", "p256"]));
        moments.assert_agreed(&rig);
    }

    let keys = rig.json(&["key", "list"]);
    let made = column(&keys["items"], "label").into_iter().filter(|label| label.starts_with('k') && label.len() < 4);
    let made: Vec<&str> = made.collect();
    assert!(made.len() >= answered as usize, "{made:?}, {answered} were answered; {moments:?}");
    for label in made {
        rig.assert_signs(label, &rig.public_key(label));
    }
    moments.assert_no_strays(&rig, &keys);
    moments.assert_goes_on(&rig);
}

#[test]
fn killed_while_a_backup_is_made_its_archive_is_whole_or_not_there() {
    let rig = Rig::new();
    for label in ["a", "b", "c"] {
        rig.key(label, "p256", "backup-only");
    }
    let mut moments = Moments::of(&rig, &["backup", "run"]);
    for _ in 0..KILLS {
        moments.kill(&rig, &["backup", "run"]);
        moments.assert_agreed(&rig);
    }

    let files = fs::read_dir(rig.directory().join("backups")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.collect();
    let mut sequences = HashSet::new();
    for file in &files {
        let verified = rig.json(&["backup", "verify", text(file)]);
        assert!(sequences.insert(verified["archive"]["sequence"].as_u64()), "two archives of one number; {moments:?}");
    }
    for listed in column(&rig.json(&["backup", "list"])["items"], "name") {
        assert!(files.contains(&rig.directory().join("backups").join(listed)), "{listed} is listed only; {moments:?}");
    }
    moments.assert_goes_on(&rig);
}

#[test]
fn killed_while_keys_come_back_the_same_restore_goes_on() {
    let lost = Rig::new();
    for label in ["a", "b", "c"] {
        lost.key(label, "p256", "backup-only");
    }
    lost.keyward(&["cert", "self-sign", "a", "--subject", "CN=a", "--out", &lost.file("a.pem")]).succeeded();
    let archive = archive(&lost);
    let share = lost.directory().join("share-provisional.txt");
    let restore = ["backup", "restore", text(&archive), "--share-file", text(&share)];
    let rig = Rig::new();
    rig.tool("cp", &["-a", "rig", "fresh"]).succeeded();
    let again = || {
        fs::remove_dir_all(rig.directory()).unwrap();
        rig.tool("cp", &["-a", "fresh", "rig"]).succeeded();
    };
    let mut moments = Moments::of(&rig, &restore);
    for _ in 0..KILLS {
        again();
        moments.kill(&rig, &restore);
        moments.assert_agreed(&rig);

        let answer = rig.json(&restore);

        assert_eq!((&answer["state"], &answer["failed"]), (&json!("green"), &json!([])), "{moments:?}");
        rig.assert_signs("a", &lost.public_key("a"));
        moments.assert_no_strays(&rig, &rig.json(&["key", "list"]));
    }

    let subjects = rig.json(&["cert", "list"]);
    assert_eq!(column(&subjects["items"], "subject").iter().filter(|subject| **subject == "CN=a").count(), 1);
    moments.assert_goes_on(&rig);
}

#[test]
fn killed_while_a_key_is_exported_its_file_is_whole_or_not_there() {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    let (public_key, passphrase) = (rig.public_key("web"), rig.write("pass", "correct horse"));
    let folder = rig.path("exports");
    fs::create_dir(&folder).unwrap();
    let file = |number: usize| text(&folder.join(format!("{number}.pem"))).to_owned();
    let export = ["export", "create", "web", "--format", "pem", "--passphrase-file", &passphrase, "--out"];
    let mut moments = Moments::of(&rig, &[&export[..], &[&file(99)]].concat());
    for number in 0..KILLS {
        moments.kill(&rig, &[&export[..], &[&file(number)]].concat());
        moments.assert_agreed(&rig);
    }

    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "pem", "{moments:?}");
        let pass = format!("file:{passphrase}");
        let opened = openssl(&["pkey", "-in", text(&path), "-passin", &pass, "-pubout"]).succeeded();
        assert_eq!(opened.stdout, fs::read_to_string(&public_key).unwrap(), "{}; {moments:?}", path.display());
    }
    moments.assert_goes_on(&rig);
}

#[test]
fn killed_while_softhsm_writes_its_token_file_the_token_is_still_there() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let public_key = rig.public_key("web");
    let files = run(Command::new("find").arg(rig.directory()).args(["-name", "token.object"])).succeeded().stdout;
    // What such a kill leaves; it strikes about one login in four hundred.
    fs::write(files.trim(), "").unwrap();

    rig.assert_signs("web", &public_key);
}

/// When to kill: anywhere within the time that the command takes when it is left alone.
struct Moments {
    /// What the schedule was made from.
    seed: u64,
    state: u64,
    whole: Duration,
}

impl fmt::Debug for Moments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KEYWARD_TEST_SEED={}", self.seed)
    }
}

impl Moments {
    /// Runs the command to its end for its time.
    fn of(rig: &Rig, command: &[&str]) -> Self {
        let seed = seed();
        let begin = Instant::now();
        rig.keyward(command).succeeded();
        Self { seed, state: seed, whole: begin.elapsed() }
    }

    /// Starts the command and kills it, every second time with its worker; whether it had ended well before.
    fn kill(&mut self, rig: &Rig, command: &[&str]) -> bool {
        let mut command = rig.command(command);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().unwrap();
        std::thread::sleep(self.next());
        if self.state & (1 << 40) == 0 {
            child.kill().unwrap();
        } else {
            // There is no such group if all of it has ended.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        child.wait().unwrap().success()
    }

    /// `SplitMix64`.
    fn next(&mut self) -> Duration {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let thousandths = u32::try_from((bits ^ (bits >> 31)) % 1_000).unwrap();
        self.whole * thousandths / 1_000
    }

    /// Inventory and token agree, nothing half written is left, and the audit log holds.
    #[track_caller]
    fn assert_agreed(&self, rig: &Rig) {
        let status = rig.json(&["status"]);
        let keys = &status["token"]["keys"];
        let differing = ["missing", "replaced", "unrecorded"].map(|name| keys[name].clone());
        assert_eq!(differing, [json!([]), json!([]), json!([])], "{self:?}");
        assert_eq!(rig.json(&["audit", "verify"])["valid"], true, "{self:?}");
        let partial = run(Command::new("find").arg(rig.directory()).args(["-name", "*.partial"]));
        assert_eq!(partial.succeeded().stdout, "", "{self:?}");
    }

    /// Every private and public key object in the token is of a key in the inventory: not even half a pair is left.
    #[track_caller]
    fn assert_no_strays(&self, rig: &Rig, keys: &Value) {
        let known: Vec<String> = column(&keys["items"], "id").iter().map(|id| id.replace('-', "")).collect();
        let mut strays = rig.all_objects();
        strays.retain(|object| {
            let is_key = object["CLASS"] == PUBLIC_KEY || object["CLASS"] == PRIVATE_KEY;
            // SoftHSM leaves a file without any attribute if it is killed before it writes them.
            is_key && object["TOKEN"] == true && !known.iter().any(|id| object["ID"] == **id)
        });
        assert_eq!(strays, [] as [Value; 0], "{self:?}");
    }

    /// A backup and a drill after all that are green.
    #[track_caller]
    fn assert_goes_on(&self, rig: &Rig) {
        for command in [&["backup", "run"][..], &["backup", "drill", "latest"]] {
            let answer = rig.json(command);
            assert_eq!(answer["state"], "green", "{answer}; {self:?}");
        }
        let newest: &Value = &rig.json(&["backup", "list"])["items"][0];
        assert!(Path::new(newest["destinations"][0]["path"].as_str().unwrap()).exists());
        self.assert_agreed(rig);
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
fn seed() -> u64 {
    match std::env::var("KEYWARD_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => getrandom::u64().unwrap(),
    }
}

/// `CKO_PUBLIC_KEY`.
const PUBLIC_KEY: u64 = 2;
/// `CKO_PRIVATE_KEY`.
const PRIVATE_KEY: u64 = 3;
/// Of each of four commands: 52 in all.
const KILLS: usize = 13;
