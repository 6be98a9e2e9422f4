//! The table: a case a line, a token a column.

use crate::support::sources;
use std::{fmt::Write as _, fs, path::Path};

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It held for a new worker only: the module reads the token once.
    NewWorker,
    /// It ran, and held.
    Ran,
    /// The token's capabilities say that it cannot.
    Unsupported,
    /// It cannot be tried with a token of this kind in a test.
    Untried,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::NewWorker => "by a new worker only",
            Self::Ran => "ran",
            Self::Unsupported => "declared unsupported",
            Self::Untried => "not tried",
        }
    }
}

/// The table that is checked in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    tokens: Vec<String>,
    lines: Vec<(String, Vec<String>)>,
}

impl Table {
    /// The outcomes must be those of the token's column, or become it where documents are updated.
    #[track_caller]
    pub(super) fn compare(token: &str, outcomes: &[(String, Outcome)]) {
        println!("{}", column(token, outcomes));
        if is_updated() {
            let lock = fs::File::create(std::env::temp_dir().join("keyward-conformance-table.lock")).unwrap();
            lock.lock().unwrap();
            let mut table = Self::read();
            table.set(token, outcomes);
            fs::write(path(), table.text()).unwrap();
            return;
        }
        let known = Self::read().column(token);
        let seen: Vec<_> = outcomes.iter().map(|(case, outcome)| (case.clone(), outcome.word().to_owned())).collect();
        assert_eq!(seen, known, "{token} differs from table.tsv; KEYWARD_UPDATE_DOCS=1 writes it anew");
    }

    fn read() -> Self {
        let text = fs::read_to_string(path()).unwrap_or_else(|_| "case\n".to_owned());
        let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned));
        let tokens = lines.next().unwrap().skip(1).collect();
        let line = |mut cells: Vec<String>| (cells.remove(0), cells);
        Self { tokens, lines: lines.map(|cells| line(cells.collect())).collect() }
    }

    fn column(&self, token: &str) -> Vec<(String, String)> {
        let place = self.tokens.iter().position(|name| name == token);
        let place = place.unwrap_or_else(|| panic!("table.tsv has no column {token}"));
        self.lines.iter().map(|(case, cells)| (case.clone(), cells[place].clone())).collect()
    }

    fn set(&mut self, token: &str, outcomes: &[(String, Outcome)]) {
        let mut columns: Vec<(String, Vec<(String, String)>)> =
            self.tokens.iter().filter(|name| *name != token).map(|name| (name.clone(), self.column(name))).collect();
        let words = outcomes.iter().map(|(case, outcome)| (case.clone(), outcome.word().to_owned())).collect();
        columns.push((token.to_owned(), words));
        columns.sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name));
        self.tokens = columns.iter().map(|(name, _)| name.clone()).collect();
        let cell = |case: &str, column: &[(String, String)]| {
            column.iter().find(|(name, _)| name == case).map_or("-", |(_, word)| word).to_owned()
        };
        let line = |case: &String| (case.clone(), columns.iter().map(|(_, column)| cell(case, column)).collect());
        self.lines = outcomes.iter().map(|(case, _)| line(case)).collect();
    }

    fn text(&self) -> String {
        let mut text = format!("case\t{}\n", self.tokens.join("\t"));
        for (case, cells) in &self.lines {
            let _ = writeln!(text, "{case}\t{}", cells.join("\t"));
        }
        text
    }

    /// The same as Markdown.
    fn markdown(&self) -> String {
        let mut text = format!("| | {} |\n|---|{}\n", self.tokens.join(" | "), "---|".repeat(self.tokens.len()));
        for (case, cells) in &self.lines {
            let cells: Vec<&str> = cells.iter().map(|word| if word == "ran" { "yes" } else { word }).collect();
            let _ = writeln!(text, "| {case} | {} |", cells.join(" | ").replace("declared unsupported", "–"));
        }
        text
    }
}

/// One token's outcomes, for people.
pub(super) fn column(token: &str, outcomes: &[(String, Outcome)]) -> String {
    let ran = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Ran).count();
    let mut text = format!("{token}: {ran} of {} cases ran\n", outcomes.len());
    for (case, outcome) in outcomes {
        let _ = writeln!(text, "  {case:60} {}", outcome.word());
    }
    text
}

#[test]
fn the_page_on_tokens_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tokens.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();

    let expected = format!("{head}{BEGIN}\n{}{END}{tail}", Table::read().markdown());

    if is_updated() {
        fs::write(&path, &expected).unwrap();
    } else {
        assert_eq!(page, expected, "KEYWARD_UPDATE_DOCS=1 writes it anew");
    }
}

#[test]
fn every_token_has_run_every_case() {
    let table = Table::read();

    assert_eq!(table.tokens, ORDER);
    assert!(table.lines.iter().all(|(_, cells)| cells.iter().all(|cell| cell != "-")), "{table:?}");
}

fn path() -> std::path::PathBuf {
    sources("conformance/table.tsv")
}

#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
fn is_updated() -> bool {
    std::env::var_os("KEYWARD_UPDATE_DOCS").is_some()
}

const ORDER: [&str; 5] = ["softhsm", "kryoptic", "nss", "tpm", "opencryptoki"];
const BEGIN: &str = "<!-- table.tsv of the conformance suite -->";
const END: &str = "<!-- end of table.tsv -->";
