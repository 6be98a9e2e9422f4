//! The parent's side: the calls that nouns make, each with its deadline and its lane.
//!
//! The worker's life is in [`life`](super::life), what needs the SO PIN in [`setup`](super::setup).

use super::{
    address::{TokenAddress, TokenDescription},
    adoptions::Adoptions,
    api::Capabilities,
    error::TokenError,
    figures::{Figures, Standing},
    message::{
        AdoptedKey, Answer, CertificateObject, Container, ContentKeyOpen, ContentKeySeal, ExportJob, KekSource,
        KekValue, NewKey, OpenToken, Operation, PlainSecret, SignJob, TokenKek, TokenKey, TokenObject, UnwrapJob,
        WrapJob,
    },
    pin::{AskPin, PinKeeper, PinSource, RefusedPin},
    queue::Lane,
    supervisor::Supervisor,
};
use crate::base::{
    custody::{KekPurpose, ReleasePermit},
    ids::{KekId, KeyId},
    secret::Secret,
};
use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::sync::Mutex;

/// How to reach a token and run its worker.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Where the token is.
    pub address: TokenAddress,
    /// Session threads: cores for a software token, queue depth for an HSM, 1 for a `YubiKey`.
    pub sessions: usize,
    /// The user PIN.
    pub pin: PinSource,
    /// The SO PIN, needed to import KEKs only; of a `YubiKey` the management key, needed to change slots.
    pub so_pin: Option<PinSource>,
    /// PEM certificates of whoever vouches for devices that attest keys.
    pub attestation_roots: Option<PathBuf>,
    /// The child's environment, which has nothing else in it: what the module reads.
    pub environment: Vec<(String, OsString)>,
    /// Keys of other programs that are in the inventory.
    pub adopted: Adoptions,
    /// How often the token is asked for a sign of life; none if never.
    pub keep_alive: Option<Duration>,
    /// Where the worker's lock and the memory of a refused PIN are.
    pub state_directory: PathBuf,
    /// The keyward binary, which is also the worker.
    pub executable: PathBuf,
}

/// A key to be exported, and into what.
#[derive(Debug)]
pub struct ExportOrder {
    /// The key.
    pub key: KeyId,
    /// DER SubjectPublicKeyInfo that it must have.
    pub public_key_der: Vec<u8>,
    /// The file to build.
    pub container: Container,
    /// Encrypts the file.
    pub passphrase: Secret,
}

/// A wrapped key, what it should become, and the public key it must prove.
#[derive(Debug)]
pub struct WrappedKey {
    /// RFC 5649.
    pub wrapped: Vec<u8>,
    /// Under which KEK.
    pub kek: KekSource,
    /// What the object will be.
    pub key: NewKey,
    /// DER SubjectPublicKeyInfo.
    pub public_key_der: Vec<u8>,
}

/// One token, for as many callers as like; cheap to clone. The worker starts with the first call.
#[derive(Clone, Debug)]
pub struct Token {
    pub(super) settings: Arc<TokenSettings>,
    pub(super) pins: Pins,
    /// Who changes something about a PIN, or needs it to stay.
    pub(super) turn: Arc<Mutex<()>>,
    pub(super) supervisor: Supervisor,
    capabilities: Arc<RwLock<Option<Capabilities>>>,
}

/// The PINs of a token.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    pub(super) user: Arc<PinKeeper>,
    /// None if the settings name no source.
    pub(super) officer: Option<Arc<PinKeeper>>,
}

impl Pins {
    fn new(settings: &TokenSettings) -> Self {
        let (label, directory) = (&settings.address.label, &settings.state_directory);
        let user = PinKeeper::new(label, settings.pin.clone(), RefusedPin::of_user(directory));
        let officer = settings.so_pin.clone();
        let officer = officer.map(|source| PinKeeper::new(label, source, RefusedPin::of_security_officer(directory)));
        Self { user: Arc::new(user), officer: officer.map(Arc::new) }
    }
}

