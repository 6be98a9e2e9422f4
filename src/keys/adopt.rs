//! `key adopt`: a key that another program made becomes a key of the inventory. Its object is not changed, and it stays
//! where it is.
//!
//! The object is found again by its public key, else by CKA_ID and label ([`AdoptedKey`]). It is taken only after it
//! has signed a challenge that its public key verifies.

use super::{
    KeyError, KeyRecord, Keys,
    api::{AdoptRequest, AdoptionView},
    db,
    generate::{self, KeySpec},
    record::{enforcement, object},
};
use crate::access::require;
use crate::audit::{Intent, Verdict};
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{KeyPolicy, KeyState, Origin, Presence, Purpose},
    ids::{KeyId, hex},
    principal::{Caller, Role},
    time::Timestamp,
};
use crate::db::{Database, commit};
use crate::pki::{PkiError, certificate::Certificate, public_key::PublicKey, signature};
use crate::token::{
    Token,
    api::{Capabilities, ObjectAttributes, ObjectView},
    message::{AdoptedKey, SignJob, TokenObject},
    uri::ObjectUri,
};
use serde_json::json;
use std::collections::HashMap;

/// Takes the object that the request names into the inventory.
///
/// # Errors
/// It names no object or several, the key is there already, keyward could not keep its policy, or it does not prove
/// its public key.
pub async fn adopt(keys: &Keys, caller: &Caller, request: AdoptRequest) -> Result<KeyRecord, KeyError> {
    require(caller, &[Role::Operator])?;
    let label = generate::checked_label(&request.label, &request.comment)?;
    let uri = ObjectUri::parse(&request.uri).map_err(|cause| KeyError::UriMalformed { cause })?;
    let token = token_of(keys, &uri).await?;
    let chosen = choose(token, &uri, request.public_key_pem.as_deref()).await?;
    if let Some(known) = db::in_token(&keys.db, token.label()).await?.into_iter().find(|row| is_key(row, &chosen)) {
        return Err(KeyError::RecordedAlready { uri: chosen.uri, key: known.label });
    }
    let capabilities = token.capabilities().await?;
    let (attributes, algorithm) = (chosen.object.attributes, chosen.public_key.algorithm());
    let wrappable = Wrappable::of(keys, token, &capabilities, algorithm);
    let purpose = purpose(attributes, request.purpose).map_err(|cause| chosen.refusal(cause))?;
    let policy = policy(attributes, request.policy, wrappable).map_err(|cause| chosen.refusal(cause))?;
    let approvals = request.approvals.unwrap_or_else(|| generate::default_approvals(keys.posture));
    let (comment, place) = (request.comment, token.label().to_owned());
    let spec = KeySpec { label, algorithm, policy, purpose, approvals, comment, token: Some(place) };
    let id = KeyId::new();
    let detail = json!({ "uri": chosen.uri, "token": spec.token, "policy": policy, "purpose": purpose });
    let intent = keys.audit.intent(caller, "key.adopt", &object(id, &spec.label), detail).await?;
    let taken = take_in((keys, token), &intent, (id, &spec), &chosen).await;
    if let Err(error) = &taken {
        token.release(id);
        keys.audit.conclude(&intent, Verdict::of_fault(error, json!({}))).await?;
    }
    taken
}

/// Has the worker find the object, has it prove itself, and writes its row.
async fn take_in(
    (keys, token): (&Keys, &Token),
    intent: &Intent,
    (id, spec): (KeyId, &KeySpec),
    chosen: &Chosen,
) -> Result<KeyRecord, KeyError> {
    let seen = token.adopt(chosen.adopted(id)).await?;
    prove(token, id, chosen).await?;
    let (public_key_pem, capabilities) = (chosen.public_key.to_pem()?, token.capabilities().await?);
    let record = KeyRecord {
        id,
        label: spec.label.clone(),
        algorithm: spec.algorithm,
        policy: spec.policy,
        enforcement: enforcement(spec.policy, &seen, &capabilities),
        purpose: spec.purpose,
        approvals: spec.approvals,
        origin: Origin::Adopted,
        state: KeyState::Active,
        presence: Presence::Present,
        token: token.label().to_owned(),
        public_key_pem,
        comment: spec.comment.clone(),
        created_at: keys.clock.now(),
    };
    let attributes = chosen.object.attributes;
    let adoption = Adoption { key: chosen.adopted(id), attributes, adopted_at: record.created_at };
    let mut transaction = keys.db.begin().await?;
    generate::insert(&mut transaction, &record).await?;
    db::insert_adoption(&mut transaction, &adoption).await?;
    let seen = json!({ "attributes": attributes, "enforcement": record.enforcement });
    keys.audit.result(&mut transaction, intent, Verdict::ok(seen)).await?;
    commit(transaction).await?;
    Ok(record)
}

