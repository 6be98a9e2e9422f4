//! What can be wrong with a request itself.

use crate::base::fault::{Entry, Fault};

/// Why a request was not understood.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The body or a parameter cannot be read.
    #[error("the request cannot be read: {cause}")]
    Malformed {
        /// What the parser met.
        cause: String,
    },
    /// Nobody is known to have sent it.
    #[error("the caller of this request is not known")]
    Unidentified,
    /// No such route.
    #[error("there is nothing at {method} {path}")]
    Unrouted {
        /// HTTP method.
        method: String,
        /// Path.
        path: String,
    },
}

crate::catalogue! {
    MALFORMED = Invalid, "request-malformed", "the request cannot be read", "compare it with the API's description; unknown fields are refused";
    UNIDENTIFIED = Denied, "caller-unidentified", "the caller is not known", "show a credential";
    UNROUTED = NotFound, "route-unknown", "there is nothing at this path", "paths begin with /api/v1; compare with the API's description";
}

impl Fault for HttpError {
    fn entry(&self) -> Entry {
        match self {
            Self::Malformed { .. } => MALFORMED,
            Self::Unidentified => UNIDENTIFIED,
            Self::Unrouted { .. } => UNROUTED,
        }
    }
}
