//! What goes wrong between two devices, in words for whoever sits at one of them.

use std::{fmt, net::SocketAddr};

use quinn::{ConnectionError, ReadError, WriteError};
use thiserror::Error;

use crate::{
    certificate::PeerCertificateError,
    identity::NodeId,
    message::codec::{MessageError, printable},
    quic::certificate_problem::CertificateProblem,
};

/// Whom an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A CA's server.
    Authority(SocketAddr),
    /// A device whose ID is known.
    Device(NodeId, SocketAddr),
    /// A device that has not said who it is.
    Caller(SocketAddr),
}

/// A session could not be made, or broke.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// No answer at all.
    #[error("{peer} does not answer; check the address, and that UDP passes the firewalls between")]
    Silent {
        /// Whom.
        peer: Peer,
    },
    /// The address cannot be used.
    #[error("{peer} cannot be called: {reason}; check the address")]
    Address {
        /// Whom.
        peer: Peer,
        /// What is wrong with it.
        reason: String,
    },
    /// The other side does not accept our certificate.
    #[error("{peer} refused us: {}", .why.ours())]
    RefusedUs {
        /// Who.
        peer: Peer,
        /// Why.
        why: CertificateProblem,
    },
    /// We do not accept the other side's certificate.
    #[error("{peer} was refused: {}", .why.theirs())]
    PeerRefused {
        /// Who.
        peer: Peer,
        /// Why.
        why: CertificateProblem,
    },
    /// The certificate verifies, but is not a device's.
    #[error("{peer} was refused: {error}")]
    NoDevice {
        /// Who.
        peer: Peer,
        /// What is wrong with the certificate.
        error: PeerCertificateError,
    },
    /// No common protocol version.
    #[error("{peer} speaks another version of the protocol; upgrade the older of the two")]
    Version {
        /// Who.
        peer: Peer,
    },
    /// The other side said good-bye.
    #[error("{peer} closed the session: {reason}")]
    Closed {
        /// Who.
        peer: Peer,
        /// Its words.
        reason: String,
    },
    /// The other side fell silent.
    #[error("the session with {peer} is lost: it fell silent or restarted; connect again")]
    Lost {
        /// Who.
        peer: Peer,
    },
    /// This side closed the session.
    #[error("the session with {peer} was closed on this side")]
    ClosedHere {
        /// Who.
        peer: Peer,
    },
    /// The other side lives, but does not answer.
    #[error("{peer} did not finish a message within {secs} s; it may be overloaded, try again")]
    Timeout {
        /// Who.
        peer: Peer,
        /// How long was waited.
        secs: u64,
    },
    /// The other side broke off one exchange.
    #[error("{peer} broke off a request; try again")]
    BrokenOff {
        /// Who.
        peer: Peer,
    },
    /// A message could not be read or sent.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Any other finding of QUIC.
    #[error("the session with {peer} failed: {reason}; connect again")]
    Transport {
        /// Who.
        peer: Peer,
        /// The finding.
        reason: String,
    },
}

impl LinkError {
    /// Explains why a handshake failed.
    pub(crate) fn handshake(peer: Peer, error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::Silent { peer },
            error => Self::broken(peer, error),
        }
    }

    /// Explains why a connection ended.
    pub(crate) fn broken(peer: Peer, error: ConnectionError) -> Self {
        match error {
            ConnectionError::TransportError(error) => {
                Self::tls(u64::from(error.code), peer, |why| Self::PeerRefused { peer, why })
                    .unwrap_or_else(|| Self::Transport { peer, reason: error.to_string() })
            }
            ConnectionError::ConnectionClosed(close) => {
                Self::tls(u64::from(close.error_code), peer, |why| Self::RefusedUs { peer, why })
                    .unwrap_or_else(|| Self::Transport {
                        peer,
                        reason: printable(&close.to_string()),
                    })
            }
            ConnectionError::ApplicationClosed(close) => {
                let reason = printable(&String::from_utf8_lossy(&close.reason));
                let is_silent = reason.is_empty();
                let reason = if is_silent { "it gave no reason".to_owned() } else { reason };
                Self::Closed { peer, reason }
            }
            ConnectionError::TimedOut | ConnectionError::Reset => Self::Lost { peer },
            ConnectionError::LocallyClosed => Self::ClosedHere { peer },
            ConnectionError::VersionMismatch => Self::Version { peer },
            other => Self::Transport { peer, reason: other.to_string() },
        }
    }

    pub(crate) fn read(peer: Peer, error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Self::broken(peer, error),
            _ => Self::BrokenOff { peer },
        }
    }

    pub(crate) fn write(peer: Peer, error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Self::broken(peer, error),
            _ => Self::BrokenOff { peer },
        }
    }

    /// QUIC carries TLS alerts as error codes 0x100 to 0x1ff. Source: RFC 9001 section 4.8.
    fn tls(code: u64, peer: Peer, refused: impl Fn(CertificateProblem) -> Self) -> Option<Self> {
        match u8::try_from(code.checked_sub(0x100)?).ok()? {
            NO_APPLICATION_PROTOCOL | PROTOCOL_VERSION => Some(Self::Version { peer }),
            alert => Some(refused(CertificateProblem::from_alert(alert))),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority(address) => write!(f, "the CA at {address}"),
            Self::Device(node, address) => write!(f, "device {:.8} at {address}", node.to_string()),
            Self::Caller(address) => write!(f, "the caller from {address}"),
        }
    }
}

/// TLS alert. Source: RFC 7301 section 3.2.
const NO_APPLICATION_PROTOCOL: u8 = 120;
/// TLS alert. Source: RFC 8446 section 6.
const PROTOCOL_VERSION: u8 = 70;

#[cfg(test)]
mod tests {
    use quinn::{ConnectionClose, TransportErrorCode};

    use super::*;

    const PEER: Peer = Peer::Caller(SocketAddr::new(std::net::IpAddr::V4(ANY), 1));
    const ANY: std::net::Ipv4Addr = std::net::Ipv4Addr::UNSPECIFIED;

    fn alert(code: u8) -> LinkError {
        let error_code = TransportErrorCode::crypto(code);
        let close = ConnectionClose { error_code, frame_type: None, reason: "".into() };
        LinkError::broken(PEER, ConnectionError::ConnectionClosed(close))
    }

    #[test]
    fn silence_before_and_after_the_handshake_are_told_apart() {
        let before = LinkError::handshake(PEER, ConnectionError::TimedOut);
        assert_eq!(before, LinkError::Silent { peer: PEER });
        assert!(before.to_string().contains("does not answer"));
        let after = LinkError::broken(PEER, ConnectionError::TimedOut);
        assert_eq!(after, LinkError::Lost { peer: PEER });
    }

    #[test]
    fn alerts_become_advice() {
        for (code, word) in [(42, "join link"), (44, "operator"), (45, "renew"), (48, "another CA")]
        {
            assert!(alert(code).to_string().contains(word), "{}", alert(code));
        }
        assert_eq!(alert(120), LinkError::Version { peer: PEER });
        assert!(alert(80).to_string().contains("80"));
    }
}
