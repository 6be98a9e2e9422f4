//! One share: its fields, and its words.

use super::{
    bits::{BitReader, BitWriter},
    checksum, words,
};
use crate::ceremony::CeremonyError;
use std::fmt;
use zeroize::Zeroizing;

/// A share that has been read and checked; `Debug` shows no value.
pub struct Share {
    pub(super) set: SetParameters,
    pub(super) group_index: u8,
    pub(super) member_index: u8,
    pub(super) member_threshold: u8,
    pub(super) value: Zeroizing<Vec<u8>>,
}

/// What all shares of one splitting have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SetParameters {
    pub(super) identifier: u16,
    pub(super) extendable: bool,
    pub(super) iteration_exponent: u8,
    pub(super) group_threshold: u8,
    pub(super) group_count: u8,
}

/// The words of a share: `Debug` shows none, and they are zeroed on drop.
pub struct Mnemonic(Zeroizing<String>);

impl Share {
    /// Reads a share from its words, in any case, with any white space between them.
    ///
    /// # Errors
    /// A word is not in the list, the checksum does not hold, or the fields make no sense.
    pub fn parse(text: &str) -> Result<Self, CeremonyError> {
        let text = Zeroizing::new(text.to_ascii_lowercase());
        let name = first_words(&text);
        let indices = look_up(&text, &name)?;
        check_length(indices.len()).map_err(|cause| malformed(&name, cause))?;
        if !checksum::holds(&indices) {
            let word = checksum::wrong_word(&indices).map(|place| place + 1);
            return Err(CeremonyError::ShareChecksum { share: name, word });
        }
        Self::decode(&indices).map_err(|cause| malformed(&name, cause))
    }

    fn decode(indices: &[u16]) -> Result<Self, String> {
        let mut bits = BitReader::new(indices);
        let (identifier, extendable) = (bits.take(15), bits.take(1) == 1);
        let (iteration_exponent, group_index) = (bits.take_u8(4), bits.take_u8(4));
        // Each step doubles the work of putting the secret together; 15 would take minutes.
        if iteration_exponent > MOST_EXPONENT {
            return Err(format!("its iteration exponent is {iteration_exponent}, at most {MOST_EXPONENT} is taken"));
        }
        let (group_threshold, group_count) = (bits.take_u8(4) + 1, bits.take_u8(4) + 1);
        let (member_index, member_threshold) = (bits.take_u8(4), bits.take_u8(4) + 1);
        if group_threshold > group_count || group_index >= group_count {
            return Err("it names more groups than its set has".to_owned());
        }
        let set = SetParameters { identifier, extendable, iteration_exponent, group_threshold, group_count };
        let value = decode_value(&mut bits, indices.len() - METADATA_WORDS)?;
        Ok(Self { set, group_index, member_index, member_threshold, value })
    }

    /// The share in words.
    #[must_use]
    pub fn mnemonic(&self) -> Mnemonic {
        let value_words = (self.value.len() * 8).div_ceil(10);
        let mut bits = BitWriter::with_capacity(value_words + METADATA_WORDS);
        self.put_metadata(&mut bits);
        bits.put(0, padding_bits(value_words));
        self.value.iter().for_each(|&byte| bits.put(u16::from(byte), 8));
        let mut indices = bits.into_words();
        let sum = checksum::create(&indices);
        indices.extend(sum);
        Mnemonic::from_indices(&indices)
    }

    fn put_metadata(&self, bits: &mut BitWriter) {
        bits.put(self.set.identifier, 15);
        bits.put(u16::from(self.set.extendable), 1);
        let nibbles = [
            self.set.iteration_exponent,
            self.group_index,
            self.set.group_threshold - 1,
            self.set.group_count - 1,
            self.member_index,
            self.member_threshold - 1,
        ];
        nibbles.into_iter().for_each(|nibble| bits.put(u16::from(nibble), 4));
    }

    /// The first three words, which all shares of a set (and group) begin with; no secret.
    #[must_use]
    pub fn set_name(&self) -> String {
        first_words(&self.mnemonic().0)
    }

    /// Number of the share within its set (or group), counted from 1.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.member_index + 1
    }

    /// How many shares of this set (or group) are needed.
    #[must_use]
    pub const fn needed(&self) -> u8 {
        self.member_threshold
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share(number {} of {:?}, value redacted)", self.number(), self.set_name())
    }
}

impl Mnemonic {
    fn from_indices(indices: &[u16]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(indices.len() * LONGEST_WORD_AND_SPACE));
        for (place, &index) in indices.iter().enumerate() {
            text.push_str(if place == 0 { "" } else { " " });
            text.push_str(words::word(index));
        }
        Self(text)
    }

    /// Lends the words, separated by single spaces.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mnemonic(redacted)")
    }
}

fn look_up(text: &str, name: &str) -> Result<Zeroizing<Vec<u16>>, CeremonyError> {
    let mut indices = Zeroizing::new(Vec::with_capacity(text.split_whitespace().count()));
    for (place, word) in text.split_whitespace().enumerate() {
        let index = words::index_of(word).ok_or_else(|| CeremonyError::ShareWordUnknown {
            share: name.to_owned(),
            position: place + 1,
            word: presentable(word),
        })?;
        indices.push(index);
    }
    Ok(indices)
}

