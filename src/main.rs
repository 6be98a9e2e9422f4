//! The `keyward` binary: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyward::cli::main()
}