/// How a key came into the inventory that another program made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Which object it is.
    pub key: AdoptedKey,
    /// What that said of itself then.
    pub attributes: ObjectAttributes,
    /// When.
    pub adopted_at: Timestamp,
}

/// The adoptions in this token.
///
/// # Errors
/// The inventory cannot be read.
pub async fn adoptions(db: &Database, token: &str) -> Result<Vec<AdoptedKey>, KeyError> {
    Ok(db::adoptions(db, token).await?)
}

/// How this key was adopted, if it was.
///
/// # Errors
/// The inventory cannot be read.
pub async fn adoption(keys: &Keys, key: &KeyRecord) -> Result<Option<AdoptionView>, KeyError> {
    if key.origin != Origin::Adopted {
        return Ok(None);
    }
    let found = db::adoption(&keys.db, key.id).await?;
    Ok(found.map(|found| AdoptionView {
        uri: uri(&key.token, found.key.cka_id, found.key.label),
        attributes: found.attributes,
        adopted_at: found.adopted_at,
    }))
}

/// The private key objects of a token, whoever made them, and which keys of the inventory they are.
///
/// # Errors
/// The token is away or locked.
pub async fn scan(keys: &Keys, token: &Token) -> Result<Vec<ObjectView>, KeyError> {
    let rows = db::in_token(&keys.db, token.label()).await?;
    let mut known = HashMap::with_capacity(rows.len());
    for row in rows {
        known.insert(row.public_key()?.der().to_vec(), row.label.to_string());
    }
    let view = |object: TokenObject| {
        Ok(ObjectView {
            uri: uri(token.label(), object.cka_id.clone(), object.label.clone()),
            label: String::from_utf8_lossy(&object.label).into_owned(),
            id: hex(&object.cka_id),
            algorithm: object.algorithm,
            public_key_pem: match object.public_key_der.is_empty() {
                true => None,
                false => Some(PublicKey::from_der(&object.public_key_der)?.to_pem()?),
            },
            attributes: object.attributes,
            key: known.get(&object.public_key_der).cloned(),
        })
    };
    let mut views = token.scan().await?.into_iter().map(view).collect::<Result<Vec<_>, KeyError>>()?;
    views.sort_by(|one, other| (&one.label, &one.id).cmp(&(&other.label, &other.id)));
    Ok(views)
}

/// An object that was chosen, and its public key.
struct Chosen {
    object: TokenObject,
    public_key: PublicKey,
    uri: String,
}

impl Chosen {
    fn adopted(&self, key: KeyId) -> AdoptedKey {
        AdoptedKey {
            key,
            cka_id: self.object.cka_id.clone(),
            label: self.object.label.clone(),
            public_key_der: self.public_key.der().to_vec(),
        }
    }

    fn refusal(&self, cause: &str) -> KeyError {
        KeyError::Unadoptable { uri: self.uri.clone(), cause: cause.to_owned() }
    }
}

/// RFC 7512 URI of an object of this token.
fn uri(token: &str, cka_id: Vec<u8>, label: Vec<u8>) -> String {
    ObjectUri { token: Some(token.to_owned()), serial: None, id: Some(cka_id), object: Some(label) }.to_string()
}

/// The token that the URI names by label or serial number; the instance's own if it names none.
async fn token_of<'a>(keys: &'a Keys, uri: &ObjectUri) -> Result<&'a Token, KeyError> {
    let token = uri.token.as_deref().map_or_else(|| Ok(keys.home()), |label| keys.token(label))?;
    let seen = token.describe().await?.serial;
    match &uri.serial {
        Some(wanted) if *wanted != seen => {
            Err(KeyError::SerialDiffers { token: token.label().to_owned(), wanted: wanted.clone(), seen })
        }
        _ => Ok(token),
    }
}

