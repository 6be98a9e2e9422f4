//! The command line: a client of the API, with tables and progress for people and JSON for programs.
//!
//! With `-o json` one JSON document goes to standard output and nothing else; messages, progress and
//! prompts go to standard error. Secrets come from files or a prompt, never from arguments.

mod audit;
mod backups;
mod ceremonies;
mod certificates;
mod completions;
mod credentials;
mod doctor;
pub mod exit;
mod exports;
mod files;
mod init;
mod keys;
mod login;
mod man;
mod output;
mod reach;
mod serve;
mod status;
mod token;
mod touch;

use crate::app::{
    description, errors_page,
    settings::{Environment, LogReader},
    worker,
};
use crate::client::{Client, url::ServerUrl};
use clap::{Parser, Subcommand};
use exit::CliError;
use output::Output;
use reach::{Place, Reached};
use std::{path::PathBuf, process::ExitCode};

/// A key store for security teams: private keys are made and kept in a PKCS#11 token.
#[derive(Parser)]
#[command(name = "keyward", version, after_help = EXAMPLES)]
struct Arguments {
    #[arg(long, global = true, value_name = "DIR", help = DIR_HELP, help_heading = GLOBAL)]
    dir: Option<PathBuf>,
    #[arg(long, global = true, value_name = "URL", help = SERVER_HELP, help_heading = GLOBAL)]
    server: Option<ServerUrl>,
    /// `json` prints one JSON document on standard output and nothing else there
    #[arg(short, long, global = true, value_enum, default_value_t = output::Format::Table, help_heading = GLOBAL)]
    output: output::Format,
    /// No messages and no progress on standard error; errors stay
    #[arg(long, global = true, help_heading = GLOBAL)]
    quiet: bool,
    /// Answer yes to questions
    #[arg(long, global = true, help_heading = GLOBAL)]
    yes: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an instance: token, KEKs, CA, audit key
    Init(init::Init),
    /// Serve the API at a socket and a TLS listener, until SIGTERM
    #[command(after_help = serve::EXAMPLES)]
    Serve,
    /// Pin the CA of a service, and name the API token to show there
    Login(login::LogIn),
    /// What lies where, and whether inventory and token agree
    Status,
    /// What works and what does not, what each finding means, and what to do
    Doctor(doctor::Doctor),
    /// The tokens where the keys are
    #[command(subcommand)]
    Token(token::Token),
    /// Keys in the token
    #[command(subcommand)]
    Key(keys::Key),
    /// Certificates of keys
    #[command(subcommand)]
    Cert(certificates::Cert),
    /// Controlled release of an exportable key into an encrypted file
    #[command(subcommand)]
    Export(exports::Export),
    /// Wrapped copies, and the proof that they come back
    #[command(subcommand)]
    Backup(backups::Backup),
    /// The ceremony secret and its shares
    #[command(subcommand)]
    Ceremony(ceremonies::Ceremony),
    /// Key-encryption keys
    #[command(subcommand)]
    Kek(ceremonies::Kek),
    /// Who may call the API, by which token or certificate
    #[command(subcommand)]
    Credential(credentials::Credential),
    /// Who did what, in logs that show tampering
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Print what a shell needs to complete commands and options
    Completions(completions::Completions),
    /// Print every problem code with its advice, as Markdown
    #[command(hide = true)]
    Errors,
    /// Write a manual page for each command
    #[command(hide = true)]
    Man(man::Pages),
    /// Print the description of the API, as OpenAPI 3.1
    #[command(hide = true)]
    Openapi,
    /// The child process that holds a token
    #[command(hide = true)]
    TokenWorker,
}

/// Parses the arguments, runs the command, and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error, Output::new(output::Format::asked_for(), false)),
    };
    if matches!(arguments.command, Command::TokenWorker) {
        return if worker::serve().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let environment = Environment::read();
    let is_service = matches!(arguments.command, Command::Serve);
    environment.log_to_stderr(if is_service { LogReader::Operator } else { LogReader::User });
    let output = Output::new(arguments.output, arguments.quiet);
    match run(arguments, &environment, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error, output),
    }
}

