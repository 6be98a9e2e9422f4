//! `key sign`: signatures by a key in the token, recorded before they are given out.

use super::{
    KeyError, Keys,
    api::{MOST_INPUTS, SignAnswer, SignRequest},
    index::{KeyForUse, find_for_use},
};
use crate::access::require;
use crate::audit::SignatureRecord;
use crate::base::{
    algorithm::SignatureAlgorithm,
    custody::KeyState,
    ids::KeySelector,
    principal::{Caller, Role},
};
use crate::pki::signature::digest as digest_of;
use crate::token::message::SignJob;
use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Signs 1 to 64 digests or messages.
///
/// # Errors
/// The key is unknown, internal, not active, not for signing or of another family; an input has the
/// wrong shape; the token is busy or away; or the record cannot be written, and then no signature leaves.
pub async fn sign(
    keys: &Keys,
    caller: &Caller,
    selector: &KeySelector,
    request: SignRequest,
) -> Result<SignAnswer, KeyError> {
    require(caller, &[Role::Operator, Role::Signer])?;
    let key = find_for_use(keys, caller, selector).await?;
    let algorithm = request.algorithm.unwrap_or_else(|| key.algorithm.default_signature());
    check_use(&key, algorithm)?;
    let inputs = inputs(&key, algorithm, &request)?;
    let record = SignatureRecord {
        event: "key.sign",
        object: Arc::clone(&key.object),
        algorithm: algorithm.as_str(),
        count: inputs.len(),
        digests_sha256: hash_all(&inputs),
    };
    let job = SignJob { key: key.id, public_key_sha256: key.public_key_sha256, algorithm, inputs };
    let signatures = keys.token(&key.token)?.sign(&caller.principal().id, job).await?;
    keys.audit.signed(caller, &record)?;
    let signatures = signatures.iter().map(|signature| Base64::encode_string(signature)).collect();
    Ok(SignAnswer { key: key.id, algorithm, signatures })
}

/// Whether this key may make such a signature for a caller.
///
/// # Errors
/// It is internal, not active, not for signing, or of another family.
pub fn check_use(key: &KeyForUse, algorithm: SignatureAlgorithm) -> Result<(), KeyError> {
    let label = || key.label.clone();
    if key.purpose.is_internal() {
        return Err(KeyError::Internal { key: label(), purpose: key.purpose });
    }
    if key.state != KeyState::Active {
        return Err(KeyError::StateExcludes { key: label(), state: key.state });
    }
    if !key.purpose.signs() {
        return Err(KeyError::PurposeExcludes { key: label(), purpose: key.purpose });
    }
    if !key.algorithm.can_sign(algorithm) {
        return Err(KeyError::AlgorithmMismatch { key: label(), algorithm: key.algorithm, signature: algorithm });
    }
    Ok(())
}

fn inputs(key: &KeyForUse, algorithm: SignatureAlgorithm, request: &SignRequest) -> Result<Vec<Vec<u8>>, KeyError> {
    let (digests, messages) = (request.digests.len(), request.messages.len());
    if (digests == 0) == (messages == 0) || digests > MOST_INPUTS || messages > MOST_INPUTS {
        return Err(KeyError::WrongCount { digests, messages });
    }
    let given = if digests > 0 { &request.digests } else { &request.messages };
    let malformed =
        |index: usize, cause: String| KeyError::InputMalformed { key: key.label.clone(), position: index + 1, cause };
    let mut inputs = Vec::with_capacity(given.len());
    let mut whole_messages = 0;
    for (index, text) in given.iter().enumerate() {
        let bytes = Base64::decode_vec(text).map_err(|_| malformed(index, "it is not base64".to_owned()))?;
        inputs.push(match (algorithm.digest(), digests > 0) {
            (Some(digest), true) if bytes.len() != digest.length_bytes() => {
                let (has, wants) = (bytes.len(), digest.length_bytes());
                return Err(malformed(index, format!("a {digest} digest has {wants} bytes, this one {has}")));
            }
            (None, true) => return Err(malformed(index, "Ed25519 signs messages, not digests".to_owned())),
            (Some(digest), false) => digest_of(digest, &bytes),
            (None, false) => {
                whole_messages += bytes.len();
                if whole_messages > MOST_BYTES {
                    let limit =
                        format!("Ed25519 signs messages, not digests, and {MOST_BYTES} bytes of them a request");
                    return Err(malformed(index, limit));
                }
                bytes
            }
            (Some(_), true) => bytes,
        });
    }
    Ok(inputs)
}

fn hash_all(inputs: &[Vec<u8>]) -> [u8; 32] {
    let mut all = Sha256::new();
    for input in inputs {
        all.update(input);
    }
    all.finalize().into()
}

/// Bytes of messages that go to the token as they are: they have to fit into one frame.
const MOST_BYTES: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::ObjectRef;
    use crate::base::{algorithm::KeyAlgorithm, custody::Purpose, ids::KeyId};

    fn key(algorithm: KeyAlgorithm) -> KeyForUse {
        let id = KeyId::new();
        KeyForUse {
            id,
            label: "web".parse().unwrap(),
            algorithm,
            purpose: Purpose::Signing,
            state: KeyState::Active,
            public_key_sha256: [7; 32],
            token: "rig".into(),
            object: ObjectRef::new("key", id, "web").into(),
        }
    }

    fn messages(sizes: &[usize]) -> SignRequest {
        let messages = sizes.iter().map(|size| Base64::encode_string(&vec![7; *size])).collect();
        SignRequest { algorithm: None, digests: Vec::new(), messages }
    }

    #[test]
    fn ed25519_takes_1_000_000_bytes_a_request_and_says_so() {
        let key = key(KeyAlgorithm::Ed25519);

        assert!(inputs(&key, SignatureAlgorithm::Ed25519, &messages(&[500_000, 500_000])).is_ok());
        let error = inputs(&key, SignatureAlgorithm::Ed25519, &messages(&[500_000, 500_001])).unwrap_err();

        assert!(matches!(error, KeyError::InputMalformed { position: 2, .. }));
        assert!(error.to_string().contains("1000000 bytes of them a request"), "{error}");
    }

    #[test]
    fn a_message_that_is_hashed_may_be_longer() {
        let key = key(KeyAlgorithm::P256);

        let inputs = inputs(&key, SignatureAlgorithm::EcdsaSha256, &messages(&[1_000_001])).unwrap();

        assert_eq!(inputs[0].len(), 32);
    }
}
