//! Why the CA says no, in words for the person who asked.

use std::time::Duration;

use thiserror::Error;

use crate::{
    certificate::ChainError,
    identity::{UserId, UserIdError},
    message::open_enum::open_enum,
};

/// The CA's reason for refusing. Its text goes to the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaRefusal {
    /// The address is not one that can be mailed.
    #[error(transparent)]
    BadEmail(#[from] UserIdError),
    /// Too many passwords were asked for.
    #[error("too many one-time passwords were requested; try again in {} minutes", .0.as_secs().div_ceil(60))]
    RateLimited(Duration),
    /// The mail could not be handed over.
    #[error("the mail could not be sent; try again later, or tell the CA's operator")]
    MailFailed,
    /// Nobody asked for a password for this user.
    #[error("no one-time password was requested for {0}; request one first, or check the address")]
    UnknownRequest(UserId),
    /// The password is not the one that was mailed.
    #[error("wrong one-time password, {tries_left} tries left; copy it from the newest mail")]
    WrongOtp {
        /// Tries that remain.
        tries_left: u32,
    },
    /// The password was used.
    #[error("this one-time password was already used; request a new one")]
    AlreadyUsed,
    /// The password is too old.
    #[error("this one-time password expired; request a new one and enter it within {} minutes", .0.as_secs() / 60)]
    OtpExpired(Duration),
    /// Five wrong tries were made.
    #[error("too many wrong tries, so this one-time password no longer works; request a new one")]
    TooManyTries,
    /// The signature over nonce, user and request does not fit the key.
    #[error(
        "the proof of possession does not fit this request and key; update the client and try again"
    )]
    BadProof,
    /// The certificate signing request is unusable.
    #[error("bad certificate signing request: {0}; update the client and try again")]
    BadCsr(&'static str),
    /// No nonce was fetched on this connection, or it was used.
    #[error("fetch a fresh nonce on this connection first; each serves one request")]
    NonceMissing,
    /// The user may not run mixers.
    #[error("{0} may not run mixers at this CA; enrol without the mixer mark, or ask the operator")]
    MixerForbidden(UserId),
    /// The user has as many mixers as one may have.
    #[error("{user} already has {max} mixers; let one expire, or enrol without the mixer mark")]
    TooManyMixers {
        /// Who asked.
        user: UserId,
        /// The limit.
        max: u32,
    },
    /// The user has as many devices as one may have.
    #[error("{user} already has {max} devices; let one expire, or ask the operator")]
    TooManyDevices {
        /// Who asked.
        user: UserId,
        /// The limit.
        max: u32,
    },
    /// The key has a certificate for somebody else.
    #[error("this device key belongs to another user; make a new key")]
    KeyOfAnother,
    /// The certificate that should authenticate a renewal does not.
    #[error(transparent)]
    Certificate(#[from] ChainError),
    /// The certificate is believed, but the CA has no record of the device.
    #[error("this CA has no record of the device; enrol it again")]
    UnknownDevice,
    /// The request could not be read.
    #[error("the request cannot be read: {0}; update the client")]
    BadRequest(String),
    /// The CA itself failed; its log has the reason.
    #[error("the CA failed inside; try again later, or tell its operator")]
    Internal,
}

open_enum! {
    /// A refusal's name in messages; later versions may add more.
    pub enum CaCode {
        /// See `CaRefusal::BadEmail`.
        BadEmail = "bad_email",
        /// See `CaRefusal::RateLimited`.
        RateLimited = "rate_limited",
        /// See `CaRefusal::MailFailed`.
        MailFailed = "mail_failed",
        /// See `CaRefusal::UnknownRequest`.
        UnknownRequest = "unknown_request",
        /// See `CaRefusal::WrongOtp`.
        WrongOtp = "wrong_otp",
        /// See `CaRefusal::AlreadyUsed`.
        AlreadyUsed = "already_used",
        /// See `CaRefusal::OtpExpired`.
        OtpExpired = "otp_expired",
        /// See `CaRefusal::TooManyTries`.
        TooManyTries = "too_many_tries",
        /// See `CaRefusal::BadProof`.
        BadProof = "bad_proof",
        /// See `CaRefusal::BadCsr`.
        BadCsr = "bad_csr",
        /// See `CaRefusal::NonceMissing`.
        NonceMissing = "nonce_missing",
        /// See `CaRefusal::MixerForbidden`.
        MixerForbidden = "mixer_forbidden",
        /// See `CaRefusal::TooManyMixers`.
        TooManyMixers = "too_many_mixers",
        /// See `CaRefusal::TooManyDevices`.
        TooManyDevices = "too_many_devices",
        /// See `CaRefusal::KeyOfAnother`.
        KeyOfAnother = "key_of_another",
        /// See `CaRefusal::Certificate`.
        Certificate = "certificate",
        /// See `CaRefusal::UnknownDevice`.
        UnknownDevice = "unknown_device",
        /// See `CaRefusal::BadRequest`.
        BadRequest = "bad_request",
        /// See `CaRefusal::Internal`.
        Internal = "internal",
    }
}

impl CaRefusal {
    /// Returns the refusal's name in messages.
    #[must_use]
    pub fn code(&self) -> CaCode {
        match self {
            Self::BadEmail(_) => CaCode::BadEmail,
            Self::RateLimited(_) => CaCode::RateLimited,
            Self::MailFailed => CaCode::MailFailed,
            Self::UnknownRequest(_) => CaCode::UnknownRequest,
            Self::WrongOtp { .. } => CaCode::WrongOtp,
            Self::AlreadyUsed => CaCode::AlreadyUsed,
            Self::OtpExpired(_) => CaCode::OtpExpired,
            Self::TooManyTries => CaCode::TooManyTries,
            Self::BadProof => CaCode::BadProof,
            Self::BadCsr(_) => CaCode::BadCsr,
            Self::NonceMissing => CaCode::NonceMissing,
            Self::MixerForbidden(_) => CaCode::MixerForbidden,
            Self::TooManyMixers { .. } => CaCode::TooManyMixers,
            Self::TooManyDevices { .. } => CaCode::TooManyDevices,
            Self::KeyOfAnother => CaCode::KeyOfAnother,
            Self::Certificate(_) => CaCode::Certificate,
            Self::UnknownDevice => CaCode::UnknownDevice,
            Self::BadRequest(_) => CaCode::BadRequest,
            Self::Internal => CaCode::Internal,
        }
    }
}

impl From<rusqlite::Error> for CaRefusal {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "the CA's database failed");
        Self::Internal
    }
}
