//! Splitting: one group, not extendable, exponent 0, no passphrase.

use super::{
    NO_PASSPHRASE, Quorum, Random, cipher,
    combine::{DIGEST_BYTES, DIGEST_X, SECRET_X, digest},
    field::{Point, interpolate},
    share::{Mnemonic, SetParameters, Share},
};
use crate::base::secret::Secret;
use crate::ceremony::CeremonyError;
use zeroize::Zeroizing;

/// Splits a secret of 16 to 32 bytes; any `needed` of the shares give it back, fewer say nothing of it.
///
/// # Errors
/// The secret has another length or an odd one, or the random generator failed.
pub fn split(secret: &Secret, quorum: Quorum, random: &mut Random<'_>) -> Result<Vec<Mnemonic>, CeremonyError> {
    check_length(secret.expose())?;
    let set = SetParameters {
        identifier: identifier(random)?,
        extendable: false,
        iteration_exponent: 0,
        group_threshold: 1,
        group_count: 1,
    };
    let encrypted = cipher::encrypt(secret.expose(), NO_PASSPHRASE, &set);
    let points = points(encrypted, quorum, random)?;
    let share = |point: Point| Share {
        set,
        group_index: 0,
        member_index: point.x,
        member_threshold: quorum.needed(),
        value: point.value,
    };
    Ok(points.into_iter().map(|point| share(point).mnemonic()).collect())
}

fn check_length(secret: &[u8]) -> Result<(), CeremonyError> {
    let given = secret.len();
    if (16..=32).contains(&given) && given.is_multiple_of(2) {
        return Ok(());
    }
    Err(CeremonyError::SecretLength { what: "the secret to be split", given, expected: "an even number from 16 to 32" })
}

/// 15 bits that tell one splitting from another; no secret.
fn identifier(random: &mut Random<'_>) -> Result<u16, CeremonyError> {
    let mut bytes = [0; 2];
    random(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes) >> 1)
}

/// The shares' points: as many random ones as leave the polynomial open, the rest on it.
fn points(value: Zeroizing<Vec<u8>>, quorum: Quorum, random: &mut Random<'_>) -> Result<Vec<Point>, CeremonyError> {
    if quorum == Quorum::SOLO {
        return Ok(vec![Point { x: 0, value }]);
    }
    let free = quorum.needed() - 2;
    let mut points = Vec::with_capacity(usize::from(quorum.custodians()) + 2);
    for x in 0..free {
        points.push(Point { x, value: random_value(value.len(), random)? });
    }
    let mut base = duplicates(&points);
    base.push(Point { x: DIGEST_X, value: digest_value(&value, random)? });
    base.push(Point { x: SECRET_X, value });
    points.extend((free..quorum.custodians()).map(|x| Point { x, value: interpolate(&base, x) }));
    Ok(points)
}

fn random_value(length: usize, random: &mut Random<'_>) -> Result<Zeroizing<Vec<u8>>, CeremonyError> {
    let mut value = Zeroizing::new(vec![0; length]);
    random(&mut value)?;
    Ok(value)
}

/// The digest of the value, then the random bytes that are its key.
fn digest_value(value: &[u8], random: &mut Random<'_>) -> Result<Zeroizing<Vec<u8>>, CeremonyError> {
    let mut result = random_value(value.len(), random)?;
    let (sum, key) = result.split_at_mut(DIGEST_BYTES);
    sum.copy_from_slice(&digest(key, value));
    Ok(result)
}

fn duplicates(points: &[Point]) -> Vec<Point> {
    points.iter().map(|point| Point { x: point.x, value: point.value.clone() }).collect()
}
