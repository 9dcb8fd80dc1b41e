//! Who a device certificate names.
//!
//! Checks no signature and no date: callers do that first, through rustls' stock verifiers.

use thiserror::Error;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry::{OID_SIG_ED25519, Oid},
    prelude::FromDer,
};

use crate::{
    certificate::mixer_mark::MixerMark,
    fingerprint::Fingerprint,
    identity::{NodeId, UserId, UserIdError},
    unix_time::UnixTime,
};

/// What a verified device certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Whose device it is.
    pub user: UserId,
    /// The device's public key.
    pub node: NodeId,
    /// Leave to mix and bridge, if the CA gave it.
    pub mixer: Option<MixerMark>,
    /// SHA-256 of this certificate.
    pub fingerprint: Fingerprint,
    /// The last second in which it is valid.
    pub not_after: UnixTime,
}

/// A certificate is not one of a Sabha device.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerCertificateError {
    /// Not X.509, or longer than any device certificate.
    #[error("the certificate cannot be read as X.509; the device must enrol again")]
    Malformed,
    /// Not an ed25519 key.
    #[error("the certificate's key is not ed25519; the device must enrol again")]
    KeyType,
    /// No email address, or several.
    #[error(
        "the certificate must name exactly one user by email, not {0}; the device must enrol again"
    )]
    Users(usize),
    /// The email address is not one that Sabha takes.
    #[error("the certificate names no proper user: {0}")]
    User(#[from] UserIdError),
    /// The DNS name is not the key's.
    #[error("the certificate's DNS name is not that of its key {0}; the device must enrol again")]
    Node(NodeId),
    /// The mixer mark's content is not understood.
    #[error(
        "the certificate's mixer mark cannot be read; the node must enrol again or be upgraded"
    )]
    Mark,
}

impl PeerCertificate {
    /// Reads a leaf that a stock verifier has accepted.
    ///
    /// # Errors
    /// `PeerCertificateError` if the CA signed something that is no device certificate.
    pub fn parse(leaf: &[u8]) -> Result<Self, PeerCertificateError> {
        if leaf.len() > CERTIFICATE_LEN_MAX {
            return Err(PeerCertificateError::Malformed);
        }
        let (rest, certificate) =
            X509Certificate::from_der(leaf).map_err(|_| PeerCertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(PeerCertificateError::Malformed);
        }
        let node = public_key(&certificate)?;
        let not_after = certificate.validity().not_after.timestamp();
        Ok(Self {
            user: user(&certificate, node)?,
            node,
            mixer: mixer_mark(&certificate)?,
            fingerprint: Fingerprint::of(leaf),
            not_after: UnixTime::from_secs(u64::try_from(not_after).unwrap_or(0)),
        })
    }
}

fn public_key(certificate: &X509Certificate<'_>) -> Result<NodeId, PeerCertificateError> {
    let info = certificate.public_key();
    if info.algorithm.algorithm != OID_SIG_ED25519 {
        return Err(PeerCertificateError::KeyType);
    }
    let key: &[u8] = &info.subject_public_key.data;
    key.try_into().map(NodeId).map_err(|_| PeerCertificateError::KeyType)
}

fn user(certificate: &X509Certificate<'_>, node: NodeId) -> Result<UserId, PeerCertificateError> {
    let names =
        certificate.subject_alternative_name().map_err(|_| PeerCertificateError::Malformed)?;
    let names = names.map_or(&[][..], |extension| &extension.value.general_names[..]);
    let mut users = Vec::new();
    let mut nodes = Vec::new();
    for name in names {
        match name {
            GeneralName::RFC822Name(user) => users.push(*user),
            GeneralName::DNSName(dns) => nodes.push(*dns),
            _ => {}
        }
    }
    if nodes.len() != 1 || NodeId::from_dns_name(nodes[0]) != Some(node) {
        return Err(PeerCertificateError::Node(node));
    }
    match users[..] {
        [user] => Ok(UserId::new(user)?),
        _ => Err(PeerCertificateError::Users(users.len())),
    }
}

fn mixer_mark(
    certificate: &X509Certificate<'_>,
) -> Result<Option<MixerMark>, PeerCertificateError> {
    let oid = Oid::from(&MixerMark::OID).expect("a constant with valid first arcs");
    let extension =
        certificate.get_extension_unique(&oid).map_err(|_| PeerCertificateError::Mark)?;
    let Some(extension) = extension else { return Ok(None) };
    MixerMark::from_der(extension.value).map(Some).ok_or(PeerCertificateError::Mark)
}

/// Longest certificate that is read, in bytes; a device's has about 600.
pub(crate) const CERTIFICATE_LEN_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        for bytes in [&[][..], &[0x30, 0x00], &[0xff; 64], &[0x30; 5000]] {
            assert_eq!(PeerCertificate::parse(bytes), Err(PeerCertificateError::Malformed));
        }
    }
}
