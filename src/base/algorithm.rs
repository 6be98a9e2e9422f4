//! The algorithms of keys, digests and signatures, by the names that the API and the command line use.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Declares an enum with one fixed name for each variant: `ALL`, `as_str`, `Display`, `FromStr`, serde, schema.
/// The name is taken as `tt`: derives do not see through a `literal` that a macro passes on.
macro_rules! named {
    ($(#[$meta:meta])* $type:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $name:tt,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $type { $($(#[$vmeta])* #[serde(rename = $name)] $variant,)+ }

        impl $type {
            /// Every value, in the order in which people list them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on the wire, in the database and at the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $type {
            type Err = $crate::base::algorithm::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    $crate::base::algorithm::UnknownName {
                        what: $what,
                        given: text.to_owned(),
                        known: Self::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }
    };
}
pub(crate) use named;

/// A name that is not in the list of one of the enums here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a {what}; known: {known}")]
pub struct UnknownName {
    /// What kind of name was looked for.
    pub what: &'static str,
    /// What was given.
    pub given: String,
    /// The names there are.
    pub known: String,
}

named! {
    /// A key type with its size or curve.
    KeyAlgorithm, "key algorithm" {
        /// RSA, 2,048-bit modulus, exponent 65537.
        Rsa2048 = "rsa-2048",
        /// RSA, 3,072-bit modulus.
        Rsa3072 = "rsa-3072",
        /// RSA, 4,096-bit modulus.
        Rsa4096 = "rsa-4096",
        /// NIST P-256 (secp256r1).
        P256 = "p256",
        /// NIST P-384 (secp384r1).
        P384 = "p384",
        /// NIST P-521 (secp521r1).
        P521 = "p521",
        /// SEC 2 secp256k1.
        Secp256k1 = "secp256k1",
        /// Ed25519, RFC 8032.
        Ed25519 = "ed25519",
    }
}

named! {
    /// A digest that a signature is made over.
    DigestAlgorithm, "digest algorithm" {
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-384.
        Sha384 = "sha384",
        /// SHA-512.
        Sha512 = "sha512",
    }
}

named! {
    /// A signature scheme with its digest; `-fixed` is r‖s where ECDSA is otherwise DER.
    SignatureAlgorithm, "signature algorithm" {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        RsaPkcs1Sha256 = "rsa-pkcs1-sha256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        RsaPkcs1Sha384 = "rsa-pkcs1-sha384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        RsaPkcs1Sha512 = "rsa-pkcs1-sha512",
        /// RSASSA-PSS with SHA-256, MGF1 with the same, salt of 32 bytes.
        RsaPssSha256 = "rsa-pss-sha256",
        /// RSASSA-PSS with SHA-384, salt of 48 bytes.
        RsaPssSha384 = "rsa-pss-sha384",
        /// RSASSA-PSS with SHA-512, salt of 64 bytes.
        RsaPssSha512 = "rsa-pss-sha512",
        /// ECDSA with SHA-256, DER.
        EcdsaSha256 = "ecdsa-sha256",
        /// ECDSA with SHA-384, DER.
        EcdsaSha384 = "ecdsa-sha384",
        /// ECDSA with SHA-512, DER.
        EcdsaSha512 = "ecdsa-sha512",
        /// ECDSA with SHA-256, r‖s.
        EcdsaSha256Fixed = "ecdsa-sha256-fixed",
        /// ECDSA with SHA-384, r‖s.
        EcdsaSha384Fixed = "ecdsa-sha384-fixed",
        /// ECDSA with SHA-512, r‖s.
        EcdsaSha512Fixed = "ecdsa-sha512-fixed",
        /// Ed25519 over the message itself.
        Ed25519 = "ed25519",
    }
}

/// The family that decides which mechanisms and attributes a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyFamily {
    /// Edwards curves.
    Edwards,
    /// Short Weierstrass curves.
    Elliptic,
    /// RSA.
    Rsa,
}

impl KeyAlgorithm {
    /// The family that decides which mechanisms and attributes a key has.
    #[must_use]
    pub const fn family(self) -> KeyFamily {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => KeyFamily::Rsa,
            Self::P256 | Self::P384 | Self::P521 | Self::Secp256k1 => KeyFamily::Elliptic,
            Self::Ed25519 => KeyFamily::Edwards,
        }
    }

    /// Size of the modulus or of the curve's field, in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::P256 | Self::Secp256k1 => 256,
            Self::Ed25519 => 255,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// The signature algorithm that is taken when none is named.
    #[must_use]
    pub const fn default_signature(self) -> SignatureAlgorithm {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => SignatureAlgorithm::RsaPkcs1Sha256,
            Self::P256 | Self::Secp256k1 => SignatureAlgorithm::EcdsaSha256,
            Self::P384 => SignatureAlgorithm::EcdsaSha384,
            Self::P521 => SignatureAlgorithm::EcdsaSha512,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }

    /// Whether a key of this kind can make such a signature.
    #[must_use]
    pub const fn can_sign(self, signature: SignatureAlgorithm) -> bool {
        matches!(
            (self.family(), signature.family()),
            (KeyFamily::Rsa, KeyFamily::Rsa)
                | (KeyFamily::Elliptic, KeyFamily::Elliptic)
                | (KeyFamily::Edwards, KeyFamily::Edwards)
        )
    }
}

