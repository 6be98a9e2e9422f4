//! `credential add`, `list`, `show`, `revoke`.

use super::{
    Access, AccessError,
    api::{AddCredentialAnswer, AddCredentialRequest, CredentialKind, CredentialState, CredentialView},
    api_token::ApiToken,
    credential::{Credential, identity},
    db, require,
};
use crate::audit::{AuditError, Verdict};
use crate::base::{
    ids::{CredentialId, KeyLabel},
    principal::{Caller, Identity, KeyScope, Role},
    time::Timestamp,
};
use crate::db::commit;
use crate::pki::certificate::Certificate;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// A credential that an admin may add.
#[derive(Debug)]
pub struct Draft {
    id: CredentialId,
    identity: Arc<Identity>,
    created_at: Timestamp,
    days: u32,
}

impl Draft {
    /// The id that it will have.
    #[must_use]
    pub const fn id(&self) -> CredentialId {
        self.id
    }

    /// The name that it will have.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.principal.name
    }

    /// For how long.
    #[must_use]
    pub const fn days(&self) -> u32 {
        self.days
    }
}

impl Access {
    /// Judges what is asked for; `keys` are those that the request names.
    ///
    /// # Errors
    /// The caller is no admin; name, lifetime or roles are not such as a credential can have; or the name is taken.
    pub fn draft(&self, caller: &Caller, request: &AddCredentialRequest, keys: KeyScope) -> Result<Draft, AccessError> {
        require(caller, &[Role::Admin])?;
        let days = request.days.unwrap_or(DEFAULT_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(AccessError::LifetimeOutOfRange { days });
        }
        let mut roles = request.roles.clone();
        roles.sort_unstable();
        roles.dedup();
        check_roles(&roles, &keys)?;
        // The same letters as in a label, and told apart from an id in the same way.
        if request.name.parse::<KeyLabel>().is_err() {
            return Err(AccessError::NameMalformed { name: request.name.clone() });
        }
        self.check_free(&request.name)?;
        let id = CredentialId::new();
        let identity = identity(id, request.name.clone(), roles, keys);
        Ok(Draft { id, identity, created_at: self.0.clock.now(), days })
    }

    /// Adds an API token. The answer has it, and nobody can ask for it again.
    ///
    /// # Errors
    /// The name was taken meanwhile, or row and record cannot be written; then there is no such credential.
    pub async fn add_token(&self, caller: &Caller, draft: Draft) -> Result<AddCredentialAnswer, AccessError> {
        let token = ApiToken::generate()?;
        let expires_at = draft.created_at.plus_days(i64::from(draft.days));
        let credential = draft.into_credential(CredentialKind::ApiToken, token.sha256(), expires_at);
        let credential = self.enter(caller, credential).await?;
        Ok(AddCredentialAnswer { credential, token: Some(token.text()), certificate_pem: None })
    }

    /// Adds a client certificate that was issued for the draft, with its chain in PEM.
    ///
    /// # Errors
    /// As [`Access::add_token`].
    pub async fn add_certificate(
        &self,
        caller: &Caller,
        draft: Draft,
        (certificate, pem): (&Certificate, String),
    ) -> Result<AddCredentialAnswer, AccessError> {
        let sha256 = Sha256::digest(certificate.der()).into();
        let credential = draft.into_credential(CredentialKind::ClientCertificate, sha256, certificate.not_after());
        let credential = self.enter(caller, credential).await?;
        Ok(AddCredentialAnswer { credential, token: None, certificate_pem: Some(pem) })
    }

    /// Every credential, the oldest first; expired and revoked ones too.
    #[must_use]
    pub fn list(&self) -> Vec<CredentialView> {
        let now = self.0.clock.now();
        self.0.known.all().iter().map(|credential| credential.view(now)).collect()
    }

    /// The credential of this name or id; of several with one name the one that is not revoked, else the newest.
    ///
    /// # Errors
    /// [`AccessError::CredentialMissing`] if there is none.
    pub fn find(&self, selector: &str) -> Result<CredentialView, AccessError> {
        Ok(self.find_credential(selector)?.view(self.0.clock.now()))
    }

