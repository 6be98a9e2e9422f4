//! What can go wrong with shares, the ceremony secret and the files they are kept in.

use crate::access::AccessError;
use crate::audit::AuditError;
use crate::base::fault::{Entry, Fault};
use crate::db::DbError;
use crate::keys::KeyError;
use crate::token::TokenError;
use std::{io, path::PathBuf};

/// Why a secret could not be split, put together, or turned into KEKs.
///
/// `set` and `share` are made of a share's first words, which say what set it belongs to and are no secret.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The record could not be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The database cannot be read or written.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Too few groups of a set with several groups.
    #[error("set `{set}`: {given} complete groups were given and {needed} are needed")]
    GroupsTooFew {
        /// First words of the set.
        set: String,
        /// Groups with enough shares.
        given: usize,
        /// Groups that the set needs.
        needed: u8,
    },
    /// The inventory of KEKs is at fault.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A quorum that SLIP-0039 does not have.
    #[error("{needed} of {of} custodians is not a quorum that shares can be made for")]
    QuorumImpossible {
        /// Shares that should suffice.
        needed: u8,
        /// Shares there should be.
        of: u8,
    },
    /// The system gives no random bytes.
    #[error("the system's random generator failed: {cause}")]
    RandomUnavailable {
        /// The system's answer.
        cause: String,
    },
    /// No secret waits under this name.
    #[error("there is no recovery `{recovery}` waiting; each is used once")]
    RecoveryUnknown {
        /// As given.
        recovery: String,
    },
    /// A secret of the wrong length.
    #[error("{what} has {given} bytes; expected {expected}")]
    SecretLength {
        /// The ceremony secret, or a KEK.
        what: &'static str,
        /// Bytes it has.
        given: usize,
        /// Lengths that are right.
        expected: &'static str,
    },
    /// The words are all of the list, but not together.
    #[error(
        "the checksum of the share `{share} …` does not hold: {}",
        word.map_or("more than one word is wrong or missing".to_owned(), |word| format!("word {word} is wrong, if only one is"))
    )]
    ShareChecksum {
        /// First words of the share.
        share: String,
        /// Place of the wrong word, counted from 1, when one alone explains the checksum.
        word: Option<usize>,
    },
    /// A share file with something in it that does not belong there or does not hold together.
    #[error("line {line} of the share file cannot be used: {cause}")]
    ShareFileLine {
        /// Line, counted from 1.
        line: usize,
        /// What is wrong; never what the line says.
        cause: &'static str,
    },
    /// Share files that do not hold together.
    #[error("the share file does not hold together: {cause}")]
    ShareFileMalformed {
        /// What does not fit.
        cause: String,
    },
    /// The share file cannot be written.
    #[error("the share file {} cannot be written: {source}", path.display())]
    ShareFileUnwritable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A share whose fields make no sense.
    #[error("the share `{share} …` cannot be used: {cause}")]
    ShareMalformed {
        /// First words of the share.
        share: String,
        /// What is wrong.
        cause: String,
    },
    /// Nothing was given.
    #[error("no share was given")]
    ShareMissing,
    /// One share twice.
    #[error("share {member} of set `{set}` was given twice")]
    ShareRepeated {
        /// First words of the set.
        set: String,
        /// Number of the share, counted from 1.
        member: u8,
    },
    /// A word that is not in the list.
    #[error("word {position} of the share `{share} …`{} is not in the SLIP-39 list", shown(word))]
    ShareWordUnknown {
        /// First words of the share.
        share: String,
        /// Place of the word, counted from 1.
        position: usize,
        /// The word, if it looks like one.
        word: Option<String>,
    },
    /// Each share is sound, but together they give nothing.
    #[error("the shares of set `{set}` do not fit together: one of them is forged or was made wrongly")]
    SharesDisagree {
        /// First words of the set.
        set: String,
    },
    /// Shares of more than one splitting.
    #[error("a share of set `{other}` does not belong to set `{set}`: {cause}")]
    SharesOfDifferentSets {
        /// First words of the set that was begun.
        set: String,
        /// First words of the share that does not fit.
        other: String,
        /// What differs.
        cause: &'static str,
    },
    /// Fewer shares than the quorum.
    #[error("set `{set}`: {given} shares were given and {needed} are needed")]
    SharesTooFew {
        /// First words of the set.
        set: String,
        /// Different shares given.
        given: usize,
        /// Shares that the set needs.
        needed: u8,
    },
    /// The token did not take the KEKs.
    #[error(transparent)]
    Token(#[from] TokenError),
}

