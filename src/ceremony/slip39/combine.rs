//! Putting shares together: members to groups, groups to the secret.

use super::{
    cipher,
    field::{Point, interpolate},
    share::Share,
};
use crate::base::secret::Secret;
use crate::ceremony::CeremonyError;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Puts the secret together; shares beyond the quorum are checked against the others.
///
/// A wrong passphrase (printable ASCII by the standard) is not noticed: compare a check value.
///
/// # Errors
/// Too few shares, one twice, shares of different sets, or shares that contradict each other.
pub fn combine(shares: &[Share], passphrase: &[u8]) -> Result<Secret, CeremonyError> {
    let first = shares.first().ok_or(CeremonyError::ShareMissing)?;
    for (place, share) in shares.iter().enumerate() {
        check_fits(&shares[..place], share)?;
    }
    let groups = group_points(shares)?;
    let encrypted = recover(first.set.group_threshold, &groups).ok_or_else(|| disagreement(first))?;
    let mut secret = cipher::decrypt(&encrypted, passphrase, &first.set);
    Ok(Secret::new(std::mem::take(&mut *secret)))
}

/// Checks whether one more share belongs to those that were given before.
///
/// # Errors
/// It is of another set, contradicts one of them, or was given already.
pub fn check_fits(given: &[Share], next: &Share) -> Result<(), CeremonyError> {
    given.iter().try_for_each(|share| check_pair(share, next))
}

fn check_pair(given: &Share, next: &Share) -> Result<(), CeremonyError> {
    let different =
        |cause| Err(CeremonyError::SharesOfDifferentSets { set: given.set_name(), other: next.set_name(), cause });
    if given.set != next.set {
        return different("identifier, flags or number of groups differ");
    }
    if given.value.len() != next.value.len() {
        return different("the secrets have different lengths");
    }
    if given.group_index != next.group_index {
        return Ok(());
    }
    if given.member_threshold != next.member_threshold {
        return different("they need different numbers of shares");
    }
    if given.member_index != next.member_index {
        return Ok(());
    }
    if bool::from(given.value.ct_eq(&next.value)) {
        return Err(CeremonyError::ShareRepeated { set: given.set_name(), member: next.number() });
    }
    different("they have the same number and different words")
}

/// A point for each group that is complete; an error if those are too few.
fn group_points(shares: &[Share]) -> Result<Vec<Point>, CeremonyError> {
    let mut groups = BTreeMap::<u8, Vec<&Share>>::new();
    shares.iter().for_each(|share| groups.entry(share.group_index).or_default().push(share));
    let (complete, incomplete): (Vec<_>, Vec<_>) =
        groups.values().partition(|members| members.len() >= usize::from(members[0].member_threshold));
    let needed = shares[0].set.group_threshold;
    if complete.len() < usize::from(needed) {
        return Err(too_few(&shares[0], incomplete.first().map(|members| members.as_slice()), complete.len()));
    }
    complete.into_iter().map(|members| group_point(members)).collect()
}

fn group_point(members: &[&Share]) -> Result<Point, CeremonyError> {
    let points: Vec<_> =
        members.iter().map(|share| Point { x: share.member_index, value: share.value.clone() }).collect();
    let value = recover(members[0].member_threshold, &points).ok_or_else(|| disagreement(members[0]))?;
    Ok(Point { x: members[0].group_index, value })
}

fn too_few(first: &Share, incomplete: Option<&[&Share]>, complete: usize) -> CeremonyError {
    match incomplete {
        Some(members) => CeremonyError::SharesTooFew {
            set: members[0].set_name(),
            given: members.len(),
            needed: members[0].member_threshold,
        },
        None => {
            CeremonyError::GroupsTooFew { set: first.set_name(), given: complete, needed: first.set.group_threshold }
        }
    }
}

/// The shared value, if the points agree: by the digest in them, or by being equal where one suffices.
fn recover(threshold: u8, points: &[Point]) -> Option<Zeroizing<Vec<u8>>> {
    if threshold == 1 {
        let first = &points.first()?.value;
        return points.iter().all(|point| point.value.ct_eq(first).into()).then(|| first.clone());
    }
    let value = interpolate(points, SECRET_X);
    let proof = interpolate(points, DIGEST_X);
    let (expected, key) = proof.split_at_checked(DIGEST_BYTES)?;
    bool::from(digest(key, &value).ct_eq(expected)).then_some(value)
}

/// The first bytes of HMAC-SHA-256 over the shared value.
pub(super) fn digest(key: &[u8], value: &[u8]) -> [u8; DIGEST_BYTES] {
    // HMAC pads a key of less than a block with zeros itself; given as a whole block no length can be wrong.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(value);
    let sum = mac.finalize().into_bytes();
    [sum[0], sum[1], sum[2], sum[3]]
}