impl Token {
    /// A token with what is known of its capabilities; nothing is started.
    #[must_use]
    pub fn new(settings: TokenSettings, capabilities: Option<Capabilities>) -> Self {
        let pins = Pins::new(&settings);
        let settings = Arc::new(settings);
        Self {
            supervisor: Supervisor::new(Arc::clone(&settings), Arc::clone(&pins.user)),
            settings,
            pins,
            turn: Arc::default(),
            capabilities: Arc::new(RwLock::new(capabilities)),
        }
    }

    /// The token's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.settings.address.label
    }

    /// Where the token is.
    #[must_use]
    pub fn address(&self) -> &TokenAddress {
        &self.settings.address
    }

    /// What messages call the source of its PIN.
    #[must_use]
    pub fn pin_source(&self) -> String {
        self.settings.pin.name()
    }

    /// Whether the SO PIN is at hand, so that KEKs can be imported without asking.
    #[must_use]
    pub fn has_so_pin(&self) -> bool {
        self.settings.so_pin.is_some()
    }

    /// How the pool stands; starts nothing.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.supervisor.figures()
    }

    /// Whether the token can be used, as far as is known; starts nothing.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.supervisor.standing()
    }

    /// What the token says of itself; starts the worker.
    ///
    /// # Errors
    /// The token is absent, or its PIN is refused.
    pub async fn describe(&self) -> Result<TokenDescription, TokenError> {
        self.supervisor.description().await
    }

    /// What the token can do: as stored, else by a probe.
    ///
    /// # Errors
    /// As [`Self::probe`].
    pub async fn capabilities(&self) -> Result<Capabilities, TokenError> {
        let known = self.capabilities.read().ok().and_then(|known| known.clone());
        match known {
            Some(capabilities) => Ok(capabilities),
            None => self.probe().await,
        }
    }

    /// Tries everything on scratch session objects, and remembers what came of it.
    ///
    /// # Errors
    /// The token is absent, locked, or does not answer.
    pub async fn probe(&self) -> Result<Capabilities, TokenError> {
        match self.call(Operation::Probe, Lane::Batch, LONG).await? {
            Answer::Capabilities(capabilities) => {
                if let Ok(mut known) = self.capabilities.write() {
                    *known = Some(capabilities.clone());
                }
                Ok(capabilities)
            }
            other => Err(out_of_turn(&other)),
        }
    }

    /// Every key in the token, after the worker has read its objects again.
    ///
    /// # Errors
    /// The token is absent, locked, or does not answer.
    pub async fn keys(&self) -> Result<Vec<TokenKey>, TokenError> {
        self.count(Operation::Refresh).await?;
        self.indexed_keys().await
    }

    /// Every key that the token had when the worker last read its objects.
    ///
    /// # Errors
    /// The token is absent, locked, or does not answer.
    pub async fn indexed_keys(&self) -> Result<Vec<TokenKey>, TokenError> {
        let mut keys = Vec::new();
        loop {
            match self.call(Operation::List { offset: keys.len() }, Lane::Batch, LONG).await? {
                Answer::Keys(page) if page.is_empty() => return Ok(keys),
                Answer::Keys(page) => keys.extend(page),
                other => return Err(out_of_turn(&other)),
            }
        }
    }

    /// Every private key object in the token, whoever made it.
    ///
    /// # Errors
    /// The token is absent, locked, or does not answer.
    pub async fn scan(&self) -> Result<Vec<TokenObject>, TokenError> {
        let mut objects = Vec::new();
        loop {
            match self.call(Operation::Scan { offset: objects.len() }, Lane::Batch, LONG).await? {
                Answer::Objects(page) if page.is_empty() => return Ok(objects),
                Answer::Objects(page) => objects.extend(page),
                other => return Err(out_of_turn(&other)),
            }
        }
    }

    /// Takes an object for this key from now on, until [`Self::release`]; answers what it says of itself.
    ///
    /// # Errors
    /// [`TokenError::ObjectMissing`] if there is no such object, or more than one.
    pub async fn adopt(&self, key: AdoptedKey) -> Result<TokenKey, TokenError> {
        let id = key.key;
        self.settings.adopted.add(key.clone());
        let found = match self.call(Operation::Adopt(vec![key]), Lane::Batch, LONG).await {
            Ok(Answer::Keys(found)) => found.into_iter().find(|found| found.id == id),
            Ok(other) => return Err(out_of_turn(&other)),
            Err(error) => {
                self.settings.adopted.remove(id);
                return Err(error);
            }
        };
        found.ok_or_else(|| {
            self.settings.adopted.remove(id);
            TokenError::ObjectMissing { key: id, token: self.label().to_owned() }
        })
    }

    /// Takes the object for this key no more.
    pub fn release(&self, key: KeyId) {
        // The worker may know it until it is replaced; nobody asks for it any more.
        self.settings.adopted.remove(key);
    }

    /// Every KEK in the token.
    ///
    /// # Errors
    /// The token is absent, locked, or does not answer.
    pub async fn keks(&self) -> Result<Vec<TokenKek>, TokenError> {
        match self.call(Operation::ListKeks, Lane::Batch, SHORT).await? {
            Answer::Keks(keks) => Ok(keks),
            other => Err(out_of_turn(&other)),
        }
    }

    /// Makes a key pair; the answer has the attributes as read back.
    ///
    /// # Errors
    /// The token cannot make such a key, or did not keep its attributes. After [`TokenError::WorkerLost`]
    /// or [`TokenError::Deadline`] the key may be there all the same: look for its id.
    pub async fn generate(&self, key: NewKey) -> Result<TokenKey, TokenError> {
        self.key(Operation::Generate(key), LONG).await
    }

    /// Signs digests (for Ed25519: messages) with the key whose public key is named, in order. Clients that wait are
    /// served in turn; keyward itself is the one without a name.
    ///
    /// # Errors
    /// [`TokenError::AnotherKey`] if the object has another public key; [`TokenError::Busy`] and
    /// [`TokenError::Deadline`] may be tried again.
    pub async fn sign(&self, client: &str, job: SignJob) -> Result<Vec<Vec<u8>>, TokenError> {
        let limit = self.signing_limit();
        let count = job.inputs.len();
        let lane = if count == 1 { Lane::Single } else { Lane::Batch };
        let mut inputs = job.inputs.into_iter();
        let mut waiting = Vec::with_capacity(count.div_ceil(BATCH_PIECE));
        while inputs.len() > 0 {
            let piece = SignJob { inputs: inputs.by_ref().take(BATCH_PIECE).collect(), ..job };
            waiting.push(self.supervisor.submit_for(client.to_owned(), Operation::Sign(piece), lane, limit)?);
        }
        let mut signatures = Vec::with_capacity(count);
        for piece in waiting {
            match piece.answer().await? {
                Answer::Signatures(some) => signatures.extend(some),
                other => return Err(out_of_turn(&other)),
            }
        }
        Ok(signatures)
    }

    /// Wraps a private key by RFC 5649 under a KEK in the token.
    ///
    /// # Errors
    /// [`TokenError::AnotherKey`] if the object has another public key; otherwise the token has no such mechanism,
    /// the KEK is missing, or the key may not be wrapped by it.
    pub async fn wrap(
        &self,
        key: KeyId,
        public_key_sha256: [u8; 32],
        kek: KekId,
        purpose: KekPurpose,
    ) -> Result<Vec<u8>, TokenError> {
        let mechanism = self.key_wrap_mechanism().await?;
        self.bytes(Operation::Wrap(WrapJob { key, public_key_sha256, kek, purpose, mechanism }), LONG).await
    }

    /// Puts a wrapped key back as a token object, and has it prove its public key by a signature.
    /// A key that is there already is left as it is, if it proves itself and is what its policy asks for.
    ///
    /// # Errors
    /// [`TokenError::BlobUnreadable`], [`TokenError::ProofFailed`], [`TokenError::WeakerThanPolicy`]: what was put
    /// back is out of the token again. [`TokenError::AnotherKey`], [`TokenError::WeakerInToken`]: what was there
    /// before stays.
    pub async fn unwrap_key(&self, wrapped: WrappedKey) -> Result<TokenKey, TokenError> {
        let job = self.unwrap_job(wrapped).await?;
        self.key(Operation::Unwrap(job), LONG).await
    }

    /// Unwraps a key to a session object, has it prove its public key by a signature, and destroys it.
    ///
    /// # Errors
    /// [`TokenError::BlobUnreadable`], [`TokenError::ProofFailed`].
    pub async fn prove(&self, wrapped: WrappedKey) -> Result<(), TokenError> {
        let job = self.unwrap_job(wrapped).await?;
        self.done(Operation::Prove(job), LONG).await
    }

    /// Builds an export inside the worker: the one way in which a private key leaves other than wrapped
    /// under a KEK, and there is none without the permit for this very key.
    ///
    /// # Errors
    /// The permit is for another key, the token does not let the key out, or the file cannot be built.
    pub async fn export(&self, permit: ReleasePermit, order: ExportOrder) -> Result<Vec<u8>, TokenError> {
        if permit.key() != order.key {
            return Err(TokenError::NotCapable {
                token: self.label().to_owned(),
                operation: format!("export key {}", order.key),
                cause: format!("the permit is for key {}", permit.key()),
            });
        }
        let mechanism = self.key_wrap_mechanism().await?;
        let job = ExportJob {
            key: order.key,
            public_key_der: order.public_key_der,
            mechanism,
            container: order.container,
            passphrase: PlainSecret(order.passphrase),
        };
        self.bytes(Operation::Export(job), LONG).await
    }

    /// Destroys every object of the key; answers how many there were.
    ///
    /// # Errors
    /// The token refuses. After [`TokenError::WorkerLost`] they may be gone all the same.
    pub async fn destroy(&self, key: KeyId) -> Result<usize, TokenError> {
        let objects = if self.is_yubikey() {
            self.delete_from_slot(key).await?
        } else {
            self.count(Operation::Destroy { key }).await?
        };
        self.release(key);
        Ok(objects)
    }

    /// Stores a certificate object beside its key, for other PKCS#11 programs.
    ///
    /// # Errors
    /// The token refuses.
    pub async fn store_certificate(&self, certificate: CertificateObject) -> Result<(), TokenError> {
        if self.is_yubikey() {
            return self.store_in_slot(certificate).await;
        }
        self.done(Operation::StoreCertificate(certificate), SHORT).await
    }

    /// Holds KEKs as session objects until [`Self::close_session_keks`].
    ///
    /// # Errors
    /// The token refuses.
    pub async fn open_session_keks(&self, keks: Vec<KekValue>) -> Result<(), TokenError> {
        self.done(Operation::OpenSessionKeks(keks), SHORT).await
    }

    /// Destroys the session KEKs.
    ///
    /// # Errors
    /// The token refuses.
    pub async fn close_session_keks(&self) -> Result<(), TokenError> {
        self.done(Operation::CloseSessionKeks, SHORT).await
    }

    /// Wraps a 32-byte content key by RFC 3394 under the inventory KEK.
    ///
    /// # Errors
    /// The KEK is missing, or the token has no such mechanism.
    pub async fn seal_content_key(&self, kek: KekId, content_key: Secret) -> Result<Vec<u8>, TokenError> {
        let seal = ContentKeySeal { kek, content_key: PlainSecret(content_key) };
        self.bytes(Operation::SealContentKey(seal), SHORT).await
    }

    /// Opens a content key again.
    ///
    /// # Errors
    /// It was wrapped under another KEK, or it was changed.
    pub async fn open_content_key(&self, kek: KekSource, wrapped: Vec<u8>) -> Result<Secret, TokenError> {
        match self.call(Operation::OpenContentKey(ContentKeyOpen { kek, wrapped }), Lane::Batch, SHORT).await? {
            Answer::Secret(PlainSecret(secret)) => Ok(secret),
            other => Err(out_of_turn(&other)),
        }
    }

    /// Ends the worker for good. What it has begun it may finish; everything else, also what is asked for later, is
    /// answered as lost.
    pub async fn close(&self) {
        self.supervisor.close().await;
    }

    async fn key_wrap_mechanism(&self) -> Result<u64, TokenError> {
        self.capabilities().await?.key_wrap.ok_or_else(|| TokenError::NotCapable {
            token: self.label().to_owned(),
            operation: "wrap private keys".to_owned(),
            cause: "no mechanism made RFC 5649 bytes in the probe".to_owned(),
        })
    }

    async fn unwrap_job(&self, wrapped: WrappedKey) -> Result<UnwrapJob, TokenError> {
        Ok(UnwrapJob {
            wrapped: wrapped.wrapped,
            kek: wrapped.kek,
            mechanism: self.key_wrap_mechanism().await?,
            key: wrapped.key,
            public_key_der: wrapped.public_key_der,
        })
    }

    pub(super) async fn call(&self, operation: Operation, lane: Lane, limit: Duration) -> Result<Answer, TokenError> {
        self.supervisor.submit(operation, lane, limit)?.answer().await
    }

    pub(super) async fn key(&self, operation: Operation, limit: Duration) -> Result<TokenKey, TokenError> {
        match self.call(operation, Lane::Batch, limit).await? {
            Answer::Key(key) => Ok(key),
            other => Err(out_of_turn(&other)),
        }
    }

    async fn bytes(&self, operation: Operation, limit: Duration) -> Result<Vec<u8>, TokenError> {
        match self.call(operation, Lane::Batch, limit).await? {
            Answer::Bytes(bytes) => Ok(bytes),
            other => Err(out_of_turn(&other)),
        }
    }

    pub(super) async fn count(&self, operation: Operation) -> Result<usize, TokenError> {
        match self.call(operation, Lane::Batch, LONG).await? {
            Answer::Count(count) => Ok(count),
            other => Err(out_of_turn(&other)),
        }
    }

    pub(super) async fn done(&self, operation: Operation, limit: Duration) -> Result<(), TokenError> {
        match self.call(operation, Lane::Batch, limit).await? {
            Answer::Done => Ok(()),
            other => Err(out_of_turn(&other)),
        }
    }
}

impl TokenSettings {
    /// The same with somebody to ask for the PIN, where the settings say that a person gives it.
    #[must_use]
    pub fn asking(mut self, ask: Option<&AskPin>) -> Self {
        if let (PinSource::Prompt(asked), Some(ask)) = (&mut self.pin, ask) {
            *asked = Some(ask.clone());
        }
        self
    }

    /// A worker's first request; it holds the lock of this name while it lives.
    pub(super) fn open(&self, lock_name: &str) -> Operation {
        Operation::Open(OpenToken {
            address: self.address.clone(),
            sessions: self.sessions,
            lock_file: self.state_directory.join(lock_name),
        })
    }
}

pub(super) fn out_of_turn(answer: &Answer) -> TokenError {
    TokenError::Protocol { detail: format!("an answer of kind {}", answer.name()) }
}

/// For what a token does in less than a second even under load.
pub(super) const SHORT: Duration = Duration::from_secs(10);
/// For key generation (RSA-4096 can take many seconds) and what reads or writes many objects.
pub(super) const LONG: Duration = Duration::from_secs(120);
/// Signatures a job has at most, so that a batch cannot hold a single signature up for long.
const BATCH_PIECE: usize = 8;
