//! `keyward serve`: its start and end, its listeners, and clients that behave badly.

mod clients;
mod health;
mod idempotency;
mod life;
mod load;
mod metrics;
