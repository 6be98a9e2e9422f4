//! Fields of a few bits in words of ten, most significant bit first.

use zeroize::Zeroizing;

/// Puts fields together into words.
pub(super) struct BitWriter {
    words: Zeroizing<Vec<u16>>,
    pending: u32,
    pending_bits: u32,
}

impl BitWriter {
    /// Room for so many words: a growing vector would leave copies behind.
    pub(super) fn with_capacity(words: usize) -> Self {
        Self { words: Zeroizing::new(Vec::with_capacity(words)), pending: 0, pending_bits: 0 }
    }

    /// Appends the low `width` bits, at most 16.
    pub(super) fn put(&mut self, value: u16, width: u32) {
        self.pending = self.pending << width | u32::from(value);
        self.pending_bits += width;
        while self.pending_bits >= WORD_BITS {
            self.pending_bits -= WORD_BITS;
            self.words.push(low_16(self.pending >> self.pending_bits));
            self.pending &= (1 << self.pending_bits) - 1;
        }
    }

    /// The words; all fields together must fill them.
    pub(super) fn into_words(self) -> Zeroizing<Vec<u16>> {
        debug_assert_eq!(self.pending_bits, 0);
        self.words
    }
}

/// Takes fields out of words.
pub(super) struct BitReader<'a> {
    words: &'a [u16],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(words: &'a [u16]) -> Self {
        Self { words, position: 0 }
    }

    /// The next `width` bits, at most 16; zeros after the end.
    pub(super) fn take(&mut self, width: u32) -> u16 {
        (0..width).fold(0, |value, _| value << 1 | self.bit())
    }

    /// The next `width` bits, at most 8.
    pub(super) fn take_u8(&mut self, width: u32) -> u8 {
        self.take(width).to_le_bytes()[0]
    }

    fn bit(&mut self) -> u16 {
        let (word, offset) = (self.position / 10, self.position % 10);
        self.position += 1;
        self.words.get(word).map_or(0, |word| word >> (9 - offset) & 1)
    }
}

fn low_16(value: u32) -> u16 {
    let [low, high, ..] = value.to_le_bytes();
    u16::from_le_bytes([low, high])
}

const WORD_BITS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_back_as_they_were_written() {
        let mut writer = BitWriter::with_capacity(4);
        for (value, width) in [(0x5a5a & 0x7fff, 15), (1, 1), (9, 4), (0, 2), (0xff, 8), (0x2aa, 10)] {
            writer.put(value, width);
        }
        let words = writer.into_words();
        let mut reader = BitReader::new(&words);

        assert_eq!(*words, [0b10_1101_0010, 0b11_0101_1001, 0b00_1111_1111, 0b10_1010_1010]);
        assert_eq!((reader.take(15), reader.take(1), reader.take_u8(4)), (0x5a5a, 1, 9));
        assert_eq!((reader.take(2), reader.take_u8(8), reader.take(10)), (0, 0xff, 0x2aa));
        assert_eq!(reader.take(8), 0);
    }
}
