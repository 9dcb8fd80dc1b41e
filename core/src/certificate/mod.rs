//! Certificates as Sabha reads them: who a verified leaf names, and which root stands behind it.

pub mod mixer_mark;
pub mod peer_certificate;
pub mod trust_root;

pub use self::{
    mixer_mark::MixerMark,
    peer_certificate::{PeerCertificate, PeerCertificateError},
    trust_root::{ChainError, TrustRoot},
};
