//! The one way in which a private key leaves: into the worker's memory, and out of it in its finished container.

use super::{
    Backend,
    attributes::{SecretUse, Template, session_secret},
    fault::{Failure, NO_MECHANISM},
    index::Entry,
    wrap::mechanism_name,
};
use crate::base::custody::KeyPolicy;
use crate::pki::{
    PkiError,
    certificate::Certificate,
    key_wrap,
    pkcs12::{self, Pkcs12},
    private_key,
};
use crate::token::{
    error::TokenError,
    message::{Container, ExportJob},
};
use cryptoki::session::Session;
use zeroize::Zeroizing;

impl Backend {
    /// Builds the file for a key whose attributes let it leave.
    pub(super) fn export(&self, session: &Session, job: &ExportJob) -> Result<Vec<u8>, Failure> {
        let entry = self.index().key(job.key).ok_or_else(|| self.token.missing(job.key))?;
        if entry.key.public_key_der != job.public_key_der {
            return Err(self.token.another(job.key));
        }
        self.check_exportable(&entry)?;
        let key = self.extract(session, &entry, job.mechanism)?;
        build(&key, job).map_err(|error| {
            let detail = format!("the container for key {} cannot be built: {error}", job.key);
            TokenError::Protocol { detail }.into()
        })
    }

    fn check_exportable(&self, entry: &Entry) -> Result<(), Failure> {
        let cause = if !entry.key.extractable {
            format!("its policy is {}: CKA_EXTRACTABLE is false", KeyPolicy::TokenOnly)
        } else if entry.key.wrap_with_trusted {
            format!("its policy is {}: CKA_WRAP_WITH_TRUSTED is true", KeyPolicy::BackupOnly)
        } else {
            return Ok(());
        };
        let operation = format!("export key {}", entry.key.id);
        Err(TokenError::NotCapable { token: self.token.name(), operation, cause }.into())
    }

    /// The key as PKCS#8, checked against its public key, and with it inside.
    fn extract(&self, session: &Session, entry: &Entry, mechanism: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let id = entry.key.id;
        let mut value = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *value).map_err(|error| self.token.refused("export", id, &error.to_string()))?;
        let wrapped = self.wrap_once(session, entry, mechanism, &value)?;
        opened(&value, &wrapped, entry).map_err(|cause| TokenError::ProofFailed { key: id, cause }.into())
    }

    /// Wraps the key under a session key that is destroyed whatever comes of it.
    fn wrap_once(
        &self,
        session: &Session,
        entry: &Entry,
        mechanism: u64,
        value: &[u8; 32],
    ) -> Result<Vec<u8>, Failure> {
        let _creating = self.creating();
        let template = Template::secret_key(value, SecretUse::Wrap).with(session_secret());
        let once = session.create_object(template.as_slice()).map_err(self.token.refusal(
            "export",
            entry.key.id,
            NO_MECHANISM,
        ))?;
        let wrapped = self.token.module.wrap_key(session, mechanism, once, entry.handle).map_err(self.token.refusal(
            "export",
            entry.key.id,
            mechanism_name(mechanism),
        ));
        let destroyed = self.destroy_session_object(session, once);
        wrapped.and_then(|wrapped| destroyed.map(|()| wrapped))
    }
}

fn opened(kek: &[u8; 32], wrapped: &[u8], entry: &Entry) -> Result<Zeroizing<Vec<u8>>, String> {
    let public = entry.public_key.as_ref().ok_or("it has no public key object")?;
    let key = key_wrap::open(kek, wrapped).and_then(private_key::cut_to_der).map_err(|error| error.to_string())?;
    let found = private_key::public_key_of(&key, public.algorithm()).map_err(|error| error.to_string())?;
    if found != *public {
        return Err("another private key came out of the token".to_owned());
    }
    private_key::with_public_key(&key, public.algorithm()).map_err(|error| error.to_string())
}

fn build(key: &[u8], job: &ExportJob) -> Result<Vec<u8>, PkiError> {
    let passphrase = &job.passphrase.0;
    match &job.container {
        Container::Pem { chain } => {
            let mut text = private_key::to_encrypted_pem(key, passphrase)?;
            for certificate in chain {
                text.push_str(&Certificate::from_der(certificate)?.to_pem()?);
            }
            Ok(text.into_bytes())
        }
        Container::Pkcs12 { profile, alias, chain } => {
            pkcs12::build(&Pkcs12 { private_key: key, chain, alias, profile: *profile }, passphrase)
        }
    }
}
