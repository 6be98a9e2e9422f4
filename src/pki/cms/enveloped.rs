//! `AuthEnvelopedData` (RFC 5083) with AES-256-GCM (RFC 5084) and one KEK recipient (RFC 5652, section 6.2.3).
//!
//! The content key is wrapped under the KEK by whoever has the KEK, in the end a token; here it is only
//! carried. `openssl cms -decrypt -secretkey KEK -secretkeyid ID` opens the file without keyward.

use super::{PkiError, malformed, not_encoded, pack, unpack};
use crate::pki::key_wrap::WRAPPED_CONTENT_KEY_BYTES;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use cms::{
    content_info::CmsVersion,
    enveloped_data::{EncryptedContentInfo, KekIdentifier, KekRecipientInfo, RecipientInfo},
};
use const_oid::db::{rfc5911, rfc6268::ID_CT_AUTH_ENVELOPED_DATA};
use der::{
    Decode, Encode, Sequence, Tag, Tagged,
    asn1::{Any, OctetString},
};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

/// For whom a file is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KekRecipient {
    /// Id of the KEK, the 16 bytes of its UUID.
    pub kek_id: [u8; 16],
    /// The content key, wrapped under that KEK (RFC 3394).
    pub wrapped: [u8; WRAPPED_CONTENT_KEY_BYTES],
}

/// Seals the content under a fresh content key, and puts that key, already wrapped, beside it.
///
/// A content key seals one file only: the nonce is random.
///
/// # Errors
/// [`PkiError::Encoding`] if the wrapped key is not one of RFC 3394 for 32 bytes, or nothing random is to be had.
pub fn seal(
    content: &[u8],
    kek_id: &[u8; 16],
    wrapped_content_key: &[u8],
    content_key: &[u8; 32],
) -> Result<Vec<u8>, PkiError> {
    let recipient = kek_recipient(kek_id, wrapped_content_key)?.to_der().map_err(not_encoded)?;
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(not_encoded)?;
    let mut sealed = content.to_vec();
    let tag = Aes256Gcm::new(content_key.into())
        .encrypt_inout_detached(&nonce.into(), NO_ASSOCIATED_DATA, sealed.as_mut_slice().into())
        .map_err(not_encoded)?;
    let enveloped = AuthEnveloped {
        version: CmsVersion::V0,
        recipients: Any::new(Tag::Set, recipient).map_err(not_encoded)?,
        content: encrypted_content(&nonce, sealed)?,
        mac: OctetString::new(tag.as_slice()).map_err(not_encoded)?,
    };
    pack(ID_CT_AUTH_ENVELOPED_DATA, &enveloped)
}

/// Reads for which KEK the file is sealed, and the content key that this KEK opens.
///
/// # Errors
/// [`PkiError::CmsMalformed`] if it is another structure, or has not exactly one recipient of this kind.
pub fn recipient(cms: &[u8]) -> Result<KekRecipient, PkiError> {
    let RecipientInfo::Kekri(kek) = parse(cms)?.recipient()? else {
        return Err(malformed("its recipient is not a KEK"));
    };
    if kek.key_enc_alg.oid != rfc5911::ID_AES_256_WRAP {
        return Err(malformed(format!("its content key is wrapped with {}", kek.key_enc_alg.oid)));
    }
    Ok(KekRecipient {
        kek_id: sized(kek.kek_id.kek_identifier.as_bytes(), "KEK id")?,
        wrapped: sized(kek.encrypted_key.as_bytes(), "wrapped content key")?,
    })
}

