//! keyward: a key store for security teams. `ARCHITECTURE.md` walks through these folders.

pub mod access;
pub mod app;
pub mod audit;
pub mod backup;
pub mod base;
pub mod ceremony;
pub mod certificates;
pub mod cli;
pub mod client;
pub mod commands;
pub mod db;
pub mod doctor;
pub mod export;
pub mod http;
pub mod keys;
pub mod pki;
pub mod token;