impl DigestAlgorithm {
    /// Length of the digest, in bytes.
    #[must_use]
    pub const fn length_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl SignatureAlgorithm {
    /// The family of keys that make such signatures.
    #[must_use]
    pub const fn family(self) -> KeyFamily {
        match self {
            Self::RsaPkcs1Sha256
            | Self::RsaPkcs1Sha384
            | Self::RsaPkcs1Sha512
            | Self::RsaPssSha256
            | Self::RsaPssSha384
            | Self::RsaPssSha512 => KeyFamily::Rsa,
            Self::EcdsaSha256
            | Self::EcdsaSha384
            | Self::EcdsaSha512
            | Self::EcdsaSha256Fixed
            | Self::EcdsaSha384Fixed
            | Self::EcdsaSha512Fixed => KeyFamily::Elliptic,
            Self::Ed25519 => KeyFamily::Edwards,
        }
    }

    /// The digest that is signed; Ed25519 signs the message itself.
    #[must_use]
    pub const fn digest(self) -> Option<DigestAlgorithm> {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 | Self::EcdsaSha256 | Self::EcdsaSha256Fixed => {
                Some(DigestAlgorithm::Sha256)
            }
            Self::RsaPkcs1Sha384 | Self::RsaPssSha384 | Self::EcdsaSha384 | Self::EcdsaSha384Fixed => {
                Some(DigestAlgorithm::Sha384)
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 | Self::EcdsaSha512 | Self::EcdsaSha512Fixed => {
                Some(DigestAlgorithm::Sha512)
            }
            Self::Ed25519 => None,
        }
    }

    /// Whether this is RSASSA-PSS.
    #[must_use]
    pub const fn is_pss(self) -> bool {
        matches!(self, Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512)
    }

    /// Whether an ECDSA signature is r‖s instead of DER.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::EcdsaSha256Fixed | Self::EcdsaSha384Fixed | Self::EcdsaSha512Fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_the_value_that_wrote_it() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(*algorithm));
        }
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(*algorithm));
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "dsa-1024".parse::<KeyAlgorithm>().unwrap_err();

        assert_eq!(
            error.to_string(),
            "`dsa-1024` is not a key algorithm; known: rsa-2048, rsa-3072, rsa-4096, p256, p384, p521, secp256k1, ed25519"
        );
    }

    #[test]
    fn every_key_can_make_its_default_signature_and_none_of_another_family() {
        for key in KeyAlgorithm::ALL {
            assert!(key.can_sign(key.default_signature()));
        }
        assert!(!KeyAlgorithm::P256.can_sign(SignatureAlgorithm::RsaPssSha256));
        assert!(!KeyAlgorithm::Ed25519.can_sign(SignatureAlgorithm::EcdsaSha256));
    }
}
