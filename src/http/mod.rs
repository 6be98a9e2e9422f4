//! The agent API: JSON over HTTP, RFC 9457 problems; the same router for a listener and for the command line.
//!
//! [`router`] is given the nouns and nothing else. A request arrives with the [`Peer`] that it came
//! from (as an extension); `identity` finds its caller, or turns it away. Handlers call use cases; they have no SQL and no PKCS#11.

pub mod api;
mod audit;
mod backups;
mod body;
mod ceremonies;
mod certificates;
mod commands;
mod credentials;
mod doctor;
pub mod error;
mod exports;
mod health;
mod idempotency;
mod identity;
mod instance;
mod keys;
mod line;
mod meters;
mod metrics;
mod observe;
pub mod openapi;
mod permit;
mod problem;
mod routes;
mod token;
mod undisturbed;
mod whoami;

pub use error::HttpError;
pub use health::Health;
pub use identity::Peer;
pub use meters::{ConnectionMeter, Meters};
pub use routes::router;

use crate::access::Access;
use crate::audit::Audit;
use crate::backup::Backups;
use crate::base::fault::Entry;
use crate::commands::Commands;
use crate::keys::Keys;
use std::{ops::Deref, sync::Arc};

/// What the routes lead to; cheap to clone, as every layer around a request does.
#[derive(Clone)]
pub struct Services(Arc<Nouns>);

/// Each noun that has routes.
pub struct Nouns {
    /// Who may come in.
    pub access: Access,
    /// Archives.
    pub backups: Backups,
    /// Long work.
    pub commands: Commands,
    /// Whether the process can serve.
    pub health: Health,
    /// Inventory and token.
    pub keys: Keys,
    /// Every problem code there is, for the API's description; catalogues above this folder are among them.
    pub problems: fn() -> Vec<Entry>,
    /// What is counted.
    pub meters: Meters,
}

impl From<Nouns> for Services {
    fn from(nouns: Nouns) -> Self {
        Self(Arc::new(nouns))
    }
}

impl Deref for Services {
    type Target = Nouns;

    fn deref(&self) -> &Nouns {
        &self.0
    }
}

impl Nouns {
    fn audit(&self) -> &Audit {
        &self.keys.audit
    }
}
