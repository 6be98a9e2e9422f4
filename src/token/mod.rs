//! The token: a child process that holds the vendor's module, and the pool in front of it.
//!
//! [`Token`] is what the nouns call; `setup` has what needs the SO PIN, `user_pin` what is done with the user's;
//! [`pin`] says where PINs come from. Behind them `supervisor` has the deadlines,
//! `queue` the lanes, `life` the child from its start to its end, `backoff` the pauses between two children,
//! `process` the child itself, `outbox` the way to it, `watch` the question to a token that nobody uses; [`message`] is what crosses the process border, framed by
//! `frame`; everything below [`worker`] runs in the child only. The PIN and plain key bytes exist on that side alone.
//!
//! Invariants: a request is answered at its deadline whatever the module does; a request that could
//! have changed the token is never sent twice; no handle outlives its session; no search for objects
//! on the way of a signature; a signature is made only by the key whose public key the caller named.

pub mod address;
pub mod adoptions;
pub mod api;
mod backoff;
pub mod error;
pub mod figures;
mod frame;
mod life;
pub mod message;
mod outbox;
mod payload;
pub mod pin;
mod piv;
mod pool;
mod process;
mod queue;
mod setup;
pub mod softhsm;
mod supervisor;
pub mod tokens;
pub mod uri;
mod user_pin;
mod watch;
pub mod worker;

pub use error::TokenError;
pub use figures::{Failing, Figures, Met, Standing};
pub use pool::{ExportOrder, Token, TokenSettings, WrappedKey};
pub use setup::make_token;
pub use tokens::Tokens;
pub use user_pin::PinChange;
