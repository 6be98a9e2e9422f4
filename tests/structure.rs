//! The borders of the house, checked by matching text over `src/`: who may import whom, where a foreign crate stops,
//! where secrets are looked at, how files begin and are named. There is no parser; what a rule cannot see, a reviewer
//! must. A rule that hurts the reader is changed here, in the same commit, with the reason in its message.

use std::{collections::BTreeSet, fs, io, path::Path};

/// Who may import whom; a folder may always import itself. `*::api` is the `api.rs` of any noun.
const IMPORTS: &[(&str, &str)] = &[
    ("base", ""),
    ("pki", "base"),
    ("db", "base"),
    ("token", "base pki"),
    ("audit", "base db pki"),
    ("notify", "base db audit"),
    ("access", "base db pki audit notify"),
    ("commands", "base db audit access"),
    ("keys", "base pki db token audit notify access commands"),
    ("certificates", "base pki db token audit notify access commands keys"),
    ("export", "base pki db token audit notify access commands keys certificates"),
    ("ceremony", "base pki db token audit notify access commands keys certificates"),
    ("backup", "base pki db token audit notify access commands keys certificates ceremony"),
    ("doctor", "base pki db token audit notify access commands keys certificates ceremony backup"),
    ("orders", "base pki db token audit notify access commands keys certificates"),
    ("vault", "base pki db token audit notify access commands keys certificates export orders"),
    ("fleet", "base pki db token audit notify access commands keys certificates export ceremony backup orders vault"),
    (
        "http",
        "base pki token audit notify access commands keys certificates export ceremony backup doctor orders vault fleet",
    ),
    ("client", "base *::api"),
    ("cli", "base pki client app *::api *::offline"),
    (
        "app",
        "base pki db token audit notify access commands keys certificates export ceremony backup orders vault fleet \
         http client",
    ),
];

/// Macros that the library exports at its root, so that they are written `crate::name!`.
const ROOT_MACROS: &[&str] = &["catalogue"];

/// Foreign crates, and the beginnings of the paths where they may be named (`*…`: the end of the path).
const EDGES: &[(&str, &str)] = &[
    ("cryptoki cryptoki_sys libloading", "token/worker/"),
    ("pcsc yubikey", "token/worker/piv/"),
    ("postcard", "token/"),
    ("sqlx", "db/ */db.rs"),
    ("axum", "http/ app/"),
    ("hyper hyper_util rustls tokio_rustls", "app/serve client/"),
    ("listenfd sd_notify", "app/serve"),
    ("governor", "access/"),
    ("prometheus_client", "http/"),
    ("rcgen", "pki/"),
    ("http_body tower http_body_util", "http/ app/ client/"),
    ("clap clap_complete clap_mangen", "cli/ main.rs"),
    ("comfy_table indicatif rpassword", "cli/"),
    ("toml tracing_subscriber", "app/"),
    ("tar", "backup/"),
    // What goes over the wire is described where its type is.
    ("utoipa", "http/ base/ */api.rs audit/merkle.rs audit/record.rs"),
    ("cms const_oid p12_keystore pkcs1 pkcs8 spki x509_cert", "pki/"),
    ("der", "pki/ token/worker/"),
    ("ecdsa ed25519_dalek k256 p256 p384 p521 rsa sha1 signature", "pki/"),
    ("aes aes_gcm aes_kw hkdf hmac pbkdf2", "pki/ ceremony/kek.rs ceremony/slip39 token/pin/refused.rs"),
];

/// Where the bytes of a secret may be looked at, outside tests.
const EXPOSING: &[&str] = &[
    "backup/wrapped.rs",
    "ceremony/",
    "certificates/server.rs",
    "client/api_token.rs",
    "pki/pkcs12.rs",
    "pki/private_key.rs",
    "pki/tls_key.rs",
    "token/payload.rs",
    "token/pin/",
    "token/worker/",
];

/// Parts of a file name that say nothing about what is in it.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

type Rule = fn(&Source) -> Vec<Breach>;

/// A line number, and the rule that is broken there.
type Breach = (usize, String);

