//! A key as the inventory has it.

use super::api::KeyView;
use crate::audit::ObjectRef;
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{Enforcement, KeyPolicy, KeyState, Origin, Presence, Purpose},
    ids::{KeyId, KeyLabel},
    time::Timestamp,
};
use crate::pki::{PkiError, public_key::PublicKey};
use crate::token::{
    api::Capabilities,
    message::{NewKey, TokenKey},
};

/// One row of the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Id, also CKA_ID.
    pub id: KeyId,
    /// Unique name.
    pub label: KeyLabel,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// What may leave.
    pub policy: KeyPolicy,
    /// Who sees to that.
    pub enforcement: Enforcement,
    /// What it is for.
    pub purpose: Purpose,
    /// Approvals that an export needs.
    pub approvals: u32,
    /// Where it came from.
    pub origin: Origin,
    /// SP 800-57 state.
    pub state: KeyState,
    /// When the token was last seen.
    pub presence: Presence,
    /// Label of its token.
    pub token: String,
    /// PEM SubjectPublicKeyInfo.
    pub public_key_pem: String,
    /// Free text.
    pub comment: String,
    /// When it was made, here or in the archive it came from.
    pub created_at: Timestamp,
}

impl KeyRecord {
    /// The public key.
    ///
    /// # Errors
    /// The row holds something else.
    pub fn public_key(&self) -> Result<PublicKey, PkiError> {
        PublicKey::from_pem(&self.public_key_pem)
    }

    /// The key as audit records name it.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        object(self.id, &self.label)
    }

    /// What a token object of this key is made from.
    #[must_use]
    pub fn as_new_key(&self, trusted_kek: bool) -> NewKey {
        NewKey {
            id: self.id,
            label: self.label.clone(),
            algorithm: self.algorithm,
            policy: self.policy,
            purpose: self.purpose,
            trusted_kek,
        }
    }

    /// What a caller sees.
    #[must_use]
    pub fn view(self, certificates: Vec<String>) -> KeyView {
        KeyView {
            id: self.id,
            label: self.label,
            algorithm: self.algorithm,
            policy: self.policy,
            enforcement: self.enforcement,
            purpose: self.purpose,
            approvals: self.approvals,
            origin: self.origin,
            state: self.state,
            presence: self.presence,
            token: self.token,
            piv: None,
            public_key_pem: self.public_key_pem,
            certificates,
            comment: self.comment,
            created_at: self.created_at,
            adoption: None,
        }
    }
}

/// A key as audit records name it.
#[must_use]
pub fn object(id: KeyId, label: &KeyLabel) -> ObjectRef {
    ObjectRef::new("key", id, label)
}

/// Who enforces the policy of a key with these attributes: the token only if it was seen to act by the attribute and
/// not just to echo it.
#[must_use]
pub fn enforcement(policy: KeyPolicy, seen: &TokenKey, token: &Capabilities) -> Enforcement {
    let by_token = match policy {
        KeyPolicy::BackupOnly => seen.wrap_with_trusted && token.honours_wrap_with_trusted,
        KeyPolicy::Exportable => false,
        KeyPolicy::TokenOnly => !seen.extractable && token.honours_extractable,
    };
    if by_token { Enforcement::Token } else { Enforcement::Keyward }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_enforces_only_what_it_both_says_and_was_seen_to_do() {
        let seen = TokenKey {
            id: KeyId::from_bytes([7; 16]),
            label: String::new(),
            algorithm: None,
            public_key_der: Vec::new(),
            sensitive: true,
            extractable: false,
            wrap_with_trusted: true,
            local: true,
            never_extractable: true,
            always_authenticate: false,
        };
        let honest =
            Capabilities { honours_extractable: true, honours_wrap_with_trusted: true, ..Capabilities::default() };
        let echo = Capabilities::default();
        let open = TokenKey { extractable: true, wrap_with_trusted: false, ..seen.clone() };

        for policy in [KeyPolicy::TokenOnly, KeyPolicy::BackupOnly] {
            assert_eq!(enforcement(policy, &seen, &honest), Enforcement::Token);
            assert_eq!(enforcement(policy, &seen, &echo), Enforcement::Keyward);
            assert_eq!(enforcement(policy, &open, &honest), Enforcement::Keyward);
        }
        assert_eq!(enforcement(KeyPolicy::Exportable, &seen, &honest), Enforcement::Keyward);
    }
}
