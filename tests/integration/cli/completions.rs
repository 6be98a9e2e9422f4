//! Completions and manual pages: made from the command line, and understood by those who read them.

use crate::support::{Ended, keyward, run};
use std::{fs, process::Command};

fn script(shell: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyward");
    fs::write(&path, run(keyward().args(["completions", shell])).succeeded().stdout).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// What bash offers for the last word.
fn offered(words: &[&str]) -> Vec<String> {
    let (_directory, script) = script("bash");
    let complete = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                    _keyward keyward \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; \
                    printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", complete, "bash", &script, "keyward"]).args(words);
    run(&mut bash).succeeded().stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert_eq!(offered(&["back"]), ["backup"]);
    assert_eq!(offered(&["key", "gen"]), ["generate"]);
    assert_eq!(offered(&["key", "generate", "web", "--alg"]), ["--algorithm"]);
    assert_eq!(offered(&["key", "list", "--output", "js"]), ["json"]);
}

#[test]
fn what_nobody_types_is_not_offered() {
    let commands = offered(&[""]);

    assert!(commands.contains(&"serve".to_owned()), "{commands:?}");
    for hidden in ["errors", "man", "token-worker"] {
        assert!(!commands.contains(&hidden.to_owned()), "{hidden}");
    }
}

#[test]
fn fish_and_zsh_can_read_their_scripts() {
    for shell in ["fish", "zsh"] {
        let (_directory, script) = script(shell);

        let read: Ended = run(Command::new(shell).args(["-n", &script])).succeeded();

        assert_eq!(read.stderr, "", "{shell}");
    }
}

#[test]
fn every_manual_page_is_well_formed_and_keeps_the_lines_of_its_examples() {
    let directory = tempfile::tempdir().unwrap();
    run(keyward().args(["man", "--out"]).arg(directory.path())).succeeded();

    let mut pages = 0;
    for page in fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()) {
        run(Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(&page)).succeeded();
        pages += 1;
    }
    assert!(pages > 35, "{pages}");
    assert!(!directory.path().join("keyward-token-worker.1").exists());
    let page = run(Command::new("mandoc").args(["-T", "utf8"]).arg(directory.path().join("keyward-key-sign.1")));
    let plain = plain(&page.succeeded().stdout);
    assert!(plain.contains("keyward-key-sign - Sign a file"), "{plain}");
    assert!(plain.contains("\n         keyward key sign web --in message --out message.sig\n"), "{plain}");
}

/// Without overstriking.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        if letter == '\u{8}' {
            plain.pop();
        } else {
            plain.push(letter);
        }
    }
    plain
}
