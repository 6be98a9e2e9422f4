//! Opens an instance: lock, settings, database, audit logs, token; settles what a crash left; makes the router.

use super::{AppError, settings::Settings, unsettled::Unsettled};
use crate::access::{Access, require_owner};
use crate::audit::{Audit, Writer};
use crate::backup::{self, Backups, destination::Directory};
use crate::base::{
    secret::Secret,
    time::{Clock, SystemClock},
};
use crate::client::{Carried, Carrier, Client, ClientError};
use crate::commands::Commands;
use crate::db::{Database, instance};
use crate::http::{Health, Meters, Nouns, Peer, Services, router};
use crate::keys::{Keys, index::KeyIndex};
use crate::token::{Token, TokenSettings, Tokens, adoptions::Adoptions, api::Capabilities, pin::AskPin};
use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{Mutex, RwLock};
use tower::ServiceExt as _;

pub use crate::db::instance::Instance;

/// An instance that this process has to itself, and everything that its routes lead to.
pub(super) struct Opened {
    pub(super) directory: PathBuf,
    pub(super) keys: Keys,
    pub(super) services: Services,
    pub(super) settings: Settings,
    /// What a crash left, and waits for the token.
    pub(super) unsettled: Unsettled,
    _lock: File,
}

impl Opened {
    /// Ends the worker and closes the database.
    pub(super) async fn close(self) {
        self.services.access.close().await;
        self.keys.tokens.close().await;
        self.keys.db.close().await;
    }
}

/// An instance at work in this process, for the length of one command.
pub struct Running {
    opened: Opened,
    client: Client,
}

impl Running {
    /// The client of its API, as its local user.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the worker and closes the database.
    pub async fn close(self) {
        self.opened.close().await;
    }
}

/// Opens an instance for one command of the user who runs this process. Where the settings say that a person gives the
/// PIN of a token, `ask` asks this user; without it the token is sealed.
///
/// # Errors
/// There is none, it is in use, its settings or files are damaged, or the user is not known to it.
pub async fn open(directory: &Path, ask: Option<fn(&str) -> io::Result<Secret>>) -> Result<Running, AppError> {
    let opened = open_services(directory, ask.map(AskPin::new)).await?;
    let client = Client::new(InProcess { router: router(opened.services.clone()) });
    Ok(Running { opened, client })
}

/// Opens an instance and settles what a crash left.
pub(super) async fn open_services(directory: &Path, ask: Option<AskPin>) -> Result<Opened, AppError> {
    super::limits::guard();
    let missing = || AppError::NoInstance { directory: directory.to_owned() };
    if !directory.join(super::settings::FILE).exists() {
        return Err(missing());
    }
    let directory = directory.canonicalize().map_err(|_| missing())?;
    let lock = lock(&directory)?;
    let settings = Settings::read(&directory)?;
    super::softhsm::mend(&directory)?;
    let db = open_database(&directory).await?;
    let row = instance::read(&db).await?.ok_or_else(missing)?;
    // Another user would leave files in the directory that its owner cannot use.
    require_owner(rustix::process::geteuid().as_raw(), row.owner_uid)?;
    let keys = open_keys(&directory, &settings, (db, ask), &row).await?;
    let mut unsettled = Unsettled::find(&keys).await?;
    let services = services(&directory, &settings, &keys, &row).await?;
    unsettled.settle(&services.backups).await?;
    if let Err(error) = backup::adopt_unrecorded(&services.backups).await {
        // A destination that is away stops backups, and nothing else.
        tracing::warn!(%error, "archives at the destination could not be looked through");
    }
    Ok(Opened { directory, keys, services, settings, unsettled, _lock: lock })
}

/// Takes the instance for this process; given back when the file is closed.
pub(super) fn lock(directory: &Path) -> Result<File, AppError> {
    let path = directory.join(LOCK);
    let failed = |source| AppError::Directory { action: "locking", path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AppError::InUse { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

pub(super) async fn open_database(directory: &Path) -> Result<Database, AppError> {
    Ok(Database::open(&directory.join("keyward.db")).await?)
}

pub(super) async fn open_keys(
    directory: &Path,
    settings: &Settings,
    (db, ask): (Database, Option<AskPin>),
    row: &Instance,
) -> Result<Keys, AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let writer = Writer { instance: row.id, suffix: row.writer.clone() };
    let audit = Audit::open(db.clone(), directory.join("audit"), writer, Arc::clone(&clock)).await?;
    let home = open_token(&db, settings.token(directory)?.asking(ask.as_ref())).await?;
    let mut further = Vec::new();
    for token in settings.further_tokens(directory)? {
        further.push(open_token(&db, token.asking(ask.as_ref())).await?);
    }
    let tokens = Tokens::new(home, further);
    Ok(Keys { db, index: KeyIndex::default(), audit, tokens, clock, posture: row.posture })
}

async fn services(directory: &Path, settings: &Settings, keys: &Keys, row: &Instance) -> Result<Services, AppError> {
    let destination = Directory::new(directory.join(&settings.backup.directory));
    destination.clear_partial(row.id);
    let backups = Backups {
        keys: keys.clone(),
        instance: Arc::new(RwLock::new(row.id)),
        destination,
        directory: directory.to_owned(),
        recoveries: crate::ceremony::recover::Recoveries::default(),
        turn: Arc::new(Mutex::new(())),
    };
    let (stores, rate) = ((keys.db.clone(), keys.audit.clone()), settings.http.requests_per_second);
    let access = Access::open(stores, Arc::clone(&keys.clock), row.owner_uid, rate).await?;
    let commands = Commands::open(keys.db.clone(), keys.audit.clone(), Arc::clone(&keys.clock)).await?;
    let (health, meters) = (Health::default(), Meters::new());
    let problems = super::errors_page::entries;
    Ok(Nouns { access, backups, commands, health, keys: keys.clone(), meters, problems }.into())
}

/// What was seen of the token in an earlier probe.
async fn open_token(db: &Database, settings: TokenSettings) -> Result<Token, AppError> {
    let known = crate::db::tokens::capabilities(db, &settings.address.label).await?;
    let capabilities = known.and_then(|json| serde_json::from_str::<Capabilities>(&json).ok());
    let label = &settings.address.label;
    let adopted = Adoptions::new(match settings.address.device.is_yubikey() {
        true => crate::keys::slots::in_device(db, label).await?,
        false => crate::keys::adopt::adoptions(db, label).await?,
    });
    Ok(Token::new(TokenSettings { adopted, ..settings }, capabilities))
}

/// Carries requests to the router in this process, as its user.
struct InProcess {
    router: Router,
}

impl Carrier for InProcess {
    fn carry(&self, request: http::Request<Vec<u8>>) -> Carried<'_> {
        Box::pin(async move {
            let mut request = request.map(Body::from);
            request.extensions_mut().insert(Peer::Local { uid: rustix::process::geteuid().as_raw() });
            let response = match self.router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| ClientError::Unreadable { cause: error.to_string() })?;
            Ok(http::Response::from_parts(parts, body.to_bytes().to_vec()))
        })
    }
}

/// Held by the process that works with the instance.
pub(super) const LOCK: &str = "keyward.lock";