fn shown(word: &Option<String>) -> String {
    word.as_ref().map_or_else(String::new, |word| format!(", `{word}`,"))
}

crate::catalogue! {
    QUORUM_IMPOSSIBLE = Invalid, "quorum-impossible", "not a possible quorum", "choose 2 to 16 custodians and at least 2 needed, or 1 of 1";
    RANDOM_UNAVAILABLE = Unavailable, "random-unavailable", "no random bytes to be had", "no secret was made; check that getrandom(2) works on this machine, and try again";
    RECOVERY_UNKNOWN = NotFound, "recovery-unknown", "no such recovery waits", "give the share files again";
    SECRET_LENGTH = Invalid, "ceremony-secret-length", "a secret of the wrong length", "the ceremony secret of keyward has 32 bytes (33 words): use the shares of a keyward ceremony";
    SHARE_CHECKSUM = Invalid, "share-checksum", "the checksum of a share does not hold", "compare the words with the paper one by one, first the one that the message names";
    SHARE_FILE_MALFORMED = Invalid, "share-file-malformed", "not a readable share file", "a share file has comments (`#`), `words:` and `secret-hex:` lines only: take another copy, or type the words into a new file";
    SHARE_FILE_UNWRITABLE = Unavailable, "share-file-unwritable", "the share file cannot be written", "check free space and rights of the directory; the instance was not made";
    SHARE_MALFORMED = Invalid, "share-malformed", "not a SLIP-39 share", "give the whole share, 33 words for a keyward secret, in their order";
    SHARE_REPEATED = Invalid, "share-repeated", "the same share twice", "give the share of another custodian";
    SHARE_WORD_UNKNOWN = Invalid, "share-word-unknown", "a word that is not in the list", "compare that word with the paper; every word of the list is told by its first four letters";
    SHARES_DISAGREE = Invalid, "shares-do-not-fit", "the shares give no secret together", "try with other custodians of the same set to find the share that is wrong";
    SHARES_OF_DIFFERENT_SETS = Invalid, "shares-of-different-sets", "shares of different sets", "give shares of one ceremony only: their first two words are the same";
    SHARES_TOO_FEW = Invalid, "shares-too-few", "too few shares", "give the shares of more custodians of the same set";
}

impl Fault for CeremonyError {
    fn entry(&self) -> Entry {
        match self {
            Self::Access(error) => error.entry(),
            Self::Audit(error) => error.entry(),
            Self::Database(error) => error.entry(),
            Self::Key(error) => error.entry(),
            Self::Token(error) => error.entry(),
            Self::GroupsTooFew { .. } | Self::ShareMissing | Self::SharesTooFew { .. } => SHARES_TOO_FEW,
            Self::QuorumImpossible { .. } => QUORUM_IMPOSSIBLE,
            Self::RandomUnavailable { .. } => RANDOM_UNAVAILABLE,
            Self::RecoveryUnknown { .. } => RECOVERY_UNKNOWN,
            Self::SecretLength { .. } => SECRET_LENGTH,
            Self::ShareChecksum { .. } => SHARE_CHECKSUM,
            Self::ShareFileLine { .. } | Self::ShareFileMalformed { .. } => SHARE_FILE_MALFORMED,
            Self::ShareFileUnwritable { .. } => SHARE_FILE_UNWRITABLE,
            Self::ShareMalformed { .. } => SHARE_MALFORMED,
            Self::ShareRepeated { .. } => SHARE_REPEATED,
            Self::ShareWordUnknown { .. } => SHARE_WORD_UNKNOWN,
            Self::SharesDisagree { .. } => SHARES_DISAGREE,
            Self::SharesOfDifferentSets { .. } => SHARES_OF_DIFFERENT_SETS,
        }
    }
}
