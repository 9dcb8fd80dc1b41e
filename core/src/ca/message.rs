//! What newcomers and the CA's server say to each other: one request on one bidirectional stream.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    ca::{CaCode, CaRefusal},
    certificate::trust_root::CHAIN_LEN_MAX,
    identity::UserId,
    message::{
        codec::{Message, printable},
        limit,
    },
};

/// What is asked of the CA.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaRequest {
    /// Mail a one-time password. Answer: `OtpSent`.
    RequestOtp {
        /// To whom.
        user: UserId,
    },
    /// Make a nonce for the next `Redeem` or `Renew` on this connection. Answer: `Nonce`.
    Nonce {},
    /// Exchange a one-time password for a certificate. Answer: `Issued`.
    Redeem {
        /// Who asks.
        user: UserId,
        /// The password as typed.
        #[serde(deserialize_with = "limit::text::<OTP_LEN_MAX, _>")]
        otp: String,
        /// PKCS #10 request in DER.
        csr: ByteBuf,
        /// Proof of possession, 64 bytes.
        proof: ByteBuf,
        /// Whether the device is to mix or bridge.
        #[serde(default)]
        mixer: bool,
    },
    /// Renew the certificate of a key. Answer: `Issued`.
    Renew {
        /// The present chain, leaf first.
        #[serde(deserialize_with = "limit::list::<CHAIN_LEN_MAX, _, _>")]
        chain: Vec<ByteBuf>,
        /// Proof of possession, 64 bytes.
        proof: ByteBuf,
    },
}

/// What the CA answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaAnswer {
    /// The mail is on its way.
    OtpSent {},
    /// A nonce that serves once, on this connection.
    Nonce {
        /// 32 random bytes.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 32],
    },
    /// The new chain.
    Issued {
        /// The device's certificate, then the issuing CA's.
        #[serde(deserialize_with = "limit::list::<CHAIN_LEN_MAX, _, _>")]
        chain: Vec<ByteBuf>,
    },
    /// Not done.
    Refused {
        /// For programs.
        code: CaCode,
        /// For the person who asked.
        #[serde(deserialize_with = "limit::text::<REFUSAL_LEN_MAX, _>")]
        message: String,
    },
}

impl Message for CaRequest {
    const NAME: &'static str = "CA request";
    const KINDS: &'static [(&'static str, usize)] =
        &[("request_otp", 1024), ("nonce", 1024), ("redeem", 4096), ("renew", 16 * 1024)];
}

impl Message for CaAnswer {
    const NAME: &'static str = "CA answer";
    const KINDS: &'static [(&'static str, usize)] =
        &[("otp_sent", 1024), ("nonce", 1024), ("issued", 16 * 1024), ("refused", 4096)];
}

impl From<CaRefusal> for CaAnswer {
    fn from(refusal: CaRefusal) -> Self {
        Self::Refused { code: refusal.code(), message: printable(&refusal.to_string()) }
    }
}

/// Longest password as typed, in bytes.
const OTP_LEN_MAX: usize = 64;
/// Longest text of a refusal, in bytes: 300 characters in UTF-8.
const REFUSAL_LEN_MAX: usize = 1200;
