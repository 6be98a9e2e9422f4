//! RS1024, the checksum of a share: a Reed-Solomon code over GF(1024) that detects any 3 wrong words.

/// Words of the checksum, at the end of a share.
pub(super) const CHECKSUM_WORDS: usize = 3;

/// The checksum of a share's other words.
pub(super) fn create(words: &[u16]) -> [u16; CHECKSUM_WORDS] {
    let rest = polymod(customisation(words), words.iter().chain(&[0; CHECKSUM_WORDS])) ^ 1;
    [word(rest >> 20), word(rest >> 10), word(rest)]
}

/// Whether the checksum at the end of a share holds.
pub(super) fn holds(words: &[u16]) -> bool {
    polymod(customisation(words), words.iter()) == 1
}

/// The one place at which another word would make the checksum hold; `None` if one is not enough.
///
/// The standard lets a program say where the error may be, never what the word should be.
pub(super) fn wrong_word(words: &[u16]) -> Option<usize> {
    let in_flag_word = |other| locate(words, other).filter(|&place| place == FLAG_WORD);
    locate(words, customisation(words)).or_else(|| [ORIGINAL, EXTENDABLE].into_iter().find_map(in_flag_word))
}

/// The code is linear: what one wrong word adds to the sum depends on its place and its error alone.
fn locate(words: &[u16], customisation: &[u8]) -> Option<usize> {
    let excess = polymod(customisation, words.iter()) ^ 1;
    let mut effects: Vec<u32> = (1..1024).collect();
    (0..words.len()).rev().find(|_| {
        let found = effects.contains(&excess);
        effects.iter_mut().for_each(|effect| *effect = step(*effect, 0));
        found
    })
}

fn polymod<'a>(customisation: &[u8], words: impl Iterator<Item = &'a u16>) -> u32 {
    let start = customisation.iter().fold(1, |sum, &byte| step(sum, u32::from(byte)));
    words.fold(start, |sum, &word| step(sum, u32::from(word)))
}

fn step(sum: u32, value: u32) -> u32 {
    let next = ((sum & 0xf_ffff) << 10) ^ value;
    (0..10).filter(|bit| (sum >> (20 + bit)) & 1 == 1).fold(next, |next, bit| next ^ GENERATOR[bit])
}

/// Extendable shares have another string, so that older programs refuse them.
fn customisation(share: &[u16]) -> &'static [u8] {
    let extendable = share.get(FLAG_WORD).is_some_and(|word| (word >> 4) & 1 == 1);
    if extendable { EXTENDABLE } else { ORIGINAL }
}

fn word(bits: u32) -> u16 {
    let [low, high, ..] = bits.to_le_bytes();
    u16::from_le_bytes([low, high]) & 0x3ff
}

const ORIGINAL: &[u8] = b"shamir";
const EXTENDABLE: &[u8] = b"shamir_extendable";

/// The word that has the extendable flag.
const FLAG_WORD: usize = 1;

/// The generator polynomial's multiples, SLIP-0039, section "Checksum".
const GENERATOR: [u32; 10] = [
    0x00e0_e040,
    0x01c1_c080,
    0x0383_8100,
    0x0707_0200,
    0x0e0e_0009,
    0x1c0c_2412,
    0x3808_6c24,
    0x3090_fc48,
    0x21b1_f890,
    0x03f3_f120,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_holds_until_any_word_changes_and_then_says_which() {
        for second_word in [0, 1 << 4] {
            let mut share = vec![12, second_word, 7, 1023, 500];
            share.extend(create(&share));
            assert!(holds(&share));

            for place in [0, 1, 4, 7] {
                let mut changed = share.clone();
                changed[place] ^= 0x155;

                assert!(!holds(&changed));
                assert_eq!(wrong_word(&changed), Some(place));
            }
        }
    }

    #[test]
    fn two_wrong_words_are_not_taken_for_one() {
        let mut share = vec![12, 0, 7, 1023, 500];
        share.extend(create(&share));
        share.swap(2, 3);

        assert_eq!(wrong_word(&share), None);
    }
}
