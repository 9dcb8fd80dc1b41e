//! What a host hands to people so that they can join.
//!
//! The text is `sabha:` and base 32 in lower case: double-clicking selects all of it, and neither
//! case nor the line breaks of a mail program harm it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use data_encoding::BASE32_NOPAD;
use thiserror::Error;

use crate::{domain::Domain, fingerprint::Fingerprint, identity::NodeId, message::ConferenceId};

/// A conference, its host, the CA, and where the host can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinLink {
    /// The conference.
    pub conference: ConferenceId,
    /// The host's device.
    pub host: NodeId,
    /// The root that everybody in the conference was certified under.
    pub root: Fingerprint,
    /// Where the host listens; at most `JoinLink::ADDRESSES_MAX` are written.
    pub addresses: Vec<SocketAddr>,
}

/// Text is no join link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JoinLinkError {
    /// Does not begin as a link does.
    #[error("a join link begins with \"sabha:\"; copy it again, from there to its end")]
    Scheme,
    /// A character that no link has.
    #[error("the join link has a character that does not belong in it; copy it again")]
    Character,
    /// The checksum does not fit.
    #[error("the join link is cut or mistyped (its checksum does not fit); copy it again in full")]
    Checksum,
    /// Made by a later version.
    #[error("the join link is of version {0}, this program knows version {VERSION}; upgrade it")]
    Version(u8),
    /// Checksum and version fit, the rest does not.
    #[error("the join link's content is wrong; ask the host for a new one")]
    Content,
    /// More text than any link has.
    #[error("the join link is longer than any can be; copy only the link")]
    TooLong,
}

impl JoinLink {
    /// Addresses that a link carries; more would make it unwieldy.
    pub const ADDRESSES_MAX: usize = 4;

    fn to_bytes(&self) -> Vec<u8> {
        let addresses = &self.addresses[..self.addresses.len().min(Self::ADDRESSES_MAX)];
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.conference.0);
        bytes.extend_from_slice(&self.host.0);
        bytes.extend_from_slice(&self.root.0);
        bytes.push(u8::try_from(addresses.len()).expect("cut to ADDRESSES_MAX"));
        for address in addresses {
            match address.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(4);
                    bytes.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(6);
                    bytes.extend_from_slice(&ip.octets());
                }
            }
            bytes.extend_from_slice(&address.port().to_be_bytes());
        }
        bytes.extend_from_slice(&checksum(&bytes));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, JoinLinkError> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(JoinLinkError::Checksum)?;
        if checksum(body) != *sum {
            return Err(JoinLinkError::Checksum);
        }
        let mut fields = Fields(body);
        match fields.take::<1>()? {
            [VERSION] => {}
            [other] => return Err(JoinLinkError::Version(other)),
        }
        let (conference, host) = (ConferenceId(fields.take()?), NodeId(fields.take()?));
        let root = Fingerprint(fields.take()?);
        let [count] = fields.take()?;
        if usize::from(count) > Self::ADDRESSES_MAX {
            return Err(JoinLinkError::Content);
        }
        let addresses = (0..count).map(|_| fields.address()).collect::<Result<_, _>>()?;
        match fields.0 {
            [] => Ok(Self { conference, host, root, addresses }),
            _ => Err(JoinLinkError::Content),
        }
    }
}

impl fmt::Display for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", BASE32_NOPAD.encode(&self.to_bytes()).to_ascii_lowercase())
    }
}

impl FromStr for JoinLink {
    type Err = JoinLinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > TEXT_LEN_MAX {
            return Err(JoinLinkError::TooLong);
        }
        let text = text.trim();
        let scheme = text.get(..SCHEME.len()).ok_or(JoinLinkError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(JoinLinkError::Scheme);
        }
        let digits = text[SCHEME.len()..].chars().filter(|c| !c.is_whitespace());
        let digits: String = digits.map(|c| c.to_ascii_uppercase()).collect();
        let bytes = BASE32_NOPAD.decode(digits.as_bytes()).map_err(|error| match error.kind {
            data_encoding::DecodeKind::Symbol => JoinLinkError::Character,
            _ => JoinLinkError::Checksum,
        })?;
        Self::from_bytes(&bytes)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], JoinLinkError> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(JoinLinkError::Content)?;
        self.0 = rest;
        Ok(*field)
    }

    fn address(&mut self) -> Result<SocketAddr, JoinLinkError> {
        let ip = match self.take()? {
            [4] => IpAddr::from(self.take::<4>()?),
            [6] => IpAddr::from(self.take::<16>()?),
            _ => return Err(JoinLinkError::Content),
        };
        Ok(SocketAddr::new(ip, u16::from_be_bytes(self.take()?)))
    }
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = Domain::JOIN_LINK.sha256(&[body]);
    [a, b, c, d]
}

/// How every link begins.
const SCHEME: &str = "sabha:";
/// Layout of the bytes behind the scheme.
const VERSION: u8 = 1;
/// Longest text looked at; four IPv6 addresses make 290 characters, mail programs add breaks.
const TEXT_LEN_MAX: usize = 1024;