    /// Takes a credential back: from the answer on, nobody is let in with it. One that is revoked already stays so.
    ///
    /// # Errors
    /// The caller is no admin, there is no such credential, or row and record cannot be written.
    pub async fn revoke(&self, caller: &Caller, selector: &str) -> Result<CredentialView, AccessError> {
        require(caller, &[Role::Admin])?;
        let (access, caller, selector) = (self.clone(), caller.clone(), selector.to_owned());
        undisturbed(async move {
            let _turn = access.0.turn.lock().await;
            let credential = access.find_credential(&selector)?;
            let now = access.0.clock.now();
            if credential.revoked_at.is_some() {
                return Ok(credential.view(now));
            }
            let credential = Credential { revoked_at: Some(now), ..credential };
            access.change(&caller, "credential.revoke", credential).await
        })
        .await
    }

    async fn enter(&self, caller: &Caller, credential: Credential) -> Result<CredentialView, AccessError> {
        let (access, caller) = (self.clone(), caller.clone());
        undisturbed(async move {
            let _turn = access.0.turn.lock().await;
            access.check_free(credential.name())?;
            access.change(&caller, "credential.add", credential).await
        })
        .await
    }

    /// Writes a new or revoked credential, between intent and result, and has it count.
    async fn change(
        &self,
        caller: &Caller,
        event: &'static str,
        credential: Credential,
    ) -> Result<CredentialView, AccessError> {
        let view = credential.view(self.0.clock.now());
        let detail = json!({
            "kind": view.kind, "roles": view.roles, "keys": view.keys, "expires_at": view.expires_at,
            "certificate_sha256": view.certificate_sha256,
        });
        let intent = self.0.audit.intent(caller, event, &credential.object(), detail).await?;
        let write = async {
            let mut transaction = self.0.db.begin().await?;
            match credential.revoked_at {
                Some(at) => db::revoke(&mut transaction, credential.id, at).await?,
                None => db::insert(&mut transaction, &credential).await?,
            }
            self.0.audit.result(&mut transaction, &intent, Verdict::ok(json!({}))).await?;
            Ok::<_, AccessError>(commit(transaction).await?)
        };
        if let Err(error) = write.await {
            self.0.audit.conclude(&intent, Verdict::of_fault(&error, json!({}))).await?;
            return Err(error);
        }
        self.0.known.put(credential);
        Ok(view)
    }

    fn check_free(&self, name: &str) -> Result<(), AccessError> {
        let now = self.0.clock.now();
        let mut active = self.0.known.all().into_iter().filter(|known| known.state(now) == CredentialState::Active);
        if active.any(|known| known.name() == name) {
            return Err(AccessError::NameTaken { name: name.to_owned() });
        }
        Ok(())
    }

    fn find_credential(&self, selector: &str) -> Result<Credential, AccessError> {
        let (id, all) = (selector.parse::<CredentialId>().ok(), self.0.known.all().into_iter());
        let named = all.filter(|known| id.map_or(known.name() == selector, |id| known.id == id));
        let newest = named.max_by_key(|known| (known.revoked_at.is_none(), known.created_at, known.id));
        newest.ok_or_else(|| AccessError::CredentialMissing { selector: selector.to_owned() })
    }
}

impl Draft {
    fn into_credential(self, kind: CredentialKind, sha256: [u8; 32], expires_at: Timestamp) -> Credential {
        let Self { id, identity, created_at, .. } = self;
        Credential { id, kind, identity, sha256, created_at, expires_at, revoked_at: None }
    }
}

fn check_roles(roles: &[Role], keys: &KeyScope) -> Result<(), AccessError> {
    if roles.is_empty() {
        return Err(AccessError::RolesEmpty);
    }
    if roles.contains(&Role::RecoveryOfficer) {
        return Err(AccessError::RoleReserved { role: Role::RecoveryOfficer });
    }
    if matches!(keys, KeyScope::Only(keys) if keys.is_empty()) {
        return Err(AccessError::ScopeEmpty);
    }
    // Whoever may also make and destroy keys is not held by a list of some.
    if *keys != KeyScope::Every && roles != [Role::Signer] {
        return Err(AccessError::ScopeUnsuitable);
    }
    Ok(())
}

/// Runs a change to its end, also when the caller goes away in the midst of it: row and memory must not part.
async fn undisturbed<T: Send + 'static>(
    change: impl Future<Output = Result<T, AccessError>> + Send + 'static,
) -> Result<T, AccessError> {
    let ended = tokio::spawn(change).await;
    ended.map_err(|cause| AuditError::Interrupted { cause: cause.to_string() })?
}

const DEFAULT_DAYS: u32 = 90;
const MOST_DAYS: u32 = 3_650;
