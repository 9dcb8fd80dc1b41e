//! Writing a block in the one-byte form.

use thiserror::Error;

use crate::extension::element::ONE_BYTE_PROFILE;
use crate::rtp::header::EXTENSION_HEADER_LEN;

/// Why an element was not written. The block stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ElementRefused {
    /// Identifiers of the one-byte form are 1 to 14.
    #[error("element identifier {0} is not within 1 to 14")]
    Id(u8),
    /// Values of the one-byte form have 1 to 16 octets.
    #[error("an element of {0} octets is not within 1 to 16")]
    Length(usize),
    /// The buffer ends before the padded block would.
    #[error("the block needs {needed} octets and has room for {room}")]
    NoRoom {
        /// Octets that the block would take with this element.
        needed: usize,
        /// Octets that the buffer has.
        room: usize,
    },
}

/// Writes one extension block: profile, length, elements, padding to 32 bits.
///
/// The packet's X bit is the caller's to set. Source: RFC 8285 section 4.2.
#[derive(Debug)]
pub struct ElementWriter<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> ElementWriter<'a> {
    /// Starts an empty block at the start of `out`.
    ///
    /// # Errors
    /// `NoRoom` if `out` is shorter than the block's four-octet header.
    pub fn new(out: &'a mut [u8]) -> Result<Self, ElementRefused> {
        if out.len() < EXTENSION_HEADER_LEN {
            return Err(ElementRefused::NoRoom { needed: EXTENSION_HEADER_LEN, room: out.len() });
        }
        Ok(Self { out, length: EXTENSION_HEADER_LEN })
    }

    /// Appends one element.
    ///
    /// # Errors
    /// `Id` or `Length` if the form cannot carry it, `NoRoom` if the buffer ends before it.
    pub fn push(&mut self, id: u8, bytes: &[u8]) -> Result<(), ElementRefused> {
        if !(1..=14).contains(&id) {
            return Err(ElementRefused::Id(id));
        }
        if !(1..=16).contains(&bytes.len()) {
            return Err(ElementRefused::Length(bytes.len()));
        }
        let end = self.length + 1 + bytes.len();
        let (needed, room) = (end.next_multiple_of(4), self.out.len());
        if room < needed {
            return Err(ElementRefused::NoRoom { needed, room });
        }
        self.out[self.length] = id << 4 | (bytes.len() - 1) as u8;
        self.out[self.length + 1..end].copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }

    /// Pads the block, writes its header and returns its length in octets, a multiple of four.
    pub fn finish(self) -> usize {
        let padded = self.length.next_multiple_of(4);
        self.out[self.length..padded].fill(0);
        let words = ((padded - EXTENSION_HEADER_LEN) / 4) as u16;
        self.out[..2].copy_from_slice(&ONE_BYTE_PROFILE.to_be_bytes());
        self.out[2..EXTENSION_HEADER_LEN].copy_from_slice(&words.to_be_bytes());
        padded
    }
}
