//! Tests of `token`.

mod absent;
mod always_authenticate;
mod change_pin;
mod faults;
mod hardening;
mod in_use;
mod keep_alive;
mod pin;
mod random;
mod replaced;
mod sealed;
mod secrets;
mod several;
mod shim;
mod sources;
mod table;