/// A test over the whole tree for each rule, and the rules by name for the cases at the end.
macro_rules! rules {
    ($($rule:ident: $test:ident,)+) => {
        const RULES: &[(&str, Rule)] = &[$((stringify!($rule), $rule)),+];
        $(#[test] fn $test() { hold($rule) })+
    };
}

rules! {
    imports: a_folder_imports_only_what_stands_below_it,
    use_lines: a_file_has_one_use_line_for_each_folder,
    crates: a_foreign_crate_stops_at_its_edge,
    io: base_and_pki_touch_neither_files_nor_processes_nor_a_runtime,
    ffi: unsafe_code_stands_in_ffi_files_only,
    expose: a_secret_is_exposed_only_in_listed_files,
    gate: a_private_key_leaves_by_one_gate,
    head: a_file_says_at_its_head_what_it_owns,
    names: a_file_name_says_what_is_inside,
    main: the_binary_is_a_few_lines_over_the_library,
}

#[test]
fn a_folder_has_a_mod_file() {
    let sources = sources();

    let lacking = folders_without_mod(&sources);

    assert!(lacking.is_empty(), "without a mod.rs that says what they own: {lacking:?}");
}

#[test]
fn the_list_of_exposing_files_names_only_files_that_need_it() {
    let sources = sources();
    let exposes = |source: &Source| source.before_tests().iter().any(|(_, code)| code.contains(".expose()"));

    let mut idle = EXPOSING.to_vec();
    idle.retain(|place| !sources.iter().any(|source| source.path.starts_with(place) && exposes(source)));

    assert!(idle.is_empty(), "take these off EXPOSING, nothing there calls `.expose()`: {idle:?}");
}

fn imports(source: &Source) -> Vec<Breach> {
    let Some(folder) = source.folder() else {
        return Vec::new();
    };
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == folder) else {
        return vec![(1, format!("the folder `{folder}` is not in the table of imports"))];
    };
    let mut breaches = source.climbs();
    for (line, code) in source.lines() {
        let faults = after(code, "crate::").filter_map(|path| fault_of_import(folder, allowed, path));
        breaches.extend(faults.map(|fault| (line, fault)));
    }
    breaches
}

/// What is wrong with importing `path`, which stood after `crate::`.
fn fault_of_import(folder: &str, allowed: &str, path: &str) -> Option<String> {
    let target = first_word(path);
    let rest = &path[target.len()..];
    if target.is_empty() {
        return Some("`crate::{…}` groups folders; write one `use crate::folder::…` line for each".to_owned());
    }
    if target == folder || (rest.starts_with('!') && ROOT_MACROS.contains(&target)) {
        return None;
    }
    if !IMPORTS.iter().any(|(name, _)| *name == target) {
        return Some(format!("`crate::{target}` is no folder of the table of imports"));
    }
    let part = first_word(rest.trim_start_matches(':'));
    let fits = |entry: &str| entry == target || entry.strip_prefix("*::") == Some(part);
    (!allowed.split(' ').any(fits)).then(|| format!("`{folder}` may not import `{target}` (it may: {allowed})"))
}

fn use_lines(source: &Source) -> Vec<Breach> {
    let (mut seen, mut breaches) = (BTreeSet::new(), Vec::new());
    for (line, code) in source.lines() {
        let Some(path) = code.strip_prefix("use crate::") else {
            continue;
        };
        if !seen.insert(first_word(path)) {
            breaches.push((line, format!("a second `use crate::{}::…` line; merge them", first_word(path))));
        }
    }
    breaches
}

fn crates(source: &Source) -> Vec<Breach> {
    let (own, lines) = source.split_own_imports();
    let mut breaches = Vec::new();
    for (crates, places) in EDGES.iter().filter(|(_, places)| !stands_in(&source.path, places)) {
        for name in crates.split(' ').filter(|name| !own.contains(name)) {
            breaches.extend(pick(&lines, &format!("`{name}` stops at {places}"), |code| names_crate(code, name)));
        }
    }
    breaches
}

fn io(source: &Source) -> Vec<Breach> {
    if !stands_in(&source.path, "base/ pki/") {
        return Vec::new();
    }
    pick(&source.before_tests(), "`base` and `pki` do no I/O and know no runtime", |code| {
        let imported = code.starts_with("use std::") && (has_word(code, "fs") || has_word(code, "process"));
        imported || code.contains("std::fs") || ["fs", "process", "tokio"].iter().any(|name| names_crate(code, name))
    })
}

fn ffi(source: &Source) -> Vec<Breach> {
    let lines = if source.path.ends_with("/ffi.rs") { Vec::new() } else { source.lines() };
    pick(&lines, "`unsafe` stands in an `ffi.rs` only", |code| has_word(code, "unsafe"))
}

