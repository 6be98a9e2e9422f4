//! Why a call did not succeed.

use crate::base::fault::Report;
use serde::Deserialize;
use std::path::PathBuf;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file with the API token cannot be used.
    #[error("the API token in {} is not used: {cause}", path.display())]
    ApiTokenUnusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the command that mends it.
        cause: String,
    },
    /// The connection ended, or fell silent, before the answer was whole.
    #[error("{server} broke off: {cause}")]
    BrokeOff {
        /// The service.
        server: String,
        /// What was met, and whether the request may have been carried out.
        cause: String,
    },
    /// A saved login cannot be read or written.
    #[error("{action} the login in {} failed: {cause}", path.display())]
    LoginUnusable {
        /// What was done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What was met.
        cause: String,
    },
    /// The API answered with a problem.
    #[error("{}", problem.detail)]
    Refused {
        /// The problem.
        problem: Report,
        /// The request, as in the logs.
        request_id: String,
    },
    /// Nobody has logged in to the service.
    #[error("{url} is not known here")]
    ServerUnknown {
        /// Its address.
        url: String,
    },
    /// No connection.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable {
        /// The service.
        server: String,
        /// What was met.
        cause: String,
    },
    /// The answer is not what was expected.
    #[error("the answer cannot be read: {cause}")]
    Unreadable {
        /// What the parser met.
        cause: String,
    },
    /// What answers is not the service whose CA is pinned.
    #[error("{server} is not trusted: {cause}")]
    Untrusted {
        /// The service.
        server: String,
        /// What is wrong with its certificate.
        cause: String,
    },
}

crate::catalogue! {
    API_TOKEN_UNUSABLE = Denied, "api-token-unusable", "the file with the API token cannot be used", "it must belong to you and be closed to others; the message says what to mend";
    BROKE_OFF = Unavailable, "server-broke-off", "the connection ended before the answer", "look whether the request was carried out (`keyward status`, `keyward audit list`), then run the command again";
    LOGIN_UNUSABLE = Unavailable, "login-unusable", "the saved login cannot be used", "check free space and rights, then run `keyward login URL --ca-sha256 H` again";
    SERVER_UNKNOWN = Denied, "server-unknown", "nobody has logged in to this server", "run `keyward login URL --ca-sha256 H`; `keyward serve` prints both when it starts";
    UNREACHABLE = Unavailable, "server-unreachable", "the server cannot be reached", "check the address, and that `keyward serve` runs there";
    UNREADABLE = Internal, "answer-unreadable", "the answer cannot be read", "client and server must be the same version of keyward";
    UNTRUSTED = Denied, "server-untrusted", "the server is not the one that was meant", "do not go on before you know why: ask who runs it for the CA's SHA-256, and only if its CA was made anew run `keyward login URL --ca-sha256 H` again";
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
        let entry = match self {
            Self::ApiTokenUnusable { .. } => API_TOKEN_UNUSABLE,
            Self::BrokeOff { .. } => BROKE_OFF,
            Self::LoginUnusable { .. } => LOGIN_UNUSABLE,
            Self::Refused { problem, .. } => return problem.clone(),
            Self::ServerUnknown { .. } => SERVER_UNKNOWN,
            Self::Unreachable { .. } => UNREACHABLE,
            Self::Unreadable { .. } => UNREADABLE,
            Self::Untrusted { .. } => UNTRUSTED,
        };
        entry.report(self.to_string())
    }
}
