//! Checking a detached signature in software, without a trusted root: that is the caller's.

use super::{
    PkiError, malformed, refused,
    signed::{SignedData, digest, digest_algorithm, digest_oid, issuer_and_serial, public_key},
    unpack,
};
use crate::pki::{public_key::PublicKey, signature::signature_algorithm};
use cms::{
    content_info::CmsVersion,
    signed_data::{SignedAttributes, SignerIdentifier, SignerInfo, SignerInfos},
};
use const_oid::db::rfc5911;
use der::{
    Decode, Encode,
    asn1::{Any, ObjectIdentifier, OctetString, SetOfVec},
};
use x509_cert::{Certificate, ext::pkix::SubjectKeyIdentifier};

/// Checks that the content is what was signed, and gives the certificates inside, the signer's first.
///
/// Whether that certificate is to be trusted is the caller's question: the others come in no order.
///
/// # Errors
/// [`PkiError::CmsMalformed`] if it is another structure, [`PkiError::CmsRefused`] if content or signature
/// were changed.
pub fn verify_detached(content: &[u8], signature: &[u8]) -> Result<Vec<Vec<u8>>, PkiError> {
    let signed = parse(signature)?;
    let info = only_signer(&signed.signer_infos)?;
    let (certificates, signer) = certificates(&signed, &info.sid)?;
    check_versions(&signed, info)?;
    let algorithm = signature_algorithm(&info.signature_algorithm).map_err(malformed)?;
    let attributes = info.signed_attrs.as_ref().ok_or_else(|| malformed("it has no signed attributes"))?;
    let digest_named = digest_oid(digest_algorithm(algorithm));
    if info.digest_alg.oid != digest_named || signed.digest_algorithms.iter().any(|named| named.oid != digest_named) {
        return Err(malformed("its digest is not that of its signature"));
    }
    check_attributes(attributes, &digest(digest_algorithm(algorithm), content))?;
    let message = attributes.to_der().map_err(malformed)?;
    signer.verify(algorithm, &message, info.signature.as_bytes()).map_err(refused)?;
    Ok(certificates)
}

fn parse(signature: &[u8]) -> Result<SignedData, PkiError> {
    if signature.len() > SIGNATURE_MOST_BYTES {
        return Err(malformed(format!("a detached signature of {} bytes is too long", signature.len())));
    }
    let signed: SignedData = unpack(signature, rfc5911::ID_SIGNED_DATA)?.decode_as().map_err(malformed)?;
    if signed.content.econtent.is_some() {
        return Err(malformed("it has its content inside, so it is no detached signature"));
    }
    if signed.content.econtent_type != rfc5911::ID_DATA {
        return Err(malformed("what it signs is not of type data"));
    }
    Ok(signed)
}

fn only_signer(signers: &SignerInfos) -> Result<&SignerInfo, PkiError> {
    match signers.0.as_slice() {
        [only] => Ok(only),
        several => Err(malformed(format!("it has {} signers, not one", several.len()))),
    }
}

/// RFC 5652, sections 5.1 and 5.3: the versions follow from how the signer is named; nothing signs them.
fn check_versions(signed: &SignedData, info: &SignerInfo) -> Result<(), PkiError> {
    let expected = match info.sid {
        SignerIdentifier::IssuerAndSerialNumber(_) => CmsVersion::V1,
        SignerIdentifier::SubjectKeyIdentifier(_) => CmsVersion::V3,
    };
    if (signed.version, info.version) == (expected, expected) {
        return Ok(());
    }
    Err(malformed("its versions are not those of its contents"))
}

/// The certificates as they are inside, the signer's moved to the front, and the signer's public key.
fn certificates(signed: &SignedData, signer: &SignerIdentifier) -> Result<(Vec<Vec<u8>>, PublicKey), PkiError> {
    let mut certificates = Vec::new();
    let mut found = None;
    for element in signed.certificates.iter().flat_map(SetOfVec::iter) {
        let der = element.to_der().map_err(malformed)?;
        let certificate = Certificate::from_der(&der).map_err(malformed)?;
        if found.is_none() && names(signer, &certificate)? {
            found = Some(public_key(&certificate)?);
            certificates.insert(0, der);
        } else {
            certificates.push(der);
        }
    }
    let signer = found.ok_or_else(|| malformed("the signer's certificate is not inside"))?;
    Ok((certificates, signer))
}

fn names(signer: &SignerIdentifier, certificate: &Certificate) -> Result<bool, PkiError> {
    match signer {
        SignerIdentifier::IssuerAndSerialNumber(given) => Ok(*given == issuer_and_serial(certificate)),
        SignerIdentifier::SubjectKeyIdentifier(given) => {
            let own = certificate.tbs_certificate().get_extension::<SubjectKeyIdentifier>().map_err(malformed)?;
            Ok(own.is_some_and(|(_, own)| own == *given))
        }
    }
}

