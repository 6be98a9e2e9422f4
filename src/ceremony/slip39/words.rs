//! The 1,024 words of SLIP-0039, 10 bits each.
//!
//! `words.txt` is the list of the standard as the Python package `shamir-mnemonic` 0.3.0 ships it
//! (MIT licence, copyright `SatoshiLabs`). It is sorted, and four letters tell each word.

use std::sync::LazyLock;

/// The word of an index; only its low 10 bits count.
pub(super) fn word(index: u16) -> &'static str {
    LIST[usize::from(index & 0x3ff)]
}

/// The index of a word in lower case.
pub(super) fn index_of(word: &str) -> Option<u16> {
    LIST.binary_search(&word).ok().and_then(|index| u16::try_from(index).ok())
}

static LIST: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("words.txt").lines().collect());

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_list_has_1024_sorted_words_that_four_letters_tell_apart() {
        assert_eq!(LIST.len(), 1024);
        assert!(LIST.is_sorted());
        assert_eq!(LIST.iter().map(|word| &word[..4]).collect::<BTreeSet<_>>().len(), 1024);
    }

    #[test]
    fn a_word_and_its_index_lead_to_each_other() {
        assert_eq!((word(0), word(1023)), ("academic", "zero"));
        assert!((0..1024).all(|index| index_of(word(index)) == Some(index)));
        assert_eq!(index_of("keyward"), None);
    }
}
