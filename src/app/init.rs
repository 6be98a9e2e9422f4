//! `keyward init`: a new instance, with its token, KEKs, CA and audit key.

use super::{
    AppError,
    settings::{BackupSection, FILE, Settings, TokenSection},
    softhsm,
    start::{Instance, open_database, open_keys},
};
use crate::base::{
    custody::Posture,
    ids::InstanceId,
    time::{Clock as _, SystemClock},
};
use crate::ceremony::provisional;
use crate::certificates::authority;
use crate::db::{commit, instance};
use crate::token::make_token;
use serde::Serialize;
use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// What `init` is asked for.
#[derive(Debug)]
pub struct InitRequest {
    /// Where.
    pub directory: PathBuf,
    /// How strict.
    pub posture: Posture,
    /// Which token.
    pub token: InitToken,
}

/// Which token a new instance has.
#[derive(Debug)]
pub enum InitToken {
    /// A fresh SoftHSM token inside the instance directory.
    Embedded,
    /// One that is there already.
    Existing(TokenSection),
}

/// What `init` made.
#[derive(Debug, Serialize)]
pub struct InitAnswer {
    /// The instance.
    pub id: InstanceId,
    /// Where it is.
    pub directory: PathBuf,
    /// How strict it is.
    pub posture: Posture,
    /// Its token, as URI.
    pub token: String,
    /// SHA-256 of the certificate of its CA.
    pub root_sha256: String,
    /// File with the one share of a rig's secret.
    pub share_file: PathBuf,
}

/// Makes an instance.
///
/// # Errors
/// There is one already, the token cannot be used, or a file cannot be written. What was begun is removed
/// again: the directory is as before.
pub async fn init(request: InitRequest) -> Result<InitAnswer, AppError> {
    if request.posture == Posture::Production {
        return Err(AppError::ProductionUnavailable);
    }
    let directory = request.directory.clone();
    if directory.join(FILE).exists() {
        return Err(AppError::Exists { directory });
    }
    let was_there = directory.exists();
    make_directory(&directory)?;
    let directory = directory.canonicalize().map_err(|source| AppError::Directory {
        action: "resolving",
        path: directory.clone(),
        source,
    })?;
    let lock = super::start::lock(&directory)?;
    let made = make(&directory, request).await;
    if made.is_err() {
        undo(&directory, was_there);
    }
    drop(lock);
    made
}

async fn make(directory: &Path, request: InitRequest) -> Result<InitAnswer, AppError> {
    let token = match request.token {
        InitToken::Embedded => embedded_token(directory).await?,
        InitToken::Existing(section) => section,
    };
    let settings = Settings { token, backup: BackupSection::default() };
    let db = open_database(directory).await?;
    let row = Instance {
        id: InstanceId::new(),
        writer: String::new(),
        posture: request.posture,
        owner_uid: rustix::process::geteuid().as_raw(),
        created_at: SystemClock.now(),
    };
    let mut transaction = db.begin().await?;
    instance::create(&mut transaction, &row).await?;
    commit(transaction).await?;
    let keys = open_keys(directory, &settings, db, &row).await?;
    let answer = furnish(directory, &keys, &row).await;
    keys.token.close().await;
    keys.db.close().await;
    let answer = answer?;
    softhsm::mend(directory)?;
    // Written last: a directory with this file holds a whole instance.
    settings.write(directory)?;
    Ok(answer)
}

/// KEKs, CA, audit key, their files.
async fn furnish(directory: &Path, keys: &crate::keys::Keys, row: &Instance) -> Result<InitAnswer, AppError> {
    let description = keys.token.describe().await?;
    super::start::remember_token(keys, &description).await?;
    let secret = provisional::establish(keys).await?;
    let root = authority::establish(keys, row.id).await?;
    authority::publish(keys, directory).await?;
    let share_file = directory.join("share-provisional.txt");
    provisional::write_share(&share_file, &secret, row.id, root.fingerprint())?;
    keys.audit.checkpoint(&authority::audit_signer(keys).await?).await?;
    Ok(InitAnswer {
        id: row.id,
        directory: directory.to_owned(),
        posture: row.posture,
        token: description.uri(),
        root_sha256: root.fingerprint(),
        share_file,
    })
}

async fn embedded_token(directory: &Path) -> Result<TokenSection, AppError> {
    let section = softhsm::prepare(directory, TOKEN_LABEL)?;
    let settings = Settings { token: section, backup: BackupSection::default() };
    make_token(&settings.token(directory)?).await?;
    Ok(settings.token)
}

fn make_directory(directory: &Path) -> Result<(), AppError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| AppError::Directory { action: "making", path: directory.to_owned(), source })
}

/// Removes what an `init` that failed has made; an existing token is not touched.
fn undo(directory: &Path, was_there: bool) {
    if !was_there {
        let _ = fs::remove_dir_all(directory);
        return;
    }
    for name in MADE {
        let path = directory.join(name);
        // What cannot be removed is found by the next `init`, which says so.
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

/// Label of the embedded token.
const TOKEN_LABEL: &str = "keyward";
/// What `init` makes in an instance directory.
const MADE: &[&str] = &[
    "keyward.db",
    "keyward.db-shm",
    "keyward.db-wal",
    "keyward.lock",
    "worker.lock",
    "worker-alone.lock",
    "pin-refused",
    "share-provisional.txt",
    "softhsm",
    "tls",
    "audit",
];
