//! Why a call did not succeed.

use crate::base::fault::Report;
use serde::Deserialize;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The API answered with a problem.
    #[error("{}", problem.detail)]
    Refused {
        /// The problem.
        problem: Report,
        /// The request, as in the logs.
        request_id: String,
    },
    /// The answer is not what was expected.
    #[error("the answer cannot be read: {cause}")]
    Unreadable {
        /// What the parser met.
        cause: String,
    },
}

crate::catalogue! {
    UNREADABLE = Internal, "answer-unreadable", "the answer cannot be read", "client and server must be the same version of keyward";
}

#[derive(Deserialize)]
struct Document {
    #[serde(flatten)]
    problem: Report,
    request_id: String,
}

impl ClientError {
    /// An answer that is not what was expected.
    pub fn unreadable(cause: impl std::fmt::Display) -> Self {
        Self::Unreadable { cause: cause.to_string() }
    }

    /// The problem document that a refusal is.
    pub(super) fn refusal(body: &[u8]) -> Self {
        match serde_json::from_slice::<Document>(body) {
            Ok(document) => Self::Refused { problem: document.problem, request_id: document.request_id },
            Err(error) => Self::unreadable(error),
        }
    }

    /// The problem in words.
    #[must_use]
    pub fn report(&self) -> Report {
        match self {
            Self::Refused { problem, .. } => problem.clone(),
            Self::Unreadable { .. } => UNREADABLE.report(self.to_string()),
        }
    }
}
