//! `key generate`: a key pair is made in the token and stays there.

use super::{
    KeyError, KeyRecord, Keys,
    api::{GenerateRequest, PivRequest},
    db, keks,
    record::{enforcement, object},
    slots,
};
use crate::access::require;
use crate::audit::{Intent, Verdict};
use crate::base::{
    algorithm::KeyAlgorithm,
    custody::{KeyPolicy, KeyState, Origin, Posture, Presence, Purpose},
    ids::{KeyId, KeyLabel, KeySelector},
    piv::SlotPlan,
    principal::{Caller, Role},
    time::Timestamp,
};
use crate::db::{Transaction, commit};
use crate::pki::public_key::PublicKey;
use crate::token::{Token, api::Capabilities, message::NewKey};
use serde_json::json;

/// What is to be made, checked.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Unique name.
    pub label: KeyLabel,
    /// Type and size.
    pub algorithm: KeyAlgorithm,
    /// What may leave.
    pub policy: KeyPolicy,
    /// What it is for.
    pub purpose: Purpose,
    /// Approvals that an export needs.
    pub approvals: u32,
    /// Free text.
    pub comment: String,
    /// Label of the token to make it in; none for the instance's own.
    pub token: Option<String>,
    /// Where in that token, if it is a `YubiKey`.
    pub piv: Option<PivRequest>,
}

impl KeySpec {
    /// The token to make the key in.
    fn token<'a>(&self, keys: &'a Keys) -> Result<&'a Token, KeyError> {
        self.token.as_deref().map_or_else(|| Ok(keys.home()), |label| keys.token(label))
    }

    /// Checks a request and fills in the defaults of the posture.
    ///
    /// # Errors
    /// A bad label, an internal purpose, or a long comment.
    pub fn new(request: GenerateRequest, posture: Posture) -> Result<Self, KeyError> {
        let label = checked_label(&request.label, &request.comment)?;
        let purpose = request.purpose.unwrap_or(Purpose::Tls);
        if purpose.is_internal() {
            return Err(KeyError::Internal { key: label, purpose });
        }
        Ok(Self {
            label,
            algorithm: request.algorithm,
            policy: request.policy.unwrap_or(KeyPolicy::BackupOnly),
            purpose,
            approvals: request.approvals.unwrap_or_else(|| default_approvals(posture)),
            comment: request.comment,
            token: request.token,
            piv: request.piv,
        })
    }
}

/// A label that may be used, for a key with this comment.
pub(super) fn checked_label(label: &str, comment: &str) -> Result<KeyLabel, KeyError> {
    let checked = label.parse().map_err(|cause| KeyError::LabelMalformed { label: label.to_owned(), cause })?;
    match comment.chars().count() {
        0..=1_024 => Ok(checked),
        characters => Err(KeyError::CommentTooLong { characters }),
    }
}

/// Approvals that an export needs if nothing is said.
pub(super) const fn default_approvals(posture: Posture) -> u32 {
    match posture {
        Posture::Production => 1,
        Posture::Rig => 0,
    }
}

/// Makes a key pair and takes it into the inventory.
///
/// # Errors
/// The label is taken, the token cannot make or wrap such a key, or there is no KEK for its policy:
/// then nothing was made. After a lost worker the pair is removed again, now or at the next start.
pub async fn generate(keys: &Keys, caller: &Caller, request: GenerateRequest) -> Result<KeyRecord, KeyError> {
    require(caller, &[Role::Operator])?;
    make(keys, caller, KeySpec::new(request, keys.posture)?).await
}

/// Makes a key pair from a checked specification, also for keyward's own keys.
///
/// # Errors
/// As [`generate`].
pub async fn make(keys: &Keys, caller: &Caller, spec: KeySpec) -> Result<KeyRecord, KeyError> {
    if db::find(&keys.db, &KeySelector::Label(spec.label.to_string())).await?.is_some() {
        return Err(KeyError::LabelTaken { label: spec.label });
    }
    make_new(keys, caller, spec, None).await
}

/// Makes a key pair that takes the label of a former one over, whose row goes as the new one comes. For a key of
/// keyward's own whose objects the token has lost.
///
/// # Errors
/// As [`generate`]; the former row stays then.
pub async fn make_in_place_of(
    keys: &Keys,
    caller: &Caller,
    former: KeyId,
    spec: KeySpec,
) -> Result<KeyRecord, KeyError> {
    make_new(keys, caller, spec, Some(former)).await
}

