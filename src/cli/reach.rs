//! What answers a command: the service at a URL, the service of the instance directory, or the instance in this
//! process if no service runs there.

use super::{Arguments, exit::CliError, files};
use crate::app::{
    settings::Environment,
    start::{self, Running},
};
use crate::client::{Client, api_token::ApiToken, https, login::Login, socket, url::ServerUrl};
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// Where the instance is that a command is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A service at a URL.
    #[serde(serialize_with = "spelled")]
    Server(ServerUrl),
}

impl Place {
    /// What the arguments say, or else the environment; of both in the environment, the server.
    pub(super) fn of(arguments: &Arguments, environment: &Environment) -> Result<Self, CliError> {
        match (&arguments.server, &arguments.dir) {
            (Some(_), Some(_)) => {
                return Err(CliError::invalid("`--dir` and `--server` name two places", "give one of them"));
            }
            (Some(url), None) => return Ok(Self::Server(url.clone())),
            (None, Some(directory)) => return Ok(Self::Directory(directory.clone())),
            (None, None) => {}
        }
        match &environment.server {
            Some(url) => url.parse().map(Self::Server).map_err(|fault| {
                CliError::invalid(
                    format!("KEYWARD_SERVER is not the address of a service: {fault}"),
                    "mend or unset it",
                )
            }),
            None => Ok(Self::Directory(environment.instance_directory())),
        }
    }
}

/// The instance directory, for what works with no service.
pub(super) fn directory(arguments: &Arguments, environment: &Environment) -> Result<PathBuf, CliError> {
    if arguments.server.is_some() {
        return Err(CliError::invalid("this command works in a directory, not at a `--server`", "name it by `--dir`"));
    }
    Ok(arguments.dir.clone().unwrap_or_else(|| environment.instance_directory()))
}

fn spelled<S: Serializer>(url: &ServerUrl, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(url)
}

/// The way to an instance.
pub(super) enum Reached {
    /// It works in this process.
    Here(Box<Running>),
    /// A service has it.
    Service(Client),
}

impl Reached {
    /// Finds the way.
    pub(super) async fn find(place: &Place, environment: &Environment) -> Result<Self, CliError> {
        let directory = match place {
            Place::Directory(directory) => directory,
            Place::Server(url) => return Ok(Self::Service(server(url, environment)?)),
        };
        match socket::connect(directory).await {
            Some(client) => Ok(Self::Service(client)),
            None => {
                Ok(Self::Here(Box::new(start::open(directory, files::ask_for_pin()).await.map_err(CliError::app)?)))
            }
        }
    }

    /// Whether no service has it.
    pub(super) const fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// The client of its API.
    pub(super) fn client(&self) -> &Client {
        match self {
            Self::Here(running) => running.client(),
            Self::Service(client) => client,
        }
    }

    /// Ends what was begun in this process.
    pub(super) async fn close(self) {
        if let Self::Here(running) = self {
            running.close().await;
        }
    }
}

fn server(url: &ServerUrl, environment: &Environment) -> Result<Client, CliError> {
    let login = Login::read(&environment.configuration_directory(), url)?;
    let api_token = environment.api_token_file.as_ref().or(login.api_token_file.as_ref());
    let api_token = api_token.map(|path| ApiToken::read(path)).transpose()?;
    Ok(https::client(url.clone(), &login.ca_pem, api_token)?)
}
