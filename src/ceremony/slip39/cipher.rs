//! The cipher between the secret and what is split: 4 Feistel rounds with PBKDF2-HMAC-SHA256.
//!
//! A wrong passphrase is not noticed; it opens to another secret of the same length.

use super::share::SetParameters;
use pbkdf2::pbkdf2_hmac;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What is split among the groups.
pub(super) fn encrypt(secret: &[u8], passphrase: &[u8], set: &SetParameters) -> Zeroizing<Vec<u8>> {
    feistel(secret, passphrase, set, [0, 1, 2, 3])
}

/// The secret.
pub(super) fn decrypt(encrypted: &[u8], passphrase: &[u8], set: &SetParameters) -> Zeroizing<Vec<u8>> {
    feistel(encrypted, passphrase, set, [3, 2, 1, 0])
}

fn feistel(input: &[u8], passphrase: &[u8], set: &SetParameters, rounds: [u8; 4]) -> Zeroizing<Vec<u8>> {
    let (left, right) = input.split_at(input.len() / 2);
    let mut left = Zeroizing::new(left.to_vec());
    let mut right = Zeroizing::new(right.to_vec());
    for round in rounds {
        let key_stream = round_function(round, passphrase, set, &right);
        left.iter_mut().zip(key_stream.iter()).for_each(|(byte, key)| *byte ^= key);
        std::mem::swap(&mut left, &mut right);
    }
    concat(&[&right, &left])
}

fn round_function(round: u8, passphrase: &[u8], set: &SetParameters, half: &[u8]) -> Zeroizing<Vec<u8>> {
    let password = concat(&[&[round], passphrase]);
    let salt = match set.extendable {
        true => concat(&[half]),
        false => concat(&[b"shamir", &set.identifier.to_be_bytes(), half]),
    };
    let mut output = Zeroizing::new(vec![0; half.len()]);
    pbkdf2_hmac::<Sha256>(&password, &salt, ITERATIONS_PER_ROUND << set.iteration_exponent, &mut output);
    output
}

/// One vector of just the right size: a growing one would leave copies behind.
fn concat(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(parts.concat())
}

/// 10,000 in all at exponent 0; at exponent 15, the largest, 81,920,000 a round.
const ITERATIONS_PER_ROUND: u32 = 2_500;