async fn choose(token: &Token, wanted: &ObjectUri, given: Option<&str>) -> Result<Chosen, KeyError> {
    let given = given.map(public_key).transpose()?;
    let may_be = |object: &TokenObject| {
        let told =
            given.as_ref().is_none_or(|key| object.public_key_der.is_empty() || object.public_key_der == key.der());
        wanted.matches(&object.cka_id, &object.label) && told
    };
    let mut found: Vec<TokenObject> = token.scan().await?.into_iter().filter(may_be).collect();
    if found.len() > 1 {
        let uris = found
            .iter()
            .map(|object| uri(token.label(), object.cka_id.clone(), object.label.clone()))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(KeyError::UriAmbiguous { count: found.len(), uris });
    }
    let missing = || KeyError::ObjectUnknown { uri: wanted.to_string(), token: token.label().to_owned() };
    let object = found.pop().ok_or_else(missing)?;
    let uri = uri(token.label(), object.cka_id.clone(), object.label.clone());
    let public_key = match (given, object.public_key_der.is_empty()) {
        (Some(given), _) => given,
        (None, true) => return Err(KeyError::PublicKeyUntold { uri }),
        (None, false) => PublicKey::from_der(&object.public_key_der)?,
    };
    Ok(Chosen { object, public_key, uri })
}

/// A PEM public key, or that of a PEM certificate.
fn public_key(pem: &str) -> Result<PublicKey, PkiError> {
    PublicKey::from_pem(pem).or_else(|error| match Certificate::from_pem(pem) {
        Ok(certificate) => Ok(certificate.public_key().clone()),
        Err(_) => Err(error),
    })
}

fn is_key(row: &KeyRecord, chosen: &Chosen) -> bool {
    row.public_key().is_ok_and(|key| key == chosen.public_key)
}

/// What the key is for. One that cannot sign can only be for secrets.
fn purpose(attributes: ObjectAttributes, wanted: Option<Purpose>) -> Result<Purpose, &'static str> {
    let natural = if attributes.signs { Purpose::Tls } else { Purpose::Secrets };
    match wanted.unwrap_or(natural) {
        purpose if purpose.is_internal() => Err("the purpose is one of keyward's own"),
        purpose if purpose.signs() && !attributes.signs => Err("CKA_SIGN is false: it can only be for `secrets`"),
        purpose if !purpose.signs() && attributes.signs => Err("CKA_SIGN is true: a key for `secrets` must not sign"),
        purpose => Ok(purpose),
    }
}

/// The policy that the attributes allow: what is not EXTRACTABLE is `token-only`; what is, and can be wrapped by the
/// KEKs of its token, is `backup-only` if nothing else is asked for.
fn policy(
    attributes: ObjectAttributes,
    wanted: Option<KeyPolicy>,
    wrappable: Wrappable,
) -> Result<KeyPolicy, &'static str> {
    if !attributes.sensitive {
        return Err("CKA_SENSITIVE is false: who holds the PIN reads its value in clear, whatever a policy says");
    }
    let can_be_wrapped = attributes.extractable && wrappable == Wrappable::Yes;
    let natural = if can_be_wrapped { KeyPolicy::BackupOnly } else { KeyPolicy::TokenOnly };
    match wanted.unwrap_or(natural) {
        KeyPolicy::TokenOnly => Ok(KeyPolicy::TokenOnly),
        _ if !attributes.extractable => Err("CKA_EXTRACTABLE is false: it can only be `token-only`"),
        _ if !can_be_wrapped => Err("no KEK of its token can wrap it: it can only be `token-only`"),
        KeyPolicy::Exportable if attributes.wrap_with_trusted => {
            Err("CKA_WRAP_WITH_TRUSTED is true: it can be backed up, not exported")
        }
        policy => Ok(policy),
    }
}

/// Whether the KEKs of a token can wrap keys of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrappable {
    No,
    Yes,
}

impl Wrappable {
    fn of(keys: &Keys, token: &Token, capabilities: &Capabilities, algorithm: KeyAlgorithm) -> Self {
        let is_home = token.label() == keys.home().label();
        let wraps = capabilities.algorithm(algorithm).is_some_and(|seen| seen.wrap);
        if is_home && wraps { Self::Yes } else { Self::No }
    }
}

