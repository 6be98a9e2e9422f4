//! Everything that needs a real token: the keyward binary against SoftHSM, and other programs against both.
//!
//! One binary, a folder for each noun. Each test makes a rig of its own in a temporary directory.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod api;
mod audit;
mod backup;
mod ceremony;
mod certificates;
mod cli;
mod conformance;
mod doctor;
mod export;
mod keys;
mod package;
mod piv;
mod service;
mod support;
mod token;
