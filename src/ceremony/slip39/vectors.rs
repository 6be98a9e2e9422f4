//! What an independent implementation wrote and refused; `tests/vectors/README.md` says which.

use super::{Share, combine};
use crate::base::{fault::Fault, secret::Secret};
use crate::ceremony::CeremonyError;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    name: String,
    mnemonics: Vec<String>,
    passphrase: String,
    /// `None`: keyward refuses with this code.
    secret: Option<String>,
    code: Option<String>,
}

#[test]
fn every_set_of_the_reference_implementation_gives_its_secret() {
    let valid: Vec<_> = vectors().into_iter().filter(|vector| vector.secret.is_some()).collect();

    assert_eq!(valid.len(), 40);
    for vector in valid {
        let secret = combined(&vector).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(Some(hex(secret.expose())), vector.secret, "{}", vector.name);
    }
}

#[test]
fn every_set_that_does_not_hold_together_is_refused_with_its_code() {
    let invalid: Vec<_> = vectors().into_iter().filter(|vector| vector.secret.is_none()).collect();

    assert_eq!(invalid.len(), 38);
    for vector in invalid {
        let code = combined(&vector).err().map(|error| error.entry().code.to_owned());
        assert_eq!(code, vector.code, "{}", vector.name);
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../tests/vectors/slip39.json")).unwrap()
}

fn combined(vector: &Vector) -> Result<Secret, CeremonyError> {
    let shares = vector.mnemonics.iter().map(|words| Share::parse(words)).collect::<Result<Vec<_>, _>>()?;
    combine(&shares, vector.passphrase.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
