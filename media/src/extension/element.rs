//! Elements of an RFC 8285 block, in either form.

use crate::drop_reason::DropReason;
use crate::rtp::ExtensionBlock;

/// One element of a header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its agreed identifier: 1 to 14 in the one-byte form, 1 to 255 in the two-byte form.
    pub id: u8,
    /// Its value: 1 to 16 octets in the one-byte form, 0 to 255 in the two-byte form.
    pub bytes: &'a [u8],
}

/// Iterates over the elements of one block; padding is skipped.
///
/// Yields `MalformedExtension` once, and then ends, where an element runs past the block. Blocks
/// of a profile that RFC 8285 does not define have no elements.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Starts at the block's first element.
    pub fn new(block: ExtensionBlock<'a>) -> Self {
        let (form, rest) = match block.profile {
            ONE_BYTE_PROFILE => (Form::OneByte, block.bytes),
            // The low four bits are "appbits" with no meaning here (RFC 8285 section 4.3).
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => (Form::TwoByte, block.bytes),
            _ => (Form::OneByte, &[][..]),
        };
        Self { form, rest }
    }

    /// Returns the value of the first element named `id`, if there is one.
    ///
    /// # Errors
    /// `MalformedExtension` if the block breaks before such an element is found.
    pub fn find_id(self, id: u8) -> Result<Option<&'a [u8]>, DropReason> {
        for element in self {
            let element = element?;
            if element.id == id {
                return Ok(Some(element.bytes));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, DropReason>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let block = std::mem::take(&mut self.rest);
        if block.is_empty() {
            return None;
        }
        let Some((id, length, header)) = self.form.element_header(block) else {
            return Some(Err(DropReason::MalformedExtension));
        };
        // Identifier 15 ends the block, and so does a 0 with a length (RFC 8285 section 4.2).
        if self.form == Form::OneByte && (id == 0 || id == 15) {
            return None;
        }
        let Some(bytes) = block.get(header..header + length) else {
            return Some(Err(DropReason::MalformedExtension));
        };
        self.rest = &block[header + length..];
        Some(Ok(Element { id, bytes }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

impl Form {
    /// Reads identifier, length of the value, and length of the element's own header.
    fn element_header(self, block: &[u8]) -> Option<(u8, usize, usize)> {
        let first = *block.first()?;
        match self {
            Self::OneByte => Some((first >> 4, usize::from(first & 0x0f) + 1, 1)),
            Self::TwoByte => Some((first, usize::from(*block.get(1)?), 2)),
        }
    }
}

/// Profile of a block in the one-byte form. Source: RFC 8285 section 4.2.
pub(super) const ONE_BYTE_PROFILE: u16 = 0xbede;

/// Profile of a block in the two-byte form, appbits zero. Source: RFC 8285 section 4.3.
const TWO_BYTE_PROFILE: u16 = 0x1000;
