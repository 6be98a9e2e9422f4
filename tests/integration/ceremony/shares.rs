//! The share file: what it gives back, and what is said of one that is damaged or of another instance.

use super::share_line;
use crate::support::Rig;
use serde_json::json;

#[test]
fn the_share_file_brings_the_same_keks_back() {
    let rig = Rig::new();
    let share = share_file(&rig);
    let before = rig.json(&["kek", "list"]);
    let kek = before["items"].as_array().unwrap().iter().find(|kek| kek["purpose"] == "backup-only").unwrap().clone();
    rig.key("web", "p256", "backup-only");
    rig.lose(&kek);
    rig.refused(&["backup", "run"], 6, "kek-missing");

    let words_only = rig.write("words.txt", format!("words: {}\n", share_line(&rig, "words:")));
    let recovered = rig.json(&["ceremony", "recover", "--share-file", &words_only]);
    let again = rig.json(&["ceremony", "recover", "--share-file", &share]);

    for answer in [&recovered, &again] {
        let kcvs = |keks: &serde_json::Value| -> Vec<_> {
            keks.as_array()
                .unwrap()
                .iter()
                .map(|kek| (kek["id"].clone(), kek["kcv"].clone(), kek["trusted"].clone()))
                .collect()
        };
        assert_eq!(kcvs(&answer["keks"]), kcvs(&before["items"]));
    }
    assert_eq!(rig.all_objects().iter().filter(|object| object["CLASS"] == 4).count(), 3);
    assert_eq!(rig.json(&["backup", "run"])["state"], "green");
}

#[test]
fn a_damaged_share_is_refused_and_the_place_is_named() {
    let rig = Rig::new();
    let words = share_line(&rig, "words:");
    let mut list: Vec<&str> = words.split(' ').collect();
    let before = rig.all_objects().len();

    let twentieth = if list[19] == "academic" { "acid" } else { "academic" };
    let right = std::mem::replace(&mut list[19], twentieth);
    let wrong_word = rig.write("wrong.txt", format!("words: {}\n", list.join(" ")));
    let problem = rig.refused(&["ceremony", "recover", "--share-file", &wrong_word], 3, "share-checksum");
    assert!(problem["detail"].as_str().unwrap().contains("word 20 is wrong"), "{problem}");

    list[19] = "keyward";
    let no_word = rig.write("no-word.txt", format!("words: {}\n", list.join(" ")));
    let problem = rig.refused(&["ceremony", "recover", "--share-file", &no_word], 3, "share-word-unknown");
    assert!(problem["detail"].as_str().unwrap().contains("word 20 of the share"), "{problem}");

    list[19] = right;
    let cut = rig.write("cut.txt", format!("words: {}\n", list[..30].join(" ")));
    let problem = rig.refused(&["ceremony", "recover", "--share-file", &cut], 3, "share-checksum");
    assert!(problem["detail"].as_str().unwrap().contains("wrong or missing"), "{problem}");

    let whole = std::fs::read_to_string(share_file(&rig)).unwrap();
    let truncated = rig.write("truncated.txt", &whole[..whole.len() - 10]);
    rig.refused(&["ceremony", "recover", "--share-file", &truncated], 3, "share-file-malformed");
    let empty = rig.write("empty.txt", "");
    rig.refused(&["ceremony", "recover", "--share-file", &empty], 3, "shares-too-few");
    rig.refused(&["ceremony", "recover", "--share-file", &rig.file("nowhere")], 5, "file-missing");

    assert_eq!(rig.all_objects().len(), before);
}

#[test]
fn another_implementation_of_slip39_gets_the_secret_from_our_words() {
    let rig = Rig::new();

    let ended = rig.python("ceremony/recombine.py", &[&share_line(&rig, "words:")]).succeeded();

    assert_eq!(ended.json(), json!({ "secret": share_line(&rig, "secret-hex:"), "words": 33, "of": 1 }));
}

fn share_file(rig: &Rig) -> String {
    rig.directory().join("share-provisional.txt").to_str().unwrap().to_owned()
}
