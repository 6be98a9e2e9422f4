//! Signing a content that stays outside.
//!
//! `openssl cms -verify -binary -inform DER -content FILE -CAfile root.pem` checks it without keyward.

use super::{
    PkiError, not_encoded, pack, refused,
    signed::{SignedData, digest, digest_algorithm, digest_oid, issuer_and_serial, public_key},
};
use crate::base::{algorithm::SignatureAlgorithm, signing::Signer, time::Timestamp};
use crate::pki::{
    public_key::PublicKey,
    signature::{certificate_signature, signature_identifier},
};
use cms::{
    content_info::CmsVersion,
    signed_data::{EncapsulatedContentInfo, SignedAttributes, SignerIdentifier, SignerInfo, SignerInfos},
};
use const_oid::db::rfc5911;
use der::{
    Decode, Encode, Tag,
    asn1::{Any, GeneralizedTime, ObjectIdentifier, OctetString, SetOfVec, UtcTime},
};
use spki::AlgorithmIdentifierOwned;
use std::time::Duration;
use x509_cert::{Certificate, attr::Attribute};

/// Signs the content, which stays outside; the chain goes in, the signer's certificate first.
///
/// # Errors
/// [`PkiError::ChainBroken`] if the first certificate is not that of the signing key,
/// [`PkiError::Signer`] if the key does not sign, [`PkiError::CmsRefused`] if its signature does not hold.
pub async fn sign_detached(
    content: &[u8],
    chain: &[Vec<u8>],
    signing_time: Timestamp,
    signer: &dyn Signer,
) -> Result<Vec<u8>, PkiError> {
    let certificate = signer_certificate(chain, signer)?;
    let algorithm = signer.algorithm();
    let attributes = signed_attributes(&digest(digest_algorithm(algorithm), content), signing_time)?;
    // RFC 5652, section 5.4: what is signed has the tag of a SET, not the [0] of its place.
    let message = attributes.to_der().map_err(not_encoded)?;
    let signature = signer.sign(&message).await?;
    PublicKey::from_der(signer.public_key_der())?.verify(algorithm, &message, &signature).map_err(refused)?;
    let signer_info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial(&certificate)),
        digest_alg: digest_identifier(algorithm),
        signed_attrs: Some(attributes),
        signature_algorithm: signature_identifier(algorithm)?,
        signature: OctetString::new(certificate_signature(algorithm, signature)?).map_err(not_encoded)?,
        unsigned_attrs: None,
    };
    pack(rfc5911::ID_SIGNED_DATA, &signed_data(chain, signer_info)?)
}

fn signer_certificate(chain: &[Vec<u8>], signer: &dyn Signer) -> Result<Certificate, PkiError> {
    let first = chain.first().map_or(&[][..], Vec::as_slice);
    let certificate =
        Certificate::from_der(first).map_err(|error| PkiError::CertificateMalformed { cause: error.to_string() })?;
    if public_key(&certificate)? != PublicKey::from_der(signer.public_key_der())? {
        let cause = "the first certificate is not that of the signing key".to_owned();
        return Err(PkiError::ChainBroken { cause });
    }
    Ok(certificate)
}

fn signed_attributes(content_digest: &[u8], signing_time: Timestamp) -> Result<SignedAttributes, PkiError> {
    let attributes = [
        (rfc5911::ID_CONTENT_TYPE, Any::from(&rfc5911::ID_DATA)),
        (rfc5911::ID_MESSAGE_DIGEST, Any::new(Tag::OctetString, content_digest).map_err(not_encoded)?),
        (rfc5911::ID_SIGNING_TIME, time_value(signing_time)?),
    ];
    let attributes = attributes.into_iter().map(|(oid, value)| attribute(oid, value));
    SetOfVec::try_from(attributes.collect::<Result<Vec<_>, _>>()?).map_err(not_encoded)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, PkiError> {
    let values = SetOfVec::try_from(vec![value]).map_err(not_encoded)?;
    Ok(Attribute { oid, values })
}

/// RFC 5652, section 11.3: `UTCTime` through 2049, `GeneralizedTime` from then on.
fn time_value(time: Timestamp) -> Result<Any, PkiError> {
    let since_1970 = Duration::from_millis(u64::try_from(time.as_millis()).map_err(not_encoded)?);
    match UtcTime::from_unix_duration(since_1970) {
        Ok(time) => Any::encode_from(&time),
        Err(_) => GeneralizedTime::from_unix_duration(since_1970).and_then(|time| Any::encode_from(&time)),
    }
    .map_err(not_encoded)
}

fn signed_data(chain: &[Vec<u8>], signer: SignerInfo) -> Result<SignedData, PkiError> {
    let certificates = chain.iter().map(|certificate| Any::from_der(certificate)).collect::<Result<Vec<_>, _>>();
    Ok(SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![signer.digest_alg.clone()]).map_err(not_encoded)?,
        content: EncapsulatedContentInfo { econtent_type: rfc5911::ID_DATA, econtent: None },
        certificates: Some(SetOfVec::try_from(certificates.map_err(not_encoded)?).map_err(not_encoded)?),
        revocations: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer]).map_err(not_encoded)?),
    })
}

/// RFC 5754, section 2: without parameters.
fn digest_identifier(algorithm: SignatureAlgorithm) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: digest_oid(digest_algorithm(algorithm)), parameters: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::cms::signed::testing::{CONTENT, Issued, SIGNED_AT};

    #[tokio::test]
    async fn openssl_verifies_the_signature_against_the_root_alone() {
        let issued = Issued::new();
        for algorithm in [SignatureAlgorithm::EcdsaSha256, SignatureAlgorithm::EcdsaSha256Fixed] {
            let signature = issued.signed(algorithm).await;

            assert!(issued.openssl_verifies(&signature, CONTENT), "{algorithm}");
            assert!(!issued.openssl_verifies(&signature, b"another content"), "{algorithm}");
        }
    }

    #[tokio::test]
    async fn the_signing_time_is_inside() {
        let signature = Issued::new().signed(SignatureAlgorithm::EcdsaSha256).await;

        assert!(signature.windows(13).any(|bytes| bytes == b"260102030405Z"));
    }

    #[tokio::test]
    async fn a_key_does_not_sign_under_the_certificate_of_another() {
        let issued = Issued::new();
        let root = issued.signer("root.pem", SignatureAlgorithm::EcdsaSha256);

        let refused = sign_detached(CONTENT, &issued.chain, SIGNED_AT, &root).await;

        assert!(matches!(refused, Err(PkiError::ChainBroken { .. })));
    }
}
