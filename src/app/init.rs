//! `keyward init`: a new instance, with its token, KEKs, CA and audit key.

use super::{
    AppError,
    settings::{BackupSection, FILE, HttpSection, Settings, TokenSection},
    softhsm,
    start::{Instance, open_database, open_keys},
};
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::Posture,
    ids::InstanceId,
    time::{Clock as _, SystemClock},
};
use crate::ceremony::provisional;
use crate::certificates::authority;
use crate::db::{commit, instance};
use crate::keys::probe::probe;
use crate::token::{api::Capabilities, make_token};
use serde::Serialize;
use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
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
    Existing(Box<TokenSection>),
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
    super::limits::guard();
    if request.posture == Posture::Production {
        return Err(AppError::ProductionUnavailable);
    }
    let before = make_directory(&request.directory)?;
    let directory = request.directory.canonicalize().map_err(|source| AppError::Directory {
        action: "resolving",
        path: request.directory.clone(),
        source,
    })?;
    let lock = super::start::lock(&directory)?;
    claim(&directory)?;
    let made = make(&directory, request).await;
    if made.is_err() {
        clear(&directory);
        let _ = fs::remove_file(directory.join(super::start::LOCK));
        put_back(&directory, before);
    }
    drop(lock);
    made
}

/// Marks the directory as one that `init` is at work in. What an `init` that was killed has left is ours to
/// remove; anything else that is there is somebody's, and neither used nor removed.
fn claim(directory: &Path) -> Result<(), AppError> {
    let found = |name: &&'static str| directory.join(name).exists();
    let exists = |name| AppError::Exists { directory: directory.to_owned(), name };
    if found(&FILE) {
        return Err(exists(FILE));
    }
    if found(&UNFINISHED) {
        clear(directory);
    } else if let Some(name) = MADE.iter().find(|name| found(name)) {
        return Err(exists(name));
    }
    let path = directory.join(UNFINISHED);
    let marked = fs::File::create_new(&path).and_then(|file| file.sync_all());
    marked.map_err(|source| AppError::Directory { action: "marking", path, source })
}

async fn make(directory: &Path, request: InitRequest) -> Result<InitAnswer, AppError> {
    let token = match request.token {
        InitToken::Embedded => embedded_token(directory).await?,
        InitToken::Existing(section) => *section,
    };
    let settings =
        Settings { token, tokens: Vec::new(), backup: BackupSection::default(), http: HttpSection::default() };
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
    let keys = open_keys(directory, &settings, (db, None), &row).await?;
    let answer = furnish(directory, &keys, &row).await;
    keys.tokens.close().await;
    keys.db.close().await;
    let answer = answer?;
    softhsm::mend(directory)?;
    // Written last, and whole: a directory with this file holds a whole instance.
    settings.write(directory)?;
    // A marker that stays beside the settings means nothing.
    let _ = fs::remove_file(directory.join(UNFINISHED));
    Ok(answer)
}

/// KEKs, CA, audit key, their files.
async fn furnish(directory: &Path, keys: &crate::keys::Keys, row: &Instance) -> Result<InitAnswer, AppError> {
    let description = keys.home().describe().await?;
    let seen = probe(keys, keys.home()).await?;
    check_home(keys.home().label(), &seen)?;
    let secret = provisional::establish(keys).await?;
    let root = authority::establish(keys, row.id).await?;
    authority::publish(keys, directory).await?;
    let share_file = directory.join(provisional::SHARE_FILE);
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

/// An instance's own token takes KEKs, and lets the CA's key be backed up under them.
fn check_home(token: &str, seen: &Capabilities) -> Result<(), AppError> {
    let ca = seen.algorithm(KeyAlgorithm::P256);
    let ca_cause = ca.and_then(|seen| seen.cause.clone()).unwrap_or_default();
    let cause = if seen.key_wrap.is_none() {
        "it wraps no private keys by RFC 5649".to_owned()
    } else if !seen.secret_keys {
        "it takes no AES keys as KEKs".to_owned()
    } else if !seen.content_key_wrap {
        "it wraps no AES keys by RFC 3394".to_owned()
    } else if !ca.is_some_and(|seen| seen.sign && seen.wrap) {
        format!("it does not put wrapped P-256 keys back ({ca_cause})")
    } else {
        return Ok(());
    };
    Err(AppError::NoHome { token: token.to_owned(), cause })
}

async fn embedded_token(directory: &Path) -> Result<TokenSection, AppError> {
    let section = softhsm::prepare(directory, TOKEN_LABEL)?;
    let settings =
        Settings { token: section, tokens: Vec::new(), backup: BackupSection::default(), http: HttpSection::default() };
    make_token(&settings.token(directory)?).await?;
    Ok(settings.token)
}

/// The directory, which nobody else may enter; answers the rights it had, if it was there.
fn make_directory(directory: &Path) -> Result<Option<Permissions>, AppError> {
    let failed = |action| move |source| AppError::Directory { action, path: directory.to_owned(), source };
    let Ok(found) = fs::metadata(directory) else {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("making"))?;
        return Ok(None);
    };
    let before = found.permissions();
    if before.mode() & 0o077 != 0 {
        // Closing it would take it away from others who have something in it.
        if fs::read_dir(directory).map_err(failed("reading"))?.next().is_some() {
            let cause = "others may enter it, and there is something in it; give the instance a directory of its own";
            return Err(failed("closing")(io::Error::other(cause)));
        }
        fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(failed("closing"))?;
    }
    Ok(Some(before))
}

/// After a failure the directory is as before: gone, or open again.
fn put_back(directory: &Path, before: Option<Permissions>) {
    // Neither can be told to anybody who could do more about it.
    let _ = match before {
        None => fs::remove_dir_all(directory),
        Some(permissions) => fs::set_permissions(directory, permissions),
    };
}

/// Removes what an `init` has made; an existing token is not touched.
fn clear(directory: &Path) {
    for name in MADE.iter().chain([&UNFINISHED]) {
        let path = directory.join(name);
        // What cannot be removed is found by the next `init`, which says so.
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}

/// Label of the embedded token.
const TOKEN_LABEL: &str = "keyward";
/// There as long as `init` is at work.
const UNFINISHED: &str = "init-unfinished";
/// What `init` makes in an instance directory before the settings.
const MADE: &[&str] = &[
    "keyward.db",
    "keyward.db-shm",
    "keyward.db-wal",
    "worker.lock",
    "worker-alone.lock",
    "pin-refused",
    "so-pin-refused",
    "share-provisional.txt",
    "softhsm",
    "tls",
    "audit",
];
