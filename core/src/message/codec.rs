//! Bytes to messages and back.
//!
//! A message is a CBOR map of one entry: its kind, and a map of its fields. minicbor skips unknown
//! fields without recursion, and no message type contains itself, so depth cannot be attacked.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// An enum of messages that one side may send.
pub trait Message: Serialize + DeserializeOwned {
    /// What errors call such a message.
    const NAME: &'static str;
    /// Every kind with the most bytes that it may have.
    const KINDS: &'static [(&'static str, usize)];

    /// Encodes the message.
    ///
    /// # Errors
    /// `MessageError::TooLong` if it exceeds its kind's limit, so that no peer has to refuse it.
    fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let bytes = encode_value(Self::NAME, self)?;
        match limit_of::<Self>(&bytes)? {
            Some(max) if bytes.len() > max => {
                Err(MessageError::TooLong { what: Self::NAME, len: bytes.len(), max })
            }
            Some(_) => Ok(bytes),
            None => {
                Err(MessageError::Malformed { what: Self::NAME, reason: "it has no kind".into() })
            }
        }
    }

    /// Decodes a whole message.
    ///
    /// # Errors
    /// `UnknownKind` for one of a later version; `TooLong` or `Malformed` for anything else.
    fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let max = limit_of::<Self>(bytes)?.ok_or_else(|| MessageError::Malformed {
            what: Self::NAME,
            reason: "it ends before its kind".into(),
        })?;
        decode_value(Self::NAME, bytes, max)
    }
}

/// Bytes are no message that this version understands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Longer than its kind may be.
    #[error(
        "a {what} of {len} bytes is over its limit of {max}; send less, for example shorter lists"
    )]
    TooLong {
        /// What it was.
        what: &'static str,
        /// Its length, or how much had arrived when it was refused.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A kind of a later version.
    #[error("unknown {what} {kind:?}; upgrade this device to understand it")]
    UnknownKind {
        /// What it was.
        what: &'static str,
        /// Its kind.
        kind: String,
    },
    /// Not CBOR of the right form, or a field out of its bounds.
    #[error("a {what} cannot be read: {reason}; one side may need an upgrade")]
    Malformed {
        /// What it was.
        what: &'static str,
        /// The decoder's finding.
        reason: String,
    },
}

/// Returns the limit of a message by its first bytes; `None` while its kind is incomplete.
pub(crate) fn limit_of<M: Message>(bytes: &[u8]) -> Result<Option<usize>, MessageError> {
    let head = &bytes[..bytes.len().min(HEAD_LEN_MAX)];
    let Some(&first) = head.first() else { return Ok(None) };
    let malformed =
        |reason: &str| MessageError::Malformed { what: M::NAME, reason: reason.to_owned() };
    if first != MAP_OF_ONE {
        return Err(malformed("it is no CBOR map of one entry"));
    }
    let mut deserializer = minicbor_serde::Deserializer::new(&head[1..]);
    match deserializer.decoder_mut().str() {
        Ok(kind) => match M::KINDS.iter().find(|(known, _)| *known == kind) {
            Some((_, max)) => Ok(Some(*max)),
            None => Err(MessageError::UnknownKind { what: M::NAME, kind: printable(kind) }),
        },
        Err(error) if error.is_end_of_input() && bytes.len() < HEAD_LEN_MAX => Ok(None),
        Err(_) => Err(malformed("its kind is no short text")),
    }
}

/// Encodes any serialisable value.
pub(crate) fn encode_value<T: Serialize>(
    what: &'static str,
    value: &T,
) -> Result<Vec<u8>, MessageError> {
    minicbor_serde::to_vec(value)
        .map_err(|error| MessageError::Malformed { what, reason: error.to_string() })
}

/// Decodes one value that fills `bytes`.
pub(crate) fn decode_value<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    max: usize,
) -> Result<T, MessageError> {
    if bytes.len() > max {
        return Err(MessageError::TooLong { what, len: bytes.len(), max });
    }
    let malformed = |reason: String| MessageError::Malformed { what, reason };
    let mut deserializer = minicbor_serde::Deserializer::new(bytes);
    let value = T::deserialize(&mut deserializer)
        .map_err(|error| malformed(printable(&error.to_string())))?;
    match deserializer.decoder().position() == bytes.len() {
        true => Ok(value),
        false => Err(malformed("bytes follow it".to_owned())),
    }
}

/// Returns text of a peer as it may be shown: no control characters, and short.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(PRINTABLE_CHARS_MAX).collect()
}

/// CBOR's first byte of a map with one entry. Source: RFC 8949 section 3.
const MAP_OF_ONE: u8 = 0xa1;
/// Bytes in which a message's kind must be complete; the longest kind has 17 characters.
pub(crate) const HEAD_LEN_MAX: usize = 64;
/// How much of a peer's text is shown; chosen to fit a few lines.
const PRINTABLE_CHARS_MAX: usize = 300;