fn expose(source: &Source) -> Vec<Breach> {
    let listed = EXPOSING.iter().any(|place| source.path.starts_with(place));
    pick(&source.before_tests(), "`.expose()` outside the files of EXPOSING in tests/structure.rs", |code| {
        !listed && code.contains(".expose()")
    })
}

fn gate(source: &Source) -> Vec<Breach> {
    let (lines, path) = (source.before_tests(), source.path.as_str());
    let is_pattern = |code: &str| ["=>", "|", "let Operation"].iter().any(|sign| code.contains(sign));
    let mut breaches = pick(&lines, "`Operation::Export` is made in token/pool.rs only", |code| {
        let matched_in_worker = path.starts_with("token/worker/") && is_pattern(code);
        code.contains("Operation::Export(") && path != "token/pool.rs" && !matched_in_worker
    });
    breaches.extend(pick(&lines, "`ReleasePermit::for_key` is called in export/ only", |code| {
        code.contains("ReleasePermit::for_key") && !path.starts_with("export/")
    }));
    breaches
}

fn head(source: &Source) -> Vec<Breach> {
    let rule = "the first line is not `//!` with what the file owns";
    if source.text.starts_with("//! ") { Vec::new() } else { vec![(1, rule.to_owned())] }
}

fn names(source: &Source) -> Vec<Breach> {
    let empty = source.path.split(['/', '.', '_']).filter(|part| EMPTY_NAMES.contains(part));
    empty.map(|part| (1, format!("`{part}` names nothing; call it after what it does"))).collect()
}

fn main(source: &Source) -> Vec<Breach> {
    let long = source.path == "main.rs" && source.text.lines().count() >= 30;
    if long { vec![(30, "main.rs stays under 30 lines: parse, run, exit code".to_owned())] } else { Vec::new() }
}

fn folders_without_mod(sources: &[Source]) -> BTreeSet<&str> {
    let mut folders: BTreeSet<_> = sources.iter().filter_map(|source| source.path.rsplit_once('/')).collect();
    let with_mod: BTreeSet<_> =
        folders.iter().filter(|(_, file)| *file == "mod.rs").map(|(folder, _)| *folder).collect();
    folders.retain(|(folder, _)| !with_mod.contains(folder));
    folders.into_iter().map(|(folder, _)| folder).collect()
}

/// One file of `src/`.
struct Source {
    /// From `src/`, with `/`.
    path: String,
    text: String,
}

type Lines<'a> = Vec<(usize, &'a str)>;

impl Source {
    /// Top folder; none for `lib.rs` and `main.rs`.
    fn folder(&self) -> Option<&str> {
        self.path.split_once('/').map(|(folder, _)| folder)
    }

    /// Numbered lines without comments.
    fn lines(&self) -> Lines<'_> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, without_comment(line))).collect()
    }

    /// The lines before the unit tests; none of a file of tests (`tests.rs`, `testing.rs`, what is in `tests/`).
    fn before_tests(&self) -> Lines<'_> {
        if stands_in(&self.path, "*/tests.rs */testing.rs") || self.path.contains("/tests/") {
            return Vec::new();
        }
        let mut lines = self.lines();
        let opens_module = |code: &str| has_word(code, "mod") && code.ends_with('{');
        let tests = lines.windows(2).position(|pair| pair[0].1 == "#[cfg(test)]" && opens_module(pair[1].1));
        lines.truncate(tests.unwrap_or(lines.len()));
        lines
    }

    /// `super::super::…` as far as the root, which goes around the table of imports.
    fn climbs(&self) -> Vec<Breach> {
        let depth = self.path.split('/').filter(|part| *part != "mod.rs").count();
        let to_root = "super::".repeat(depth);
        pick(&self.before_tests(), "`super::` climbs to the root; write `crate::folder::`", |code| {
            code.contains(&to_root)
        })
    }

    /// The names that `use crate::…`, `use super::…`, `use self::…` and `mod …` bring in (a module of ours may be called
    /// as a crate is, `pki::cms`, and then hides it), and the lines at which a path begins: not the inside of a `use`.
    fn split_own_imports(&self) -> (BTreeSet<&str>, Lines<'_>) {
        let (mut own, mut others, mut ours, mut inside) = (BTreeSet::new(), Vec::new(), false, false);
        for (line, code) in self.before_tests() {
            let bare = code.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let begins = !inside && ["use ", "mod "].iter().any(|word| bare.starts_with(word));
            if begins {
                ours = ["use crate::", "use super::", "use self::", "mod "].iter().any(|start| bare.starts_with(start));
            }
            if (begins || inside) && ours {
                own.extend(code.split(|letter| !is_word(letter)));
            } else if !inside {
                others.push((line, code));
            }
            inside = (begins || inside) && !bare.starts_with("mod ") && !code.contains(';');
        }
        (own, others)
    }
}

