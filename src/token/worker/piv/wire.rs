//! Commands to the card that the `yubikey` crate does not have, or has with less than is needed (ISO 7816-4): a PIN that
//! is not kept in a buffer of the crate's own, a signature whose status word can be read, and a key's deletion.
//!
//! It is a second handle on the same card. What a card remembers (application, PIN, management key) it remembers for
//! both; ending this handle leaves the card as it is.

use pcsc::{Card, Context, Disposition, Error, Protocols, Scope, ShareMode};
use std::ffi::CString;
use zeroize::Zeroizing;

/// A connection to one card.
pub(super) struct Wire {
    /// None only while it is being dropped.
    card: Option<Card>,
}

/// A command: instruction, parameters, data.
#[derive(Clone, Copy)]
pub(super) struct Command<'a> {
    pub(super) instruction: u8,
    pub(super) p1: u8,
    pub(super) p2: u8,
    pub(super) data: &'a [u8],
}

/// The card's answer.
pub(super) struct Reply {
    /// Status word.
    pub(super) status: u16,
    pub(super) data: Zeroizing<Vec<u8>>,
}

impl Wire {
    /// Connects to the card in the reader of this name.
    pub(super) fn connect(reader: &str) -> Result<Self, Error> {
        let reader = CString::new(reader).map_err(|_| Error::UnknownReader)?;
        let card = Context::establish(Scope::System)?.connect(&reader, ShareMode::Shared, Protocols::T1)?;
        Ok(Self { card: Some(card) })
    }

    /// One command, in as many pieces as its data need, and the whole of its answer.
    pub(super) fn ask(&mut self, command: Command<'_>) -> Result<Reply, Error> {
        let card = self.card.as_mut().ok_or(Error::InvalidHandle)?;
        let transaction = card.transaction()?;
        let mut pieces = command.data.chunks(PIECE_BYTES).peekable();
        let mut reply = Reply { status: SUCCESS, data: Zeroizing::default() };
        loop {
            let piece = pieces.next().unwrap_or_default();
            let class = if pieces.peek().is_some() { CHAINED } else { 0 };
            let header = [class, command.instruction, command.p1, command.p2];
            reply.add(&transmit(&transaction, header, piece)?);
            if pieces.peek().is_none() || reply.status != SUCCESS {
                break;
            }
        }
        while reply.status & 0xFF00 == MORE {
            reply.add(&transmit(&transaction, [0, GET_RESPONSE, 0, 0], &[])?);
        }
        Ok(reply)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(card) = self.card.take() {
            // A card that is gone is as good as let go.
            let _ = card.disconnect(Disposition::LeaveCard);
        }
    }
}

impl Reply {
    fn add(&mut self, answer: &[u8]) {
        match answer.split_last_chunk::<2>() {
            Some((data, status)) => {
                self.status = u16::from_be_bytes(*status);
                self.data.extend_from_slice(data);
            }
            None => self.status = 0,
        }
    }
}

fn transmit(card: &pcsc::Transaction<'_>, header: [u8; 4], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let length = u8::try_from(data.len()).map_err(|_| Error::InvalidParameter)?;
    let command = Zeroizing::new([header.as_slice(), &[length], data].concat());
    let mut answer = Zeroizing::new(vec![0; ANSWER_BYTES]);
    let received = card.transmit(&command, &mut answer)?.len();
    answer.truncate(received);
    Ok(answer)
}

/// The value of the first element with this tag; lengths as in BER (ISO 7816-4, section 5.2.2).
pub(super) fn element(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut rest = bytes;
    while let [found, first, after @ ..] = rest {
        let (length, after) = match first {
            0..=0x7F => (usize::from(*first), after),
            0x81 | 0x82 => {
                let (length, after) = after.split_at_checked(usize::from(first - 0x80))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), after)
            }
            _ => return None,
        };
        let (value, after) = after.split_at_checked(length)?;
        if *found == tag {
            return Some(value);
        }
        rest = after;
    }
    None
}

/// An element: tag, length, value.
pub(super) fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let [.., high, low] = value.len().to_be_bytes();
    let length: &[u8] = match value.len() {
        0..=0x7F => &[low],
        0x80..=0xFF => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag], length, value].concat()
}

/// The status word of a command that was carried out.
pub(super) const SUCCESS: u16 = 0x9000;
/// In its high byte: that there is more to fetch.
const MORE: u16 = 0x6100;
const GET_RESPONSE: u8 = 0xC0;
/// Class of a command that goes on in the next one.
const CHAINED: u8 = 0x10;
/// Data that one short command can have.
const PIECE_BYTES: usize = 255;
/// The longest short answer, with its status word.
const ANSWER_BYTES: usize = 258;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_again_whatever_the_length_of_its_value() {
        for length in [0, 1, 127, 128, 255, 256, 1_000] {
            let value = vec![7; length];
            let list = [tagged(0x80, &[1, 2]), tagged(0x82, &value)].concat();

            assert_eq!(element(&list, 0x82), Some(value.as_slice()));
            assert_eq!(element(&list, 0x81), None);
        }
    }

    #[test]
    fn what_is_cut_has_no_element() {
        assert_eq!(element(&[0x82, 0x03, 1, 2], 0x82), None);
        assert_eq!(element(&[0x82, 0x82, 0x01], 0x82), None);
        assert_eq!(element(&[0x82, 0x83, 0, 0, 1, 7], 0x82), None);
        assert_eq!(element(&[0x82], 0x82), None);
    }
}
