//! Tests of `token`.

mod absent;
mod faults;
mod hardening;
mod in_use;
mod pin;
mod replaced;
mod secrets;
mod several;
