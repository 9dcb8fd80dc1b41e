//! What TLS alerts say about certificates, in words.

/// What TLS finds wrong with a certificate, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// Expired, or not begun.
    Expired,
    /// Signed by another CA.
    OtherAuthority,
    /// Revoked by its CA.
    Revoked,
    /// None was shown.
    Missing,
    /// For another device or server than was called, or malformed.
    OtherName,
    /// Not for this use.
    Purpose,
    /// The proof that its key is there failed.
    Signature,
    /// Another alert. Source: RFC 8446 section 6.
    Other(u8),
}

impl CertificateProblem {
    /// Returns whether another CA is behind the certificate.
    #[must_use]
    pub fn is_other_authority(self) -> bool {
        self == Self::OtherAuthority
    }

    pub(crate) fn from_alert(alert: u8) -> Self {
        match alert {
            42 => Self::OtherName,
            43 => Self::Purpose,
            44 => Self::Revoked,
            45 => Self::Expired,
            48 => Self::OtherAuthority,
            51 => Self::Signature,
            116 => Self::Missing,
            other => Self::Other(other),
        }
    }

    /// Says what is wrong with our certificate, and what to do.
    pub(crate) fn ours(self) -> String {
        match self {
            Self::Expired => {
                "our certificate expired; renew it or enrol again, and check both clocks"
            }
            Self::OtherAuthority => {
                "our certificate comes from another CA than its own; enrol at its CA"
            }
            Self::Revoked => "our certificate was revoked; ask the CA's operator",
            Self::Missing => "it wants a certificate and we showed none; enrol this device first",
            Self::OtherName => {
                "our certificate is not for the device that it called; check its join link"
            }
            Self::Purpose => "our certificate is not for this use; enrol this device again",
            Self::Signature => "our certificate or key does not verify; enrol again at its CA",
            Self::Other(alert) => return format!("TLS alert {alert}; upgrade the older side"),
        }
        .to_owned()
    }

    /// Says what is wrong with the peer's certificate, and what to do.
    pub(crate) fn theirs(self) -> String {
        match self {
            Self::Expired => "its certificate expired; it must be renewed, or this clock is wrong",
            Self::OtherAuthority => {
                "its certificate comes from another CA; both must enrol at the same CA"
            }
            Self::Revoked => "its certificate was revoked; use another node",
            Self::Missing => "it showed no certificate; it must enrol first",
            Self::OtherName => {
                "its certificate is not for the device that was called; check the address"
            }
            Self::Purpose => "its certificate is not for this use; it must enrol again",
            Self::Signature => "its certificate is forged or not its own",
            Self::Other(alert) => return format!("TLS alert {alert}; upgrade the older side"),
        }
        .to_owned()
    }
}
