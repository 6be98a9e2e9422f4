//! Tests of `cli`: what every command has in common.

mod completions;
mod errors_page;
mod exits;
mod help;
mod init;
mod output;