/// Opens the file with its content key.
///
/// # Errors
/// [`PkiError::CmsMalformed`] if it is another structure, [`PkiError::CmsRefused`] if the content key is
/// another one or the file was changed.
pub fn open(cms: &[u8], content_key: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, PkiError> {
    let enveloped = parse(cms)?;
    let nonce = nonce(&enveloped.content.content_enc_alg)?;
    let tag: [u8; TAG_BYTES as usize] = sized(enveloped.mac.as_bytes(), "authentication tag")?;
    let sealed = enveloped.content.encrypted_content.ok_or_else(|| malformed("it has no content"))?;
    let mut content = Zeroizing::new(sealed.into_bytes().into_vec());
    Aes256Gcm::new(content_key.into())
        .decrypt_inout_detached(&nonce.into(), NO_ASSOCIATED_DATA, content.as_mut_slice().into(), &tag.into())
        .map_err(|_| PkiError::CmsRefused {
            action: "open",
            cause: "the authentication tag does not fit".to_owned(),
        })?;
    Ok(content)
}

/// RFC 5083, section 2.1, without the optional parts: neither originator nor attributes.
#[derive(Sequence)]
struct AuthEnveloped {
    version: CmsVersion,
    /// `SET OF RecipientInfo` with one element; sorting a hostile set of many would take minutes.
    recipients: Any,
    content: EncryptedContentInfo,
    mac: OctetString,
}

impl AuthEnveloped {
    fn recipient(&self) -> Result<RecipientInfo, PkiError> {
        if self.recipients.tag() != Tag::Set {
            return Err(malformed("its recipients are not a SET"));
        }
        RecipientInfo::from_der(self.recipients.value()).map_err(malformed)
    }
}

/// RFC 5084, section 3.2.
#[derive(Sequence)]
struct GcmParameters {
    nonce: OctetString,
    #[asn1(default = "default_tag_bytes")]
    tag_bytes: u8,
}

fn default_tag_bytes() -> u8 {
    12
}

fn parse(cms: &[u8]) -> Result<AuthEnveloped, PkiError> {
    unpack(cms, ID_CT_AUTH_ENVELOPED_DATA)?.decode_as().map_err(malformed)
}

fn nonce(algorithm: &AlgorithmIdentifierOwned) -> Result<[u8; NONCE_BYTES], PkiError> {
    if algorithm.oid != rfc5911::ID_AES_256_GCM {
        return Err(malformed(format!("it is encrypted with {}, not AES-256-GCM", algorithm.oid)));
    }
    let parameters = algorithm.parameters.as_ref().ok_or_else(|| malformed("it has no GCM parameters"))?;
    let parameters: GcmParameters = parameters.decode_as().map_err(malformed)?;
    if parameters.tag_bytes != TAG_BYTES {
        return Err(malformed(format!("its authentication tag has {} bytes", parameters.tag_bytes)));
    }
    sized(parameters.nonce.as_bytes(), "nonce")
}

fn kek_recipient(kek_id: &[u8; 16], wrapped: &[u8]) -> Result<RecipientInfo, PkiError> {
    if wrapped.len() != WRAPPED_CONTENT_KEY_BYTES {
        return Err(not_encoded(format!("the wrapped content key has {} bytes", wrapped.len())));
    }
    Ok(RecipientInfo::Kekri(KekRecipientInfo {
        version: CmsVersion::V4,
        kek_id: KekIdentifier {
            kek_identifier: OctetString::new(&kek_id[..]).map_err(not_encoded)?,
            date: None,
            other: None,
        },
        key_enc_alg: AlgorithmIdentifierOwned { oid: rfc5911::ID_AES_256_WRAP, parameters: None },
        encrypted_key: OctetString::new(wrapped).map_err(not_encoded)?,
    }))
}

fn encrypted_content(nonce: &[u8; NONCE_BYTES], sealed: Vec<u8>) -> Result<EncryptedContentInfo, PkiError> {
    let parameters = GcmParameters { nonce: OctetString::new(&nonce[..]).map_err(not_encoded)?, tag_bytes: TAG_BYTES };
    Ok(EncryptedContentInfo {
        content_type: rfc5911::ID_DATA,
        content_enc_alg: AlgorithmIdentifierOwned {
            oid: rfc5911::ID_AES_256_GCM,
            parameters: Some(Any::encode_from(&parameters).map_err(not_encoded)?),
        },
        encrypted_content: Some(OctetString::new(sealed).map_err(not_encoded)?),
    })
}

fn sized<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], PkiError> {
    bytes.try_into().map_err(|_| malformed(format!("its {what} has {} bytes, not {N}", bytes.len())))
}

/// There are no authenticated attributes: content of type data needs none (RFC 5083, section 2.1).
const NO_ASSOCIATED_DATA: &[u8] = &[];