/// RFC 5652, section 11: each of the two exactly once, with exactly one value.
fn check_attributes(attributes: &SignedAttributes, content_digest: &[u8]) -> Result<(), PkiError> {
    let content_type: ObjectIdentifier =
        single_value(attributes, rfc5911::ID_CONTENT_TYPE)?.decode_as().map_err(malformed)?;
    let signed_digest: OctetString =
        single_value(attributes, rfc5911::ID_MESSAGE_DIGEST)?.decode_as().map_err(malformed)?;
    if content_type != rfc5911::ID_DATA {
        return Err(malformed("its content type attribute is not data"));
    }
    if signed_digest.as_bytes() != content_digest {
        return Err(refused("what was signed is another content"));
    }
    Ok(())
}

fn single_value(attributes: &SignedAttributes, oid: ObjectIdentifier) -> Result<&Any, PkiError> {
    let mut values = attributes.iter().filter(|attribute| attribute.oid == oid).map(|attribute| &attribute.values);
    match (values.next().map(SetOfVec::as_slice), values.next()) {
        (Some([value]), None) => Ok(value),
        _ => Err(malformed(format!("it has not exactly one attribute {oid}"))),
    }
}

/// A chain of ten certificates with 4,096-bit keys fits well; more would only keep the parser busy.
const SIGNATURE_MOST_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::algorithm::SignatureAlgorithm;
    use crate::pki::cms::signed::testing::{CONTENT, Issued, openssl};
    use proptest::prelude::*;
    use std::fs;

    #[tokio::test]
    async fn a_signature_verifies_and_gives_the_certificates_signer_first() {
        let issued = Issued::new();

        let certificates = verify_detached(CONTENT, &issued.signed(SignatureAlgorithm::EcdsaSha256).await).unwrap();

        assert_eq!(certificates, issued.chain);
    }

    #[tokio::test]
    async fn a_signature_over_another_content_is_refused() {
        let signature = Issued::new().signed(SignatureAlgorithm::EcdsaSha256).await;

        let refused = verify_detached(b"{\"schema\":2}\r\n", &signature);

        assert!(matches!(refused, Err(PkiError::CmsRefused { action: "verify", .. })));
    }

    #[test]
    fn what_openssl_signed_verifies_by_serial_and_by_key_id() {
        let issued = Issued::new();
        let dir = issued.dir.path();
        fs::write(dir.join("in"), CONTENT).unwrap();
        let sign = ["cms", "-sign", "-binary", "-outform", "DER", "-in", "in", "-out", "out"];
        let with = ["-signer", "leaf.crt", "-inkey", "leaf.pem", "-certfile", "root.crt", "-md", "sha256"];
        for key_id in [&[][..], &["-keyid"]] {
            assert!(openssl(dir, &[&sign[..], &with, key_id].concat()));

            let certificates = verify_detached(CONTENT, &fs::read(dir.join("out")).unwrap()).unwrap();

            assert_eq!(certificates, issued.chain);
        }
    }

    #[test]
    fn a_signature_with_its_content_inside_or_without_attributes_is_refused() {
        let issued = Issued::new();
        let dir = issued.dir.path();
        fs::write(dir.join("in"), CONTENT).unwrap();
        let sign = ["cms", "-sign", "-binary", "-outform", "DER", "-in", "in", "-out", "out", "-md", "sha256"];
        for option in ["-nodetach", "-noattr"] {
            assert!(openssl(dir, &[&sign[..], &["-signer", "leaf.crt", "-inkey", "leaf.pem", option]].concat()));

            let refused = verify_detached(CONTENT, &fs::read(dir.join("out")).unwrap());

            assert!(matches!(refused, Err(PkiError::CmsMalformed { .. })), "{option}");
        }
    }

    #[tokio::test]
    async fn no_changed_byte_of_what_is_signed_verifies() {
        let issued = Issued::new();
        let signature = issued.signed(SignatureAlgorithm::EcdsaSha256).await;
        let at = signature.windows(13).position(|bytes| bytes == b"260102030405Z").unwrap();

        let mut later = signature.clone();
        later[at + 1] = b'7';

        assert!(matches!(verify_detached(CONTENT, &later), Err(PkiError::CmsRefused { .. })));
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 0x20;

            // The root is beside what is signed; whoever trusts it compares it.
            let verified = verify_detached(CONTENT, &changed).is_ok_and(|inside| inside == issued.chain);

            assert!(!verified, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(verify_detached(CONTENT, &bytes).is_err());
        }
    }
}