/// Has the object sign a challenge. One that cannot sign is believed if the token itself tells its public key.
async fn prove(token: &Token, id: KeyId, chosen: &Chosen) -> Result<(), KeyError> {
    if !chosen.object.attributes.signs {
        return match chosen.object.public_key_der.is_empty() {
            true => Err(chosen.refusal("it cannot sign, so nothing proves that the given public key is its own")),
            false => Ok(()),
        };
    }
    let mut challenge = [0; 32];
    getrandom::fill(&mut challenge).map_err(|error| chosen.refusal(&error.to_string()))?;
    let algorithm = chosen.public_key.algorithm().default_signature();
    let input = algorithm.digest().map_or_else(|| challenge.to_vec(), |digest| signature::digest(digest, &challenge));
    let job = SignJob { key: id, public_key_sha256: chosen.public_key.sha256(), algorithm, inputs: vec![input] };
    let signature = token.sign("", job).await?.pop().unwrap_or_default();
    chosen.public_key.verify(algorithm, &challenge, &signature).map_err(|error| {
        let key = hex(&chosen.public_key.sha256());
        chosen.refusal(&format!("its signature does not verify by the public key with SHA-256 {key}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: ObjectAttributes = ObjectAttributes {
        sensitive: true,
        extractable: false,
        wrap_with_trusted: false,
        local: true,
        never_extractable: true,
        always_authenticate: false,
        signs: true,
    };

    #[test]
    fn what_cannot_be_wrapped_is_token_only_whatever_is_asked_for() {
        let open = ObjectAttributes { extractable: true, ..KEPT };

        assert_eq!(policy(KEPT, None, Wrappable::Yes), Ok(KeyPolicy::TokenOnly));
        assert_eq!(policy(open, None, Wrappable::No), Ok(KeyPolicy::TokenOnly));
        for wanted in [KeyPolicy::BackupOnly, KeyPolicy::Exportable] {
            assert!(policy(KEPT, Some(wanted), Wrappable::Yes).unwrap_err().contains("CKA_EXTRACTABLE"));
            assert!(policy(open, Some(wanted), Wrappable::No).unwrap_err().contains("no KEK"));
        }
    }

    #[test]
    fn what_can_be_wrapped_is_backup_only_unless_another_policy_is_asked_for() {
        let open = ObjectAttributes { extractable: true, ..KEPT };
        let trusted = ObjectAttributes { wrap_with_trusted: true, ..open };

        assert_eq!(policy(open, None, Wrappable::Yes), Ok(KeyPolicy::BackupOnly));
        assert_eq!(policy(open, Some(KeyPolicy::TokenOnly), Wrappable::Yes), Ok(KeyPolicy::TokenOnly));
        assert_eq!(policy(open, Some(KeyPolicy::Exportable), Wrappable::Yes), Ok(KeyPolicy::Exportable));
        assert_eq!(policy(trusted, None, Wrappable::Yes), Ok(KeyPolicy::BackupOnly));
        assert!(policy(trusted, Some(KeyPolicy::Exportable), Wrappable::Yes).unwrap_err().contains("WITH_TRUSTED"));
    }

    #[test]
    fn a_key_that_can_be_read_is_taken_under_no_policy() {
        let readable = ObjectAttributes { sensitive: false, ..KEPT };

        for wanted in [None, Some(KeyPolicy::TokenOnly), Some(KeyPolicy::Exportable)] {
            assert!(policy(readable, wanted, Wrappable::Yes).unwrap_err().contains("CKA_SENSITIVE"));
        }
    }

    #[test]
    fn a_purpose_must_fit_what_the_object_may_do() {
        let mute = ObjectAttributes { signs: false, ..KEPT };

        assert_eq!(purpose(KEPT, None), Ok(Purpose::Tls));
        assert_eq!(purpose(mute, None), Ok(Purpose::Secrets));
        assert_eq!(purpose(KEPT, Some(Purpose::Signing)), Ok(Purpose::Signing));
        assert!(purpose(mute, Some(Purpose::Signing)).is_err());
        assert!(purpose(KEPT, Some(Purpose::Secrets)).is_err());
        assert!(purpose(KEPT, Some(Purpose::Audit)).is_err());
    }
}
