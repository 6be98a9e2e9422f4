//! A credential as its row and memory have it.

use super::api::{CredentialKind, CredentialState, CredentialView};
use crate::audit::ObjectRef;
use crate::base::{
    ids::{CredentialId, KeyId, hex},
    principal::{Identity, KeyScope, Principal, PrincipalKind, Role},
    time::Timestamp,
};
use std::{collections::BTreeSet, sync::Arc};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) id: CredentialId,
    pub(super) kind: CredentialKind,
    /// Name, roles and keys are in here, as each request has them.
    pub(super) identity: Arc<Identity>,
    /// Of a token's random bytes, or of a certificate's DER.
    pub(super) sha256: [u8; 32],
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) revoked_at: Option<Timestamp>,
}

impl Credential {
    pub(super) fn name(&self) -> &str {
        &self.identity.principal.name
    }

    pub(super) fn state(&self, now: Timestamp) -> CredentialState {
        match self.revoked_at {
            Some(_) => CredentialState::Revoked,
            None if self.expires_at <= now => CredentialState::Expired,
            None => CredentialState::Active,
        }
    }

    /// As audit records name it.
    pub(super) fn object(&self) -> ObjectRef {
        object(self.id, self.name())
    }

    pub(super) fn view(&self, now: Timestamp) -> CredentialView {
        let is_certificate = self.kind == CredentialKind::ClientCertificate;
        CredentialView {
            id: self.id,
            kind: self.kind,
            name: self.name().to_owned(),
            roles: self.identity.roles.clone(),
            keys: keys_of(&self.identity).map(|keys| keys.iter().copied().collect()),
            state: self.state(now),
            certificate_sha256: is_certificate.then(|| hex(&self.sha256)),
            created_at: self.created_at,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        }
    }
}

/// Who shows the credential with this id.
pub(super) fn identity(id: CredentialId, name: String, roles: Vec<Role>, keys: KeyScope) -> Arc<Identity> {
    let principal = Principal { id: format!("credential:{id}"), kind: PrincipalKind::Service, name };
    Arc::new(Identity { principal, roles, keys })
}

/// A credential as audit records name it.
pub(super) fn object(id: CredentialId, name: &str) -> ObjectRef {
    ObjectRef::new("credential", id, name)
}

/// The only keys that it is good for; none if it is good for every key.
pub(super) fn keys_of(identity: &Identity) -> Option<&BTreeSet<KeyId>> {
    match &identity.keys {
        KeyScope::Every => None,
        KeyScope::Only(keys) => Some(keys),
    }
}
