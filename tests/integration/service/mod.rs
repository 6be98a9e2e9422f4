//! `keyward serve`: its start and end, its listeners, and clients that behave badly.

mod clients;
mod life;
mod load;
