//! Tests of `token`.

mod absent;
mod change_pin;
mod faults;
mod hardening;
mod in_use;
mod pin;
mod replaced;
mod sealed;
mod secrets;
mod several;
mod sources;
