//! What went wrong, in the terms of the person who has to do something about it.
//!
//! Every noun has one error enum. Each of its variants points at an [`Entry`] of that noun's
//! catalogue; `http/problem.rs` turns an entry into an RFC 9457 document, `cli/exit.rs` into an exit
//! code, and `docs/errors.md` is the printed list of all catalogues.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who has to act, and how: the nine kinds that problem documents and exit codes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The request contradicts what exists already.
    Conflict,
    /// The caller may not do this.
    Denied,
    /// A fault of keyward itself.
    Internal,
    /// The request cannot be understood or does not hold together.
    Invalid,
    /// A PIN or a lock stands in the way.
    Locked,
    /// The object does not exist.
    NotFound,
    /// The token is not there.
    TokenAbsent,
    /// Something needed is down, full or busy; the same request may work later.
    Unavailable,
    /// The token, or this version, cannot do it at all.
    Unsupported,
}

impl Kind {
    /// Whether keyward does not do what was asked because of what it is, or of who asked; not for want of something
    /// that is down, full or away.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Conflict | Self::Denied | Self::Invalid | Self::NotFound | Self::Unsupported)
    }

    /// The word for it in problem documents and counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Internal => "internal",
            Self::Invalid => "invalid",
            Self::Locked => "locked",
            Self::NotFound => "not-found",
            Self::TokenAbsent => "token-absent",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
        }
    }
}

/// One line of a catalogue: a stable code and what a person should do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Stable and unique, lower case with hyphens; programs branch on it.
    pub code: &'static str,
    /// Decides HTTP status and exit code.
    pub kind: Kind,
    /// The situation in a few words, without particulars.
    pub title: &'static str,
    /// What to do next.
    pub advice: &'static str,
}

impl Entry {
    /// This situation with its particulars.
    #[must_use]
    pub fn report(self, detail: String) -> Report {
        let Self { code, kind, title, advice } = self;
        Report { code: code.to_owned(), kind, title: title.to_owned(), detail, advice: advice.to_owned() }
    }
}

/// An error that knows its catalogue entry; its `Display` text has the particulars.
pub trait Fault: std::error::Error + Send + Sync + 'static {
    /// The catalogue entry of this situation.
    fn entry(&self) -> Entry;
}

/// Declares the catalogue of a noun: a constant for each entry, and `ENTRIES` with all of them.
///
/// ```
/// keyward::catalogue! {
///     UNKNOWN = NotFound, "thing-unknown", "no such thing", "list the things there are";
/// }
/// assert_eq!(UNKNOWN.code, ENTRIES[0].code);
/// ```
#[macro_export]
macro_rules! catalogue {
    ($($name:ident = $kind:ident, $code:literal, $title:literal, $advice:literal;)+) => {
        $(
            #[doc = $title]
            pub const $name: $crate::base::fault::Entry = $crate::base::fault::Entry {
                code: $code,
                kind: $crate::base::fault::Kind::$kind,
                title: $title,
                advice: $advice,
            };
        )+
        /// Every entry of this catalogue, for `docs/errors.md`.
        pub const ENTRIES: &[$crate::base::fault::Entry] = &[$($name),+];
    };
}

/// A fault in words, as problem documents and records of failed commands carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Stable code.
    pub code: String,
    /// Decides HTTP status and exit code.
    pub kind: Kind,
    /// The situation in a few words.
    pub title: String,
    /// The particulars.
    pub detail: String,
    /// What to do next.
    pub advice: String,
}

impl Report {
    /// Puts a fault into words. Internal particulars stay inside: they are in the log, with the request id.
    #[must_use]
    pub fn of(fault: &dyn Fault) -> Self {
        let entry = fault.entry();
        let detail = match entry.kind {
            Kind::Internal => "an internal fault; its particulars are in the log under this request id".to_owned(),
            _ => fault.to_string(),
        };
        entry.report(detail)
    }
}
