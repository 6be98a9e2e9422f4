//! `docs/errors.md`: every problem code with its kind, exit code and advice, printed from the catalogues.

use crate::base::fault::{Entry, Kind};

/// Every entry of every catalogue, in the order of the codes.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = CATALOGUES.iter().copied().flatten().copied().collect();
    entries.sort_by_key(|entry| entry.code);
    entries
}

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(HEAD);
    for entry in entries() {
        page.push_str(&format!(
            "| `{}` | {} | {} | {}: {} |\n",
            entry.code,
            exit_code(entry.kind),
            entry.kind.as_str(),
            entry.title,
            entry.advice
        ));
    }
    page
}

/// Exit code of the command line for each kind (CONTRACT "Exit codes").
#[must_use]
pub const fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Internal => 1,
        Kind::Invalid => 3,
        Kind::Denied => 4,
        Kind::NotFound => 5,
        Kind::Conflict => 6,
        Kind::Locked => 7,
        Kind::TokenAbsent => 8,
        Kind::Unsupported => 9,
        Kind::Unavailable => 10,
    }
}

const CATALOGUES: &[&[Entry]] = &[
    super::error::ENTRIES,
    crate::access::error::ENTRIES,
    crate::audit::error::ENTRIES,
    crate::backup::error::ENTRIES,
    crate::ceremony::error::ENTRIES,
    crate::certificates::error::ENTRIES,
    crate::client::error::ENTRIES,
    crate::client::local::ENTRIES,
    crate::commands::error::ENTRIES,
    crate::db::error::ENTRIES,
    crate::export::error::ENTRIES,
    crate::http::error::ENTRIES,
    crate::keys::error::ENTRIES,
    crate::pki::error::ENTRIES,
    crate::token::error::ENTRIES,
];

const HEAD: &str = "\
# Errors

Printed from the code (`cargo run -- errors`); a test compares. Every problem document has `code`, `kind`,
`detail` (the particulars), `advice` and `request_id`; the command line prints the same and exits with
the kind's number. 0 is done, 2 is a wrong command line (code `usage`).

| code | exit | kind | what it means, and what to do |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_in_one_catalogue_only() {
        let codes: Vec<&str> = entries().iter().map(|entry| entry.code).collect();

        let twice: Vec<_> = codes.windows(2).filter(|pair| pair[0] == pair[1]).collect();

        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn a_code_means_one_kind_wherever_it_is_used() {
        let page = page();

        for entry in entries() {
            assert!(page.contains(&format!("| `{}` | {} |", entry.code, exit_code(entry.kind))));
            assert!(!entry.advice.is_empty() && !entry.title.is_empty(), "{}", entry.code);
        }
    }
}
