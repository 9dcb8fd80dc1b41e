//! SDES, BYE and APP.

use crate::leg::Ssrc;
use crate::rtcp::sdes_item;
use crate::rtp::read_u32;

/// A source description; of its items only CNAME is offered.
#[derive(Clone, Copy, Debug)]
pub struct SourceDescription<'a> {
    chunks: SdesChunks<'a>,
}

impl<'a> SourceDescription<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let chunks = SdesChunks { left: count, rest: body };
        let mut walk = chunks;
        while walk.left > 0 {
            walk = walk.split_first()?.1;
        }
        Some(Self { chunks })
    }

    /// Returns the chunks, one for each source.
    pub const fn chunks(&self) -> SdesChunks<'a> {
        self.chunks
    }
}

/// What a source says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    /// Its canonical name, up to 255 octets, meant to be UTF-8 but not checked.
    pub cname: Option<&'a [u8]>,
}

/// Iterates over the chunks of one source description, at most `COUNT_MAX`.
#[derive(Clone, Copy, Debug)]
pub struct SdesChunks<'a> {
    left: u8,
    rest: &'a [u8],
}

impl<'a> SdesChunks<'a> {
    /// Splits the first chunk from those behind it; `None` if an item runs past the packet.
    fn split_first(self) -> Option<(SdesChunk<'a>, Self)> {
        let ssrc = Ssrc(read_u32(self.rest, 0)?);
        let mut cname = None;
        let mut at = 4;
        loop {
            let item = *self.rest.get(at)?;
            if item == sdes_item::END {
                break;
            }
            let text = at + 2;
            at = text + usize::from(*self.rest.get(at + 1)?);
            let text = self.rest.get(text..at)?;
            if item == sdes_item::CNAME {
                cname = cname.or(Some(text));
            }
        }
        // At least one zero octet ends the list, and more fill the 32-bit word.
        let rest = self.rest.get((at + 1).next_multiple_of(4)..)?;
        Some((SdesChunk { ssrc, cname }, Self { left: self.left - 1, rest }))
    }
}

impl<'a> Iterator for SdesChunks<'a> {
    type Item = SdesChunk<'a>;

    fn next(&mut self) -> Option<SdesChunk<'a>> {
        if self.left == 0 {
            return None;
        }
        let (chunk, rest) = self.split_first()?;
        *self = rest;
        Some(chunk)
    }
}

/// A farewell of up to `COUNT_MAX` sources.
#[derive(Clone, Copy, Debug)]
pub struct Goodbye<'a> {
    sources: &'a [u8],
    reason: &'a [u8],
}

impl<'a> Goodbye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let (sources, behind) = body.split_at_checked(4 * usize::from(count))?;
        let reason = match behind.split_first() {
            Some((length, text)) => text.get(..usize::from(*length))?,
            None => &[],
        };
        Some(Self { sources, reason })
    }

    /// Returns the sources that leave.
    pub fn sources(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let sources = self.sources;
        (0..sources.len() / 4).filter_map(move |index| read_u32(sources, 4 * index).map(Ssrc))
    }

    /// Returns why, up to 255 octets, meant to be UTF-8 but not checked; empty if not said.
    pub const fn reason(&self) -> &'a [u8] {
        self.reason
    }
}

/// An application-defined packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application<'a> {
    /// Chosen by whoever owns the name, 0 to 31.
    pub subtype: u8,
    /// The source.
    pub ssrc: Ssrc,
    /// Four ASCII characters; case counts.
    pub name: [u8; 4],
    /// A multiple of four octets.
    pub data: &'a [u8],
}

impl<'a> Application<'a> {
    pub(super) fn parse(subtype: u8, body: &'a [u8]) -> Option<Self> {
        let ssrc = Ssrc(read_u32(body, 0)?);
        let (name, data) = body[4..].split_first_chunk()?;
        Some(Self { subtype, ssrc, name: *name, data })
    }
}