fn run(arguments: Arguments, environment: &Environment, output: Output) -> Result<(), CliError> {
    let (directory, place) = (reach::directory(&arguments, environment), Place::of(&arguments, environment));
    let Arguments { command, yes, .. } = arguments;
    // Half of the cores: signing has the others, in the token's worker, and a request that stays on its thread costs
    // less than one that changes it. What computes for long goes aside (`commands::aside`).
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build()
        .map_err(|source| CliError::file("starting", "the runtime", source))?;
    runtime.block_on(async {
        match command {
            Command::Init(init) => init::run(init, directory?, environment.softhsm_conf.clone(), output).await,
            Command::Backup(backups::Backup::Verify { file }) => backups::verify(&file, output),
            Command::Audit(audit::Audit::Verify { file: Some(file), cert: Some(cert), against }) => {
                audit::verify_file(&file, &cert, &against, output)
            }
            Command::Serve => serve::run(&directory?, output).await,
            Command::Completions(asked) => {
                completions::print(&asked);
                Ok(())
            }
            Command::Man(asked) => man::write(&asked),
            Command::Errors => {
                output::put(format_args!("{}", errors_page::page()));
                Ok(())
            }
            Command::Openapi => {
                output::put(format_args!("{}", description::openapi()));
                Ok(())
            }
            Command::Login(login) => login::run(login, environment, output).await,
            command => {
                let place = place?;
                let reached = match Reached::find(&place, environment).await {
                    Err(error) if matches!(command, Command::Doctor(_)) => {
                        return doctor::without_instance(error, output);
                    }
                    found => found?,
                };
                let ended = match &command {
                    Command::Token(asked) if asked.needs_service() && reached.is_here() => Err(token::no_service()),
                    _ => with_instance(command, reached.client(), (&place, yes), output).await,
                };
                reached.close().await;
                ended
            }
        }
    })
}

async fn with_instance(
    command: Command,
    client: &Client,
    (place, yes): (&Place, bool),
    output: Output,
) -> Result<(), CliError> {
    match command {
        Command::Audit(audit) => audit::run(audit, client, output).await,
        Command::Backup(backup) => backups::run(backup, client, output).await,
        Command::Cert(cert) => certificates::run(cert, client, output).await,
        Command::Ceremony(ceremony) => ceremonies::run(ceremony, client, output).await,
        Command::Credential(credential) => credentials::run(credential, client, output).await,
        Command::Doctor(asked) => doctor::run(&asked, client, output).await,
        Command::Export(export) => exports::run(export, client, output).await,
        Command::Kek(kek) => ceremonies::run_kek(&kek, client, output).await,
        Command::Key(key) => keys::run(key, client, yes, output).await,
        Command::Status => status::run(client, place, output).await,
        Command::Token(token) => token::run(token, client, output).await,
        // Handled before an instance is opened.
        Command::Completions(_)
        | Command::Errors
        | Command::Init(_)
        | Command::Login(_)
        | Command::Man(_)
        | Command::Openapi
        | Command::Serve
        | Command::TokenWorker => Ok(()),
    }
}

const DIR_HELP: &str =
    "Instance directory [default: $KEYWARD_DIR, /var/lib/keyward for root, else $XDG_STATE_HOME/keyward]";
const SERVER_HELP: &str = "\
Service to talk to, after `keyward login` [default: $KEYWARD_SERVER, which --dir overrides]; without one, the service \
of the instance directory if it runs, else the directory itself";
/// Options of every command stand apart from its own.
const GLOBAL: &str = "Global options";
const EXAMPLES: &str = "\
Examples:
  keyward init --dir rig                                  a rig with its own SoftHSM token
  keyward --dir rig key generate web --algorithm p256
  keyward --dir rig key csr web --subject CN=web.example --san dns:web.example --out web.csr
  keyward --dir rig backup run && keyward --dir rig backup drill latest

Exit codes: 0 done, 1 internal, 2 usage, 3 invalid, 4 denied, 5 not found, 6 conflict, 7 locked,
8 token absent, 9 unsupported, 10 unavailable. docs/errors.md lists every problem code.";