async fn make_new(keys: &Keys, caller: &Caller, spec: KeySpec, former: Option<KeyId>) -> Result<KeyRecord, KeyError> {
    let token = spec.token(keys)?;
    check_capability(keys, token, &spec).await?;
    let plan = slots::plan(token, spec.purpose, spec.piv.as_ref())?;
    let trusted_kek = match spec.policy.kek() {
        Some(purpose) => keks::current(keys, purpose).await?.trusted,
        None => false,
    };
    let id = KeyId::new();
    let (policy, purpose) = (spec.policy, spec.purpose);
    let mut detail =
        json!({ "algorithm": spec.algorithm, "policy": policy, "purpose": purpose, "token": token.label() });
    if let Some(plan) = &plan {
        detail["piv"] = json!(plan);
    }
    let intent = keys.audit.intent(caller, "key.generate", &object(id, &spec.label), detail).await?;
    match make_in_token(token, (&new_key(id, &spec, trusted_kek), plan), &spec, keys.clock.now()).await {
        Ok(record) => match record_made(keys, &intent, (&record, plan), former).await {
            Ok(()) => {
                if plan.is_some() {
                    note_attestation(keys, token, &record).await;
                }
                Ok(record)
            }
            Err(error @ KeyError::LabelTaken { .. }) => {
                settle_failure((keys, token), &intent, id, &error).await?;
                Err(error)
            }
            // The intent stays open, and recovery finds the pair by it.
            Err(error) => Err(error),
        },
        Err(error) => {
            settle_failure((keys, token), &intent, id, &error).await?;
            Err(error)
        }
    }
}

fn new_key(id: KeyId, spec: &KeySpec, trusted_kek: bool) -> NewKey {
    NewKey {
        id,
        label: spec.label.clone(),
        algorithm: spec.algorithm,
        policy: spec.policy,
        purpose: spec.purpose,
        trusted_kek,
    }
}

async fn make_in_token(
    token: &Token,
    (new_key, plan): (&NewKey, Option<SlotPlan>),
    spec: &KeySpec,
    now: Timestamp,
) -> Result<KeyRecord, KeyError> {
    let capabilities = token.capabilities().await?;
    let made = match plan {
        Some(plan) => token.generate_in_slot(new_key.clone(), plan).await?,
        None => token.generate(new_key.clone()).await?,
    };
    Ok(KeyRecord {
        id: new_key.id,
        label: spec.label.clone(),
        algorithm: spec.algorithm,
        policy: spec.policy,
        enforcement: enforcement(spec.policy, &made, &capabilities),
        purpose: spec.purpose,
        approvals: spec.approvals,
        origin: Origin::Generated,
        state: KeyState::Active,
        presence: Presence::Present,
        token: token.label().to_owned(),
        public_key_pem: PublicKey::from_der(&made.public_key_der)?.to_pem()?,
        comment: spec.comment.clone(),
        created_at: now,
    })
}

/// Has the device attest a key that came into the inventory just now; the key is there also if it does not, and can be asked again.
pub(super) async fn note_attestation(keys: &Keys, token: &Token, key: &KeyRecord) {
    if let Err(error) = slots::attest::fetch(keys, token, key).await {
        tracing::warn!(key.id = %key.id, %error, "the device has not attested the new key");
    }
}

async fn record_made(
    keys: &Keys,
    intent: &Intent,
    (record, plan): (&KeyRecord, Option<SlotPlan>),
    former: Option<KeyId>,
) -> Result<(), KeyError> {
    let _change = former.map(|former| keys.index.change(former));
    let mut transaction = keys.db.begin().await?;
    if let Some(former) = former {
        db::forget(&mut transaction, former).await?;
    }
    insert(&mut transaction, record).await?;
    if let Some(plan) = &plan {
        slots::db::place(&mut transaction, record.id, plan).await?;
    }
    let detail = json!({ "enforcement": record.enforcement });
    keys.audit.result(&mut transaction, intent, Verdict::ok(detail)).await?;
    Ok(commit(transaction).await?)
}

/// Takes the key into the inventory, unless another request took the label since it was looked for.
pub(super) async fn insert(transaction: &mut Transaction, record: &KeyRecord) -> Result<(), KeyError> {
    let taken = || KeyError::LabelTaken { label: record.label.clone() };
    let inserted = db::insert(transaction, record).await;
    inserted.map_err(|error| if error.is_taken() { taken() } else { error.into() })
}

