//! The certificate authority: enrolment by one-time password, its server and its client.
//!
//! `Authority` is the logic and takes the present as an argument; `CaServer` puts it on QUIC;
//! `enrol` is what a newcomer calls.

pub mod authority;
pub mod authority_error;
mod bulk;
mod callers;
mod certifier;
mod csr;
mod directory;
pub mod enrol;
pub mod message;
mod otp;
pub mod outbox;
mod profile;
pub mod proof;
pub mod refusal;
pub mod server;
pub mod settings;
mod store;

pub use self::{
    authority::Authority,
    authority_error::AuthorityError,
    bulk::BulkError,
    enrol::{EnrolError, redeem, renew, request_otp},
    outbox::{FolderOutbox, Mail, Outbox},
    proof::{Nonce, Redemption, Renewal},
    refusal::{CaCode, CaRefusal},
    server::{CaServer, CaServerError},
    settings::{AuthoritySettings, MixerPolicy},
};

/// Protocol of the CA's server, as negotiated in TLS.
pub const CA_ALPN: &[u8] = b"sabha-ca/1";
/// DNS name in the certificate of the CA's server; no device's certificate can carry it.
pub const CA_SERVER_NAME: &str = "ca.sabha";
