//! What can be wrong with a request itself.

use crate::base::fault::{Entry, Fault};

/// Why a request was not understood.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A backup, restore or drill is at work, and another waits.
    #[error("a backup, restore or drill is at work, and another waits already")]
    Busy,
    /// A browser sends it for a page of another site.
    #[error("a browser sent this request for a page of another site")]
    CrossSite,
    /// The body or a parameter cannot be read.
    #[error("the request cannot be read: {cause}")]
    Malformed {
        /// What is wrong, without the value.
        cause: String,
    },
    /// The route has no such method.
    #[error("{path} has no {method}")]
    MethodUnknown {
        /// HTTP method.
        method: String,
        /// Path.
        path: String,
    },
    /// The body is larger than the route takes.
    #[error("the body is larger than this route takes")]
    TooLarge,
    /// The body does not arrive.
    #[error("the body did not arrive in time")]
    TooSlow,
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
    BUSY = Unavailable, "backup-busy", "backups and restores are busy", "wait until the one at work has ended, then send the request again";
    CROSS_SITE = Denied, "request-cross-site", "the request comes from a page of another site", "send it from a page of this service, or from a program";
    MALFORMED = Invalid, "request-malformed", "the request cannot be read", "compare it with the API's description; unknown fields are refused";
    METHOD_UNKNOWN = Invalid, "method-unknown", "the route has no such method", "use one of the methods that the header Allow names";
    TOO_LARGE = Invalid, "request-too-large", "the request is too large", "send less at once: digests instead of messages, or several requests";
    TOO_SLOW = Invalid, "body-too-slow", "the body did not arrive in time", "a JSON body has to be there within 30 seconds, and an archive must not pause for as long; send it again on a new connection";
    UNIDENTIFIED = Denied, "caller-unidentified", "the caller is not known", "show a credential: an API token, which `keyward login --api-token-file` and KEYWARD_API_TOKEN_FILE name for the command line, or a client certificate";
    UNROUTED = NotFound, "route-unknown", "there is nothing at this path", "paths begin with /api/v1; compare with the API's description";
}

impl Fault for HttpError {
    fn entry(&self) -> Entry {
        match self {
            Self::Busy => BUSY,
            Self::CrossSite => CROSS_SITE,
            Self::Malformed { .. } => MALFORMED,
            Self::MethodUnknown { .. } => METHOD_UNKNOWN,
            Self::TooLarge => TOO_LARGE,
            Self::TooSlow => TOO_SLOW,
            Self::Unidentified => UNIDENTIFIED,
            Self::Unrouted { .. } => UNROUTED,
        }
    }
}
