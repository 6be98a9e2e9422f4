//! Tests of `cli`: what every command has in common.

mod completions;
mod errors_page;
mod everything;
mod exits;
mod help;
mod https;
mod init;
mod output;
mod socket;