/// A breach for each line that the test picks.
fn pick(lines: &[(usize, &str)], rule: &str, picks: impl Fn(&str) -> bool) -> Vec<Breach> {
    lines.iter().filter(|(_, code)| picks(code)).map(|(line, _)| (*line, rule.to_owned())).collect()
}

/// Whether the line names the crate at the root of a path (`x509_cert::…`), not a module in the midst of one.
fn names_crate(code: &str, name: &str) -> bool {
    let begins_path = |before: &str| {
        let parent = before.strip_suffix("::").unwrap_or(before);
        !parent.ends_with(|letter| is_word(letter) || letter == '>')
    };
    let mut paths = code.match_indices(name).filter(|(at, _)| code[at + name.len()..].starts_with("::"));
    code.ends_with(&format!("use {name};")) || paths.any(|(at, _)| begins_path(&code[..at]))
}

/// What follows each `prefix` that is a word of its own.
fn after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let starts = code.match_indices(prefix).filter(|(at, _)| !code[..*at].ends_with(is_word));
    starts.map(|(at, _)| &code[at + prefix.len()..])
}

/// Whether the path has one of these beginnings, or ends (`*…`).
fn stands_in(path: &str, places: &str) -> bool {
    places.split(' ').any(|place| match place.strip_prefix('*') {
        Some(end) => path.ends_with(end),
        None => path.starts_with(place),
    })
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|letter| !is_word(letter)).any(|part| part == word)
}

fn first_word(text: &str) -> &str {
    &text[..text.find(|letter| !is_word(letter)).unwrap_or(text.len())]
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The line up to `//`, unless that belongs to a URL.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Fails with file, line and rule of each breach in the tree.
fn hold(rule: Rule) {
    let mut text = String::new();
    for source in sources() {
        for (line, rule) in rule(&source) {
            text += &format!("\nsrc/{}:{line}: {rule}", source.path);
        }
    }

    assert!(text.is_empty(), "{text}");
}

/// Every Rust file of `src/`.
fn sources() -> Vec<Source> {
    let (root, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new());
    let read = collect(&root, "", &mut found);
    assert!(read.is_ok() && !found.is_empty(), "cannot read {}: {read:?}", root.display());
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), found)?;
        } else if path.ends_with(".rs") {
            found.push(Source { path, text: fs::read_to_string(entry.path())? });
        }
    }
    Ok(())
}