fn check_length(words: usize) -> Result<(), String> {
    let fits = SHARE_WORDS.contains(&words) && padding_bits(words - METADATA_WORDS) <= 8;
    fits.then_some(()).ok_or_else(|| format!("it has {words} words; a 256-bit share has 33, a 128-bit share 20"))
}

fn decode_value(bits: &mut BitReader<'_>, value_words: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let padding = padding_bits(value_words);
    if bits.take(padding) != 0 {
        return Err("its padding is not zero".to_owned());
    }
    let mut value = Zeroizing::new(vec![0; (value_words * 10 - padding as usize) / 8]);
    value.iter_mut().for_each(|byte| *byte = bits.take_u8(8));
    Ok(value)
}

/// The value is a multiple of 16 bits, padded on the left to whole words; more than 8 bits is no padding.
const fn padding_bits(value_words: usize) -> u32 {
    [0, 10, 4, 14, 8, 2, 12, 6][value_words % 8]
}

fn malformed(name: &str, cause: String) -> CeremonyError {
    CeremonyError::ShareMalformed { share: name.to_owned(), cause }
}

/// The first three words, which are no secret, as far as they are in the list.
fn first_words(text: &str) -> String {
    let known = |word: &&str| words::index_of(word).is_some();
    text.split_whitespace().take(3).take_while(known).collect::<Vec<_>>().join(" ")
}

/// A mistyped word may be shown; anything else in its place may be a secret.
fn presentable(word: &str) -> Option<String> {
    let looks_like_a_word = word.len() <= 12 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    looks_like_a_word.then(|| word.to_owned())
}

/// About two seconds of one core.
const MOST_EXPONENT: u8 = 6;
/// Two for identifier, flag and exponent, two for group and member, three of checksum.
const METADATA_WORDS: usize = 4 + checksum::CHECKSUM_WORDS;

/// Secrets of 128 to 256 bits.
const SHARE_WORDS: std::ops::RangeInclusive<usize> = 20..=33;

const LONGEST_WORD_AND_SPACE: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_reads_back_from_its_words() {
        let words = share().mnemonic();

        let read = Share::parse(&format!("  {}\n", words.expose().to_uppercase().replace(' ', "\t "))).unwrap();

        assert_eq!(read.mnemonic().expose(), words.expose());
        assert_eq!((read.number(), read.needed(), read.value.to_vec()), (3, 2, (0..32).collect()));
        assert_eq!(words.expose().split(' ').count(), 33);
    }

    #[test]
    fn an_unknown_word_is_named_with_its_place() {
        let words = share().mnemonic();
        let mut words: Vec<&str> = words.expose().split(' ').collect();
        words[11] = "acedemic";

        let error = Share::parse(&words.join(" ")).unwrap_err();

        let name = share().set_name();
        assert_eq!(
            error.to_string(),
            format!("word 12 of the share `{name} …`, `acedemic`, is not in the SLIP-39 list")
        );
    }

    #[test]
    fn what_cannot_be_a_mistyped_word_is_not_repeated() {
        let error = Share::parse("00112233445566778899aabbccddeeff").unwrap_err();

        assert_eq!(error.to_string(), "word 1 of the share ` …` is not in the SLIP-39 list");
    }

    #[test]
    fn a_wrong_word_of_the_list_is_located() {
        let words = share().mnemonic();
        let mut words: Vec<&str> = words.expose().split(' ').collect();
        words[19] = if words[19] == "zero" { "academic" } else { "zero" };

        let error = Share::parse(&words.join(" ")).unwrap_err();

        let name = share().set_name();
        assert_eq!(
            error.to_string(),
            format!("the checksum of the share `{name} …` does not hold: word 20 is wrong, if only one is")
        );
    }

    #[test]
    fn a_share_with_a_word_left_out_is_refused_for_its_length() {
        let words = share().mnemonic();

        let error = Share::parse(words.expose().rsplit_once(' ').unwrap().0).unwrap_err();

        assert!(error.to_string().ends_with("it has 32 words; a 256-bit share has 33, a 128-bit share 20"), "{error}");
    }

    #[test]
    fn debug_shows_neither_value_nor_words() {
        assert_eq!(format!("{:?}", share().mnemonic()), "Mnemonic(redacted)");
        assert_eq!(format!("{:?}", share()), format!("Share(number 3 of {:?}, value redacted)", share().set_name()));
    }

    fn share() -> Share {
        let set = SetParameters {
            identifier: 0x1234,
            extendable: false,
            iteration_exponent: 0,
            group_threshold: 1,
            group_count: 1,
        };
        let value = Zeroizing::new((0..32).collect());
        Share { set, group_index: 0, member_index: 2, member_threshold: 2, value }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in "[a-z ]{0,300}|\\PC{0,100}", picks in proptest::collection::vec(0u16..1024, 0..40)) {
            let _ = Share::parse(&text);
            let _ = Share::parse(Mnemonic::from_indices(&picks).expose());
        }
    }
}
