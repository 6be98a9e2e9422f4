//! Tests of `keys`.

mod adopt;
mod attributes;
mod csr;
mod destroy;
mod in_process;
mod other_programs;
mod recover;
mod refused;
mod sign;
mod signing_programs;
mod views;

/// Every algorithm, its `CKA_KEY_TYPE`, and what its public key object says of size or curve.
const ALGORITHMS: [(&str, u64, Shape); 8] = [
    ("rsa-2048", 0, Shape::Bits(2048)),
    ("rsa-3072", 0, Shape::Bits(3072)),
    ("rsa-4096", 0, Shape::Bits(4096)),
    ("p256", 3, Shape::Curve("06082a8648ce3d030107")),
    ("p384", 3, Shape::Curve("06052b81040022")),
    ("p521", 3, Shape::Curve("06052b81040023")),
    ("secp256k1", 3, Shape::Curve("06052b8104000a")),
    ("ed25519", 0x40, Shape::Curve("130c656477617264733235353139")),
];

/// Size or curve.
#[derive(Clone, Copy)]
enum Shape {
    /// `CKA_MODULUS_BITS`.
    Bits(u64),
    /// `CKA_EC_PARAMS`, in hex.
    Curve(&'static str),
}