/// RFC 5084, section 3.2: 12 is recommended.
const NONCE_BYTES: usize = 12;

/// The full length; openssl writes the same.
const TAG_BYTES: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::key_wrap;
    use proptest::prelude::*;
    use std::{fs, path::Path, process::Command};

    const KEK: [u8; 32] = [0x4b; 32];
    const KEK_HEX: &str = "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b";
    const KEK_ID: [u8; 16] = *b"\x01\x98keyward-kek-1\x00";
    const KEK_ID_HEX: &str = "01986b6579776172642d6b656b2d3100";
    const CONTENT_KEY: [u8; 32] = [0xc0; 32];

    fn sealed(content: &[u8]) -> Vec<u8> {
        let wrapped = key_wrap::wrap_content_key(&KEK, &CONTENT_KEY).unwrap();
        seal(content, &KEK_ID, &wrapped, &CONTENT_KEY).unwrap()
    }

    fn openssl(dir: &Path, args: &[&str]) -> bool {
        let output = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
        output.status.success()
    }

    #[test]
    fn openssl_opens_the_file_with_the_kek_alone() {
        for length in [1, 15, 16, 4_096, 1_000_000] {
            let dir = tempfile::tempdir().unwrap();
            let content = vec![b'x'; length];
            fs::write(dir.path().join("inventory.cms"), sealed(&content)).unwrap();
            let decrypt = ["cms", "-decrypt", "-inform", "DER", "-in", "inventory.cms", "-out", "inventory.json"];

            assert!(openssl(
                dir.path(),
                &[&decrypt[..], &["-secretkey", KEK_HEX, "-secretkeyid", KEK_ID_HEX]].concat()
            ));

            assert_eq!(fs::read(dir.path().join("inventory.json")).unwrap(), content, "{length} bytes");
        }
    }

    #[test]
    fn a_file_that_openssl_sealed_opens() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("in"), b"inventory").unwrap();
        let encrypt = ["cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER", "-in", "in", "-out", "out"];
        assert!(openssl(dir.path(), &[&encrypt[..], &["-secretkey", KEK_HEX, "-secretkeyid", KEK_ID_HEX]].concat()));
        let cms = fs::read(dir.path().join("out")).unwrap();

        let recipient = recipient(&cms).unwrap();

        assert_eq!(recipient.kek_id, KEK_ID);
        let content_key = key_wrap::open_content_key(&KEK, &recipient.wrapped).unwrap();
        assert_eq!(*open(&cms, &content_key).unwrap(), b"inventory");
    }

    #[test]
    fn the_recipient_is_the_kek_and_the_key_that_were_given() {
        let cms = sealed(b"inventory");

        let recipient = recipient(&cms).unwrap();

        assert_eq!(recipient.kek_id, KEK_ID);
        assert_eq!(recipient.wrapped, key_wrap::wrap_content_key(&KEK, &CONTENT_KEY).unwrap());
        assert_eq!(*open(&cms, &CONTENT_KEY).unwrap(), b"inventory");
    }

    #[test]
    fn another_content_key_opens_nothing() {
        let refused = open(&sealed(b"inventory"), &[1; 32]);

        assert!(matches!(refused, Err(PkiError::CmsRefused { action: "open", .. })));
    }

    #[test]
    fn the_same_content_is_never_sealed_the_same_way_twice() {
        assert_ne!(sealed(b"inventory"), sealed(b"inventory"));
    }

    #[test]
    fn a_content_key_that_is_not_wrapped_is_not_written() {
        let refused = seal(b"inventory", &KEK_ID, &CONTENT_KEY, &CONTENT_KEY);

        assert!(matches!(refused, Err(PkiError::Encoding { .. })));
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_opens_as_another_content(at: usize, flip in 1..=255u8) {
            let mut cms = sealed(b"inventory");
            let at = at % cms.len();

            cms[at] ^= flip;

            let _ = recipient(&cms);
            if let Ok(content) = open(&cms, &CONTENT_KEY) {
                prop_assert_eq!(&*content, b"inventory");
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(recipient(&bytes).is_err());
            prop_assert!(open(&bytes, &CONTENT_KEY).is_err());
        }
    }
}
