//! Addresses as people type them.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use sabha_core::{HexError, NodeId};
use thiserror::Error;

/// A host, by name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// A node's ID, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// Who must answer.
    pub node: NodeId,
    /// Where.
    pub address: HostPort,
}

/// Text is no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not of the form HOST:PORT.
    #[error(
        "{0:?} is not an address; write HOST:PORT, such as 192.0.2.7:4600, [2001:db8::7]:4600 or node.example.org:4600"
    )]
    HostPort(String),
    /// No node ID before the address.
    #[error("{0:?} is not a node with its address; write NODE@HOST:PORT with the ID in hex")]
    Node(String),
    /// The node ID is wrong.
    #[error(transparent)]
    NodeId(#[from] HexError),
}

/// A name has no address.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The look-up failed.
    #[error("cannot find the address of {name}: {source}; check the name and the network")]
    Lookup {
        /// What was looked up.
        name: HostPort,
        /// The system's reason.
        source: io::Error,
    },
    /// The look-up found nothing.
    #[error("{0} has no IP address; check the name")]
    Nothing(HostPort),
}

impl HostPort {
    /// Looks the host up; returns one to `ADDRESSES_MAX` addresses, in the system's order.
    ///
    /// # Errors
    /// `ResolveError` if the name is not known.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ResolveError> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|source| ResolveError::Lookup { name: self.clone(), source })?;
        let addresses: Vec<_> = found.take(ADDRESSES_MAX).collect();
        if addresses.is_empty() {
            return Err(ResolveError::Nothing(self.clone()));
        }
        Ok(addresses)
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let wrong = || AddressError::HostPort(text.to_owned());
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || host.len() > HOST_LEN_MAX || !host.chars().all(is_name) {
            return Err(wrong());
        }
        let port = port.parse().map_err(|_| wrong())?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || AddressError::Node(text.to_owned());
        let (node, address) = text.split_once('@').ok_or_else(wrong)?;
        Ok(Self { node: node.parse()?, address: address.parse()? })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.address)
    }
}

/// Addresses of one name that are tried; chosen to bound the wait if none of them answers.
const ADDRESSES_MAX: usize = 4;
/// Longest host name. Source: RFC 1035 section 2.3.4.
const HOST_LEN_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_round_trip() {
        for text in ["127.0.0.1:4600", "[::1]:4600", "node.example.org:1", "ca:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_text_is_refused_with_a_remedy() {
        for text in ["", "4600", ":4600", "::1:4600", "a b:1", "host:", "host:70000", "a/b:1"] {
            let error = text.parse::<HostPort>().unwrap_err().to_string();
            assert!(error.contains("write HOST:PORT"), "{error}");
        }
    }

    #[test]
    fn node_needs_its_whole_id() {
        let text = format!("{}@127.0.0.1:4600", "ab".repeat(32));
        assert_eq!(text.parse::<NodeAddress>().unwrap().to_string(), text);
        for text in ["127.0.0.1:4600", "abcd@127.0.0.1:4600", "@127.0.0.1:4600"] {
            assert!(text.parse::<NodeAddress>().is_err(), "{text}");
        }
    }
}
