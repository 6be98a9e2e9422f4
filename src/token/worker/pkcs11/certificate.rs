//! Certificates beside their keys (PKCS#11 v3.1, section 4.6.3), for the programs that look for them in the token.

use super::{
    Backend,
    fault::{Failure, NO_MECHANISM},
    index,
};
use crate::token::{error::TokenError, message::CertificateObject};
use cryptoki::{
    object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle},
    session::Session,
};

impl Backend {
    /// Stores a certificate unless the same one is there; others of the same key stay.
    pub(super) fn store_certificate(&self, session: &Session, object: &CertificateObject) -> Result<(), Failure> {
        if self.has_certificate(session, object)? {
            return Ok(());
        }
        let template = template(object, self.cka_id(object.key)).ok_or_else(|| {
            let detail = format!("the certificate for key {} is no DER certificate", object.key);
            TokenError::Protocol { detail }
        })?;
        let _creating = self.creating();
        session.create_object(&template).map(|_| ()).map_err(self.token.refusal(
            "store certificate",
            object.key,
            NO_MECHANISM,
        ))
    }

    fn has_certificate(&self, session: &Session, object: &CertificateObject) -> Result<bool, Failure> {
        let _searching = self.searching();
        let template = [
            Attribute::Class(ObjectClass::CERTIFICATE),
            Attribute::Token(true),
            Attribute::Id(self.cka_id(object.key)),
        ];
        for handle in index::search(&self.token, session, &template)? {
            if self.value(session, handle)? == object.der {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn value(&self, session: &Session, handle: ObjectHandle) -> Result<Vec<u8>, Failure> {
        let attributes = session.get_attributes(handle, &[AttributeType::Value]).map_err(self.token.refusal(
            "read attributes",
            "a certificate",
            NO_MECHANISM,
        ))?;
        Ok(attributes
            .into_iter()
            .find_map(|attribute| if let Attribute::Value(value) = attribute { Some(value) } else { None })
            .unwrap_or_default())
    }
}

fn template(object: &CertificateObject, cka_id: Vec<u8>) -> Option<Vec<Attribute>> {
    let names = Names::of(&object.der)?;
    Some(vec![
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Id(cka_id),
        Attribute::Label(object.label.as_str().as_bytes().to_vec()),
        Attribute::Subject(names.subject.to_vec()),
        Attribute::Issuer(names.issuer.to_vec()),
        Attribute::SerialNumber(names.serial.to_vec()),
        Attribute::Value(object.der.clone()),
    ])
}

/// The DER elements of a certificate that PKCS#11 wants beside its value.
struct Names<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
}

impl<'a> Names<'a> {
    /// Cuts them out (RFC 5280, section 4.1): `[0]` version, serial, algorithm, issuer, validity, subject.
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let (_, outer, rest) = element(certificate)?;
        let (_, mut fields, _) = element(outer)?;
        if !rest.is_empty() {
            return None;
        }
        let mut next = || {
            let (_, _, rest) = element(fields)?;
            let (whole, after) = fields.split_at(fields.len() - rest.len());
            fields = after;
            Some(whole)
        };
        let mut serial = next()?;
        if element(serial)?.0 != INTEGER {
            serial = next()?;
        }
        next()?;
        let issuer = next()?;
        next()?;
        Some(Self { serial, issuer, subject: next()? })
    }
}

/// Tag and content of the first DER element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, bytes) = bytes.split_first()?;
    let (first, bytes) = bytes.split_first()?;
    let (length, bytes) = match first {
        0..=0x7F => (usize::from(*first), bytes),
        // A certificate is shorter than 16 MiB.
        0x81..=0x83 => {
            let (length, bytes) = bytes.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), bytes)
        }
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((*tag, content, rest))
}

const INTEGER: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;

    /// SEQUENCE { TBS { version, serial 5, algorithm, issuer "A", validity, subject "B" } }, as far as it is read.
    const CERTIFICATE: &[u8] = &[
        0x30, 0x18, 0x30, 0x16, 0xA0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x05, 0x30, 0x00, 0x30, 0x03, 0x0C, 0x01,
        b'A', 0x30, 0x00, 0x30, 0x03, 0x0C, 0x01, b'B',
    ];

    #[test]
    fn serial_issuer_and_subject_are_cut_out_as_they_are() {
        let names = Names::of(CERTIFICATE).unwrap();

        assert_eq!(names.serial, [0x02, 0x01, 0x05]);
        assert_eq!(names.issuer, [0x30, 0x03, 0x0C, 0x01, b'A']);
        assert_eq!(names.subject, [0x30, 0x03, 0x0C, 0x01, b'B']);
    }

    #[test]
    fn what_is_cut_or_has_a_tail_is_no_certificate() {
        assert!(Names::of(&CERTIFICATE[..20]).is_none());
        assert!(Names::of(&[CERTIFICATE, &[0]].concat()).is_none());
        assert!(Names::of(&[]).is_none());
    }
}