/// Rule, whether this breaks it, a path, a text in that file; `¶` ends a line.
const CASES: &str = "
imports   broken  pki/pem.rs           use crate::token::Token;
imports   broken  pki/pem.rs           fn f() { crate::keys::f() }
imports   broken  export/create.rs     use crate::ceremony::Plan;
imports   broken  backup/run.rs        use crate::export::Gate;
imports   broken  http/keys.rs         use crate::db::Database;
imports   broken  keys/sign.rs         use crate::{base::ids::KeyId, token::Token};
imports   broken  keys/sign.rs         use crate::shed::Spade;
imports   broken  shed/mod.rs          fn f() {}
imports   broken  client/keys.rs       use crate::keys::sign;
imports   broken  client/keys.rs       use crate::audit::offline::verify;
imports   broken  cli/keys.rs          use crate::keys::{api::Key, sign};
imports   broken  keys/mod.rs          use super::token::Token;
imports   broken  keys/sign.rs         use super::super::token::Token;
imports   kept    keys/sign.rs         use crate::base::ids::KeyId;¶use crate::token::Token;
imports   kept    keys/sign.rs         // use super::super::token::Token;
imports   kept    cli/audit.rs         use crate::audit::offline::verify;
imports   kept    client/keys.rs       use crate::keys::api::Key;
imports   kept    pki/error.rs         crate::catalogue! {¶// crate::token is above¶}
imports   kept    token/worker/run.rs  use super::super::frame::Frame;
use_lines broken  keys/sign.rs         use crate::base::ids::A;¶use crate::base::time::B;
use_lines kept    keys/sign.rs         use crate::base::ids::A;¶use crate::db::B;
crates    broken  token/pool.rs        use cryptoki::session::Session;
crates    broken  keys/sign.rs         let row = sqlx::query(sql);
crates    broken  keys/sign.rs         use axum;
crates    broken  app/start.rs         #[derive(clap::Parser)]
crates    broken  ceremony/run.rs      let cipher = ::aes::Aes256::new();
crates    broken  backup/run.rs        use crate::base::{¶    ids::A,¶};¶use cms::content_info;
crates    kept    token/worker/run.rs  use cryptoki::session::Session;
crates    kept    token/worker/run.rs  use cryptoki::mechanism::{¶    rsa::PkcsPssParams,¶};
crates    kept    keys/db.rs           let row = sqlx::query(sql);
crates    kept    ceremony/kek.rs      use hkdf::Hkdf;
crates    kept    backup/run.rs        use crate::pki::{¶    cms::seal,¶};¶let x = crate::pki::cms::open();
crates    kept    backup/run.rs        use crate::pki::cms;¶let x = cms::seal();
crates    kept    token/pool.rs        #[cfg(test)]¶mod tests {¶    use rsa::RsaPublicKey;¶}
io        broken  pki/pem.rs           let text = std::fs::read(path);
io        broken  pki/pem.rs           use std::{fmt, fs};
io        broken  base/time.rs         tokio::time::sleep(second).await;
io        kept    pki/pem.rs           use std::{fmt, net::IpAddr};
io        kept    backup/run.rs        use std::fs;
ffi       broken  token/worker/run.rs  let x = unsafe { f() };
ffi       kept    token/worker/ffi.rs  let x = unsafe { f() };
ffi       kept    token/worker/mod.rs  #[expect(unsafe_code)] // unsafe
expose    broken  http/keys.rs         log(pin.expose());
expose    kept    token/worker/run.rs  login(pin.expose());
expose    kept    http/keys.rs         f();¶#[cfg(test)]¶pub(super) mod tests {¶    pin.expose();¶}
gate      broken  keys/sign.rs         ask(Operation::Export(job));
gate      broken  token/worker/run.rs  let order = Operation::Export(job);
gate      broken  backup/run.rs        let permit = ReleasePermit::for_key(id, policy);
gate      kept    token/pool.rs        ask(Operation::Export(job));
gate      kept    token/worker/run.rs  Operation::Export(job) => export(job),
gate      kept    export/create.rs     let permit = ReleasePermit::for_key(id, policy);
head      broken  keys/sign.rs         use std::fmt;
head      kept    keys/sign.rs         //! Signs.
names     broken  keys/sign_helper.rs  //! Signs.
names     broken  util/sign.rs         //! Signs.
names     kept    keys/utility_bill.rs //! Pays.
main      broken  main.rs              1¶2¶3¶4¶5¶6¶7¶8¶9¶10¶11¶12¶13¶14¶15¶16¶17¶18¶19¶20¶21¶22¶23¶24¶25¶26¶27¶28¶29¶30
main      kept    main.rs              1¶2¶3¶4¶5¶6¶7¶8¶9¶10¶11¶12¶13¶14¶15¶16¶17¶18¶19¶20¶21¶22¶23¶24¶25¶26¶27¶28¶29
";

#[test]
fn each_rule_finds_what_breaks_it_and_nothing_else() {
    for case in CASES.lines().filter(|line| !line.is_empty()) {
        let [rule, verdict, path] = [0, 1, 2].map(|column| case.split_whitespace().nth(column).unwrap_or_default());
        let text = case[39..].replace('¶', "\n");
        let (_, check) = RULES.iter().find(|(name, _)| *name == rule).unwrap_or_else(|| panic!("no rule {rule}"));

        let breaches = check(&Source { path: path.to_owned(), text });

        assert_eq!(breaches.is_empty(), verdict == "kept", "{case}");
    }
}

#[test]
fn each_rule_has_a_case_that_breaks_it() {
    for (rule, _) in RULES {
        let breaks = |line: &str| line.split_whitespace().take(2).eq([*rule, "broken"]);

        assert!(CASES.lines().any(breaks), "{rule}");
    }
}

#[test]
fn a_folder_without_a_mod_file_is_found() {
    let tree = ["keys/mod.rs", "keys/wrap/aes.rs", "main.rs"];
    let tree = tree.map(|path| Source { path: path.to_owned(), text: String::new() });

    assert_eq!(folders_without_mod(&tree), BTreeSet::from(["keys/wrap"]));
}
