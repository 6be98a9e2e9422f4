//! CMS (RFC 5652): the detached signature of a manifest or report, and the sealed inventory.
//!
//! Both are DER and open with openssl alone. Nothing here holds a private key or a KEK: signatures come
//! through [`crate::base::signing::Signer`], content keys are wrapped and opened where the KEK is.

mod enveloped;
mod sign;
mod signed;
mod verify;

pub use enveloped::{KekRecipient, open, recipient, seal};
pub use sign::sign_detached;
pub use verify::verify_detached;

use super::PkiError;
use cms::content_info::ContentInfo;
use der::{Decode, Encode, EncodeValue, Tagged, asn1::Any, asn1::ObjectIdentifier};

/// Takes the content out of the outer `ContentInfo`, if it is of this type.
fn unpack(cms: &[u8], content_type: ObjectIdentifier) -> Result<Any, PkiError> {
    let outer = ContentInfo::from_der(cms).map_err(malformed)?;
    if outer.content_type != content_type {
        return Err(malformed(format!("it is of type {}, not {content_type}", outer.content_type)));
    }
    Ok(outer.content)
}

/// Puts a structure into the outer `ContentInfo`.
fn pack(content_type: ObjectIdentifier, content: &(impl EncodeValue + Tagged)) -> Result<Vec<u8>, PkiError> {
    let content = Any::encode_from(content).map_err(not_encoded)?;
    ContentInfo { content_type, content }.to_der().map_err(not_encoded)
}

fn malformed(cause: impl ToString) -> PkiError {
    PkiError::CmsMalformed { cause: cause.to_string() }
}

fn not_encoded(cause: impl ToString) -> PkiError {
    PkiError::Encoding { what: "a CMS structure", cause: cause.to_string() }
}

fn refused(cause: impl ToString) -> PkiError {
    PkiError::CmsRefused { action: "verify", cause: cause.to_string() }
}
