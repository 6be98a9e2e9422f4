//! The words everything else is written in: ids, algorithms, policies, states, time, secrets, faults.
//!
//! No I/O, no runtime, no foreign protocol. A value of a type in here has been checked once, where it
//! came in, and nothing below checks it again.

pub mod algorithm;
pub mod custody;
pub mod fault;
pub mod ids;
pub mod piv;
pub mod principal;
pub mod secret;
pub mod signing;
pub mod time;
