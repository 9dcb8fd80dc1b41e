//! A device's public key as its name.

use rustls::pki_types::ServerName;

use crate::hex32::hex32;

hex32! {
    /// A device's ed25519 public key; names the device in every message and certificate.
    NodeId, "a node ID"
}

impl NodeId {
    /// Returns the ID as a DNS name: two labels of 32 hex digits each.
    ///
    /// A DNS label holds at most 63 characters (RFC 1035 section 2.3.4), one too few for 64.
    #[must_use]
    pub fn dns_name(&self) -> String {
        let hex = self.to_string();
        format!("{}.{}", &hex[..32], &hex[32..])
    }

    /// Reads an ID from the form that `dns_name` writes; nothing else is accepted.
    #[must_use]
    pub fn from_dns_name(name: &str) -> Option<Self> {
        let (first, second) = name.split_once('.')?;
        let is_lower =
            name.bytes().all(|b| b == b'.' || b.is_ascii_digit() || b.is_ascii_lowercase());
        if first.len() != 32 || second.len() != 32 || !is_lower {
            return None;
        }
        format!("{first}{second}").parse().ok()
    }

    /// Returns the name that TLS checks, or `None` for the one key in three million without one.
    ///
    /// A last label of digits alone would look like an IPv4 address, so verifiers refuse it;
    /// `DeviceKey::generate` never returns such a key.
    #[must_use]
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        ServerName::try_from(self.dns_name()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_name_round_trips() {
        let id = NodeId(std::array::from_fn(|i| u8::try_from(i * 7 + 3).unwrap()));
        assert_eq!(NodeId::from_dns_name(&id.dns_name()), Some(id));
        assert!(id.server_name().is_some());
    }

    #[test]
    fn last_label_of_digits_has_no_server_name() {
        assert_eq!(NodeId([0x11; 32]).server_name(), None);
    }

    #[test]
    fn other_dns_names_are_no_node_ids() {
        let id = NodeId([0xab; 32]);
        for name in ["ca.sabha", "", ".", &id.to_string(), &id.dns_name().to_uppercase()] {
            assert_eq!(NodeId::from_dns_name(name), None, "{name}");
        }
    }
}
