//! `--help` of every command.

use crate::support::{keyward, run};
use std::collections::BTreeMap;

#[test]
fn every_command_says_what_it_and_each_of_its_options_does() {
    for (command, text) in pages() {
        let about = text.lines().next().unwrap_or_default();
        assert!(!about.is_empty() && !about.starts_with("Usage:"), "{command}: no description");
        for (option, description) in options(&text) {
            assert!(!description.is_empty(), "{command} {option}: no description");
        }
    }
}

#[test]
fn the_commands_of_the_main_job_have_examples() {
    let pages = pages();

    for command in [
        "",
        "init",
        "key generate",
        "key csr",
        "key sign",
        "cert self-sign",
        "export create",
        "backup restore",
        "ceremony recover",
        "credential add",
        "audit list",
        "audit verify",
    ] {
        assert!(pages[command].contains("\nExample"), "{command}");
        assert!(pages[command].contains("\n  keyward "), "{command}");
    }
}

#[test]
fn no_option_takes_a_secret_as_its_value() {
    let mut seen = Vec::new();

    for (command, text) in pages() {
        for (option, _) in options(&text) {
            let secret = ["passphrase", "password", "pin", "secret", "share"].iter().any(|word| option.contains(word));
            let name = option.split(' ').next().unwrap_or_default();
            // When a slot asks for the PIN is no secret.
            assert!(!secret || name.ends_with("-file") || name == "--pin-policy", "{command}: {option}");
            seen.extend(secret.then(|| name.to_owned()));
        }
    }
    assert!(seen.iter().any(|name| name == "--passphrase-file"), "{seen:?}");
    assert!(seen.iter().any(|name| name == "--token-pin-file"), "{seen:?}");
}

/// The help of every command, by its name.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut waiting = vec![String::new()];
    while let Some(command) = waiting.pop() {
        let text = run(keyward().args(command.split_whitespace()).arg("--help")).succeeded().stdout;
        let inner = text.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
        // What stands further in goes on with a description.
        for line in inner.lines().filter(|line| !line.starts_with("   ")) {
            let name = line.split_whitespace().next().unwrap_or_default();
            if !["", "help"].contains(&name) {
                waiting.push(format!("{command} {name}").trim().to_owned());
            }
        }
        pages.insert(command, text);
    }
    assert!(pages.len() > 30, "{:?}", pages.keys());
    pages
}

/// Each option or argument of a page, and what is said of it.
fn options(text: &str) -> Vec<(String, String)> {
    let mut options: Vec<(String, String)> = Vec::new();
    let before_examples = text.split("\nExample").next().unwrap_or_default();
    let mut lines = before_examples.lines().peekable();
    while let Some(line) = lines.next() {
        let named = line.trim_start();
        let indented = line.len() - named.len();
        if indented == 0
            || indented > 6
            || !(named.starts_with('-') || named.starts_with('<') || named.starts_with('['))
        {
            continue;
        }
        let (name, same_line) = named.split_once("  ").unwrap_or((named, ""));
        let next_line = lines.peek().map_or("", |next| if next.starts_with("         ") { next.trim() } else { "" });
        let long = name.split_once(", ").map_or(name, |(_, long)| long);
        options.push((long.to_owned(), format!("{}{next_line}", same_line.trim())));
    }
    options
}
