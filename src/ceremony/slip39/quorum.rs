//! How many shares there are, and how many suffice.

use crate::ceremony::CeremonyError;

/// *needed* of *custodians*; only what SLIP-0039 allows: up to 16 shares, and 1 needed of 1 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    needed: u8,
    custodians: u8,
}

impl Quorum {
    /// One share that is the whole secret: a rig's.
    pub const SOLO: Self = Self { needed: 1, custodians: 1 };

    /// A quorum that shares can be made for.
    ///
    /// # Errors
    /// More shares needed than there are, more than 16 of them, none, or 1 needed of several, where each
    /// custodian would hold the whole secret.
    pub const fn new(needed: u8, custodians: u8) -> Result<Self, CeremonyError> {
        let solo = needed == 1 && custodians == 1;
        let several = needed >= 2 && needed <= custodians && custodians <= MOST_SHARES;
        if solo || several {
            Ok(Self { needed, custodians })
        } else {
            Err(CeremonyError::QuorumImpossible { needed, of: custodians })
        }
    }

    /// Shares that suffice.
    #[must_use]
    pub const fn needed(self) -> u8 {
        self.needed
    }

    /// Shares that there are.
    #[must_use]
    pub const fn custodians(self) -> u8 {
        self.custodians
    }
}

/// The member index has 4 bits.
const MOST_SHARES: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_what_slip39_allows() {
        for (needed, custodians) in [(1, 1), (2, 2), (2, 3), (16, 16)] {
            let quorum = Quorum::new(needed, custodians).unwrap();
            assert_eq!((quorum.needed(), quorum.custodians()), (needed, custodians));
        }
        for (needed, custodians) in [(0, 0), (0, 1), (1, 2), (3, 2), (2, 17), (17, 17)] {
            assert!(Quorum::new(needed, custodians).is_err(), "{needed} of {custodians}");
        }
    }
}