fn disagreement(share: &Share) -> CeremonyError {
    CeremonyError::SharesDisagree { set: share.set_name() }
}

/// Where the polynomials have the shared value.
pub(super) const SECRET_X: u8 = 255;

/// Where they have its digest.
pub(super) const DIGEST_X: u8 = 254;

/// Length of the digest.
pub(super) const DIGEST_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::Fault;
    use crate::ceremony::slip39::{Mnemonic, NO_PASSPHRASE, Quorum, split};
    use proptest::prelude::*;

    #[test]
    fn two_of_three_give_the_secret_and_one_does_not() {
        let shares = parsed(&shares_of(&secret(), 2, 3));

        assert!(combine(&shares[1..], NO_PASSPHRASE).unwrap() == secret());
        assert_eq!(
            combine(&shares[..1], NO_PASSPHRASE).unwrap_err().to_string(),
            format!("set `{}`: 1 shares were given and 2 are needed", shares[0].set_name())
        );
        assert_eq!(combine(&[], NO_PASSPHRASE).unwrap_err().entry().code, "shares-too-few");
    }

    #[test]
    fn a_share_that_was_given_already_is_named() {
        let words = shares_of(&secret(), 2, 3);
        let twice = parsed(&[&words[1], &words[1]]);

        let error = combine(&twice, NO_PASSPHRASE).unwrap_err();

        assert_eq!(error.to_string(), format!("share 2 of set `{}` was given twice", twice[0].set_name()));
    }

    #[test]
    fn a_share_of_another_set_is_named() {
        let ours = parsed(&shares_of(&secret(), 2, 3));
        let mut other_random = counter(9);
        let theirs = parsed(&split(&secret(), Quorum::new(2, 3).unwrap(), &mut other_random).unwrap());

        let error = check_fits(&ours, &theirs[0]).unwrap_err();

        assert_eq!(error.entry().code, "shares-of-different-sets");
        assert!(error.to_string().starts_with(&format!("a share of set `{}`", theirs[0].set_name())));
    }

    #[test]
    fn a_forged_share_is_noticed_also_when_it_is_one_too_many() {
        let mut shares = parsed(&shares_of(&secret(), 2, 3));
        shares[2].value[0] ^= 1;

        assert_eq!(combine(&shares, NO_PASSPHRASE).unwrap_err().entry().code, "shares-do-not-fit");
        assert_eq!(combine(&shares[1..], NO_PASSPHRASE).unwrap_err().entry().code, "shares-do-not-fit");
    }

    #[test]
    fn a_secret_of_an_odd_or_unheard_length_is_not_split() {
        for length in [0, 14, 17, 34] {
            let error = split(&Secret::new(vec![1; length]), Quorum::SOLO, &mut counter(0)).unwrap_err();
            assert_eq!(error.entry().code, "ceremony-secret-length", "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_needed_shares_give_the_secret_and_fewer_do_not(
            (needed, custodians) in (2u8..=16).prop_flat_map(|custodians| (2..=custodians, Just(custodians))),
            bytes in prop::collection::vec(any::<u8>(), 8..=16).prop_map(|half| half.repeat(2)),
            seed in any::<u8>(),
            order in Just((0..16usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let secret = Secret::new(bytes);
            let words = split(&secret, Quorum::new(needed, custodians).unwrap(), &mut counter(seed)).unwrap();
            let chosen: Vec<_> = order.iter().filter_map(|&place| words.get(place)).take(needed.into()).collect();
            let shares = parsed(&chosen);

            prop_assert!(combine(&shares, NO_PASSPHRASE).unwrap() == secret);
            let fewer = combine(&shares[1..], NO_PASSPHRASE).unwrap_err();
            prop_assert_eq!(fewer.entry().code, "shares-too-few");
        }
    }

    fn secret() -> Secret {
        Secret::new((0..32).collect())
    }

    fn shares_of(secret: &Secret, needed: u8, custodians: u8) -> Vec<Mnemonic> {
        split(secret, Quorum::new(needed, custodians).unwrap(), &mut counter(1)).unwrap()
    }

    fn parsed<M: std::borrow::Borrow<Mnemonic>>(words: &[M]) -> Vec<Share> {
        words.iter().map(|words| Share::parse(words.borrow().expose()).unwrap()).collect()
    }

    /// Bytes that differ from call to call and from seed to seed, and are the same in every run.
    fn counter(seed: u8) -> impl FnMut(&mut [u8]) -> Result<(), CeremonyError> {
        let mut next = seed;
        move |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_mul(197).wrapping_add(91);
                *byte = next;
            }
            Ok(())
        }
    }
}
