//! Sessions between devices: QUIC with certificates on both sides.
//!
//! One request is one bidirectional stream, one event one unidirectional stream; each carries one
//! message and ends with FIN. Either side may ask, answer and notify.

pub mod endpoint;
pub mod incoming;
pub mod session;

pub use self::{
    endpoint::{
        CallersRefused, ClientCredentials, EndpointError, SignallingEndpoint, SignallingSettings,
    },
    incoming::IncomingSession,
    session::{Responder, Session},
};
pub use crate::quic::{CertificateProblem, LinkError, Peer};

/// Protocol of signalling, as negotiated in TLS; its number changes when old peers cannot follow.
pub const ALPN: &[u8] = b"sabha/1";
