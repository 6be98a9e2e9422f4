//! `keyward completions`: what a shell reads to complete commands and options, made from the command line itself.

use super::{Arguments, output};
use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::{generate, shells};

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// The shell that is to complete
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Prints the script on standard output.
pub(super) fn print(asked: &Completions) {
    let (mut command, mut script) = (visible(), Vec::new());
    match asked.shell {
        Shell::Bash => generate(shells::Bash, &mut command, PROGRAM, &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, PROGRAM, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, PROGRAM, &mut script),
    }
    output::put(format_args!("{}", String::from_utf8_lossy(&script)));
}

/// The command line without what nobody types: the generators would offer hidden commands too.
fn visible() -> Command {
    let all = Arguments::command();
    Command::new(PROGRAM)
        .disable_help_subcommand(true)
        .args(all.get_arguments().cloned())
        .subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

const PROGRAM: &str = "keyward";
const EXAMPLES: &str = "\
Examples:
  keyward completions bash >~/.local/share/bash-completion/completions/keyward
  keyward completions fish >~/.config/fish/completions/keyward.fish
  keyward completions zsh  >~/.zfunc/_keyward        (with ~/.zfunc in fpath)

The Debian package brings all three along.";
