//! Keys of TLS listeners: made in software, since a handshake must not wait for a token.

use super::{PkiError, error::encoding, public_key::PublicKey};
use crate::base::secret::Secret;
use rcgen::{KeyPair, PublicKeyData as _};

/// A new P-256 key: PEM PKCS#8, and its public key.
///
/// # Errors
/// There is no randomness.
pub fn generate() -> Result<(Secret, PublicKey), PkiError> {
    let key = KeyPair::generate().map_err(|cause| encoding("TLS key", cause))?;
    let public = PublicKey::from_der(&key.subject_public_key_info())?;
    Ok((Secret::new(key.serialize_pem().into_bytes()), public))
}

/// The public key of such a key.
///
/// # Errors
/// It is no PEM PKCS#8 of a kind that TLS uses.
pub fn public_key(key: &Secret) -> Result<PublicKey, PkiError> {
    let text = std::str::from_utf8(key.expose()).map_err(|cause| encoding("TLS key", cause))?;
    let key = KeyPair::from_pem(text).map_err(|cause| encoding("TLS key", cause))?;
    PublicKey::from_der(&key.subject_public_key_info())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_back_with_its_public_key_and_is_another_each_time() {
        let (key, public) = generate().unwrap();

        assert_eq!(public_key(&key).unwrap(), public);
        assert_ne!(generate().unwrap().1, public);
    }
}
