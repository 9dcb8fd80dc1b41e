//! Names of 32 bytes that people read as 64 hex digits and messages carry as bytes.

use data_encoding::HEXLOWER_PERMISSIVE;
use thiserror::Error;

/// Text that should have been 64 hex digits is not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} must be 64 hexadecimal digits, but {found:?} is not; copy it again in full")]
pub struct HexError {
    what: &'static str,
    found: String,
}

/// Parses 64 hex digits; colons and surrounding blanks are allowed, upper case too.
pub(crate) fn parse(what: &'static str, text: &str) -> Result<[u8; 32], HexError> {
    let wrong = || HexError { what, found: text.chars().take(FOUND_CHARS_MAX).collect() };
    if text.len() > TEXT_LEN_MAX {
        return Err(wrong());
    }
    let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

/// Defines a newtype over `[u8; 32]` with hex text and CBOR bytes.
macro_rules! hex32 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "serde_bytes")] pub [u8; 32]);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::hex32::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::hex32::parse($what, text).map(Self)
            }
        }
    };
}

pub(crate) use hex32;

/// Longest text looked at: 64 digits, a colon between each pair, and some blanks.
const TEXT_LEN_MAX: usize = 128;
/// How much of a wrong text an error repeats; chosen to fit a line.
const FOUND_CHARS_MAX: usize = 80;