/// After a failure nothing of the key may stay; if that cannot be seen to now, the intent stays open for recovery.
async fn settle_failure(
    (keys, token): (&Keys, &Token),
    intent: &Intent,
    id: KeyId,
    error: &KeyError,
) -> Result<(), KeyError> {
    // Whatever else was answered, a pair or half of one may be there.
    let may_be_there = !matches!(error, KeyError::Token(cause) if cause.is_before_the_token());
    if may_be_there && token.destroy(id).await.is_err() {
        return Ok(());
    }
    keys.audit.conclude(intent, Verdict::of_fault(error, json!({}))).await?;
    Ok(())
}

async fn check_capability(keys: &Keys, token: &Token, spec: &KeySpec) -> Result<(), KeyError> {
    let capabilities = token.capabilities().await?;
    let label = token.label();
    if spec.policy.kek().is_some() && label != keys.home().label() {
        let (token, home) = (label.to_owned(), keys.home().label().to_owned());
        return Err(KeyError::KekElsewhere { token, home, policy: spec.policy });
    }
    let token = label.to_owned();
    let seen = capabilities.algorithm(spec.algorithm);
    let cause = seen.and_then(|seen| seen.cause.clone()).unwrap_or_else(|| "not tried".to_owned());
    if !seen.is_some_and(|seen| seen.sign) {
        return Err(KeyError::Unmakeable { token, algorithm: spec.algorithm, cause });
    }
    if spec.policy.kek().is_some() && !seen.is_some_and(|seen| seen.wrap) {
        return Err(KeyError::Unwrappable { token, algorithm: spec.algorithm, policy: spec.policy, cause });
    }
    if spec.policy == KeyPolicy::TokenOnly && lets_everything_out(&capabilities) && !spec.purpose.is_internal() {
        return Err(KeyError::Unenforceable { token, policy: spec.policy });
    }
    Ok(())
}

/// Whether the token was not seen to keep a key in that is not EXTRACTABLE. One that wraps nothing at all has no way
/// out to be tried; its keys are recorded as kept in by keyward. Keys of keyward's own have to be somewhere.
fn lets_everything_out(token: &Capabilities) -> bool {
    token.wraps_keys && !token.honours_extractable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::custody::Enforcement;
    use crate::db::Database;

    fn request(label: &str) -> GenerateRequest {
        GenerateRequest {
            label: label.to_owned(),
            algorithm: KeyAlgorithm::P256,
            policy: None,
            purpose: None,
            approvals: None,
            comment: String::new(),
            token: None,
            piv: None,
        }
    }

    #[test]
    fn defaults_follow_the_posture() {
        let rig = KeySpec::new(request("web"), Posture::Rig).unwrap();
        let production = KeySpec::new(request("web"), Posture::Production).unwrap();

        assert_eq!((rig.policy, rig.purpose, rig.approvals), (KeyPolicy::BackupOnly, Purpose::Tls, 0));
        assert_eq!(production.approvals, 1);
    }

    #[test]
    fn only_a_token_that_wraps_what_is_not_extractable_lets_everything_out() {
        let wraps = Capabilities { wraps_keys: true, ..Capabilities::default() };

        assert!(lets_everything_out(&wraps));
        assert!(!lets_everything_out(&Capabilities { honours_extractable: true, ..wraps }));
        assert!(!lets_everything_out(&Capabilities::default()));
    }

    #[test]
    fn a_caller_cannot_make_one_of_keywards_own_keys() {
        let ca = GenerateRequest { purpose: Some(Purpose::Ca), ..request("web") };

        assert!(matches!(KeySpec::new(ca, Posture::Rig), Err(KeyError::Internal { .. })));
        assert!(matches!(KeySpec::new(request("keyward-ca"), Posture::Rig), Err(KeyError::LabelMalformed { .. })));
    }

    #[tokio::test]
    async fn a_label_that_was_taken_meanwhile_is_answered_as_taken() {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(&directory.path().join("keyward.db")).await.unwrap();
        let record = || KeyRecord {
            id: KeyId::new(),
            label: "web".parse().unwrap(),
            algorithm: KeyAlgorithm::P256,
            policy: KeyPolicy::TokenOnly,
            enforcement: Enforcement::Token,
            purpose: Purpose::Tls,
            approvals: 0,
            origin: Origin::Generated,
            state: KeyState::Active,
            presence: Presence::Present,
            token: "t".to_owned(),
            public_key_pem: String::new(),
            comment: String::new(),
            created_at: Timestamp::from_millis(0),
        };
        let mut transaction = db.begin().await.unwrap();

        insert(&mut transaction, &record()).await.unwrap();
        let second = insert(&mut transaction, &record()).await;

        assert!(matches!(second, Err(KeyError::LabelTaken { label }) if label.as_str() == "web"));
    }
}
