//! Records that a device signs and others pass on.
//!
//! The signature covers the payload exactly as it was sent, so nobody has to encode it again.

use std::{fmt, marker::PhantomData, ops::Deref};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;
use thiserror::Error;

use crate::{
    certificate::{ChainError, PeerCertificate, TrustRoot, trust_root::CHAIN_LEN_MAX},
    domain::Domain,
    identity::{Identity, UserId, device_key::is_signed},
    message::{
        codec::{MessageError, decode_value, encode_value},
        limit,
    },
    unix_time::UnixTime,
};

/// A kind of record that can be signed.
pub trait Payload: Serialize + DeserializeOwned {
    /// What errors call it.
    const NAME: &'static str;
    /// The purpose that its signatures are bound to.
    const DOMAIN: Domain;
    /// The most bytes that it may have.
    const LEN_MAX: usize;
}

/// A signed record, not yet believed.
#[derive(Serialize, Deserialize)]
pub struct Signed<T> {
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    #[serde(deserialize_with = "limit::list::<CHAIN_LEN_MAX, _, _>")]
    chain: Vec<ByteBuf>,
    #[serde(with = "serde_bytes")]
    signature: [u8; 64],
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

/// A record whose signature, signer and form were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    signer: PeerCertificate,
}

/// A signed record is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignedError {
    /// The signer's certificate is not believed.
    #[error("the signer of the {what} is not accepted: {error}")]
    Chain {
        /// What was signed.
        what: &'static str,
        /// Why not.
        error: ChainError,
    },
    /// The signature does not fit.
    #[error(
        "the {what} was not signed by {signer}, whose certificate it carries; ask for a new one"
    )]
    Signature {
        /// What was signed.
        what: &'static str,
        /// Who is said to have signed it.
        signer: UserId,
    },
    /// Signed, but not readable.
    #[error(transparent)]
    Payload(#[from] MessageError),
}

impl<T: Payload> Signed<T> {
    /// Signs a record with a device's key.
    ///
    /// # Errors
    /// `MessageError::TooLong` if the record exceeds its limit.
    pub fn sign(value: &T, identity: &Identity) -> Result<Self, MessageError> {
        let payload = encode_value(T::NAME, value)?;
        if payload.len() > T::LEN_MAX {
            return Err(MessageError::TooLong {
                what: T::NAME,
                len: payload.len(),
                max: T::LEN_MAX,
            });
        }
        let signature = identity.key().sign(T::DOMAIN, &[&payload]);
        let chain = identity.chain().iter().map(|der| ByteBuf::from(der.to_vec())).collect();
        Ok(Self { payload, chain, signature, kind: PhantomData })
    }

    /// Checks the signer's chain against `root` at `now`, then the signature, then the payload.
    ///
    /// Says who signed; whether that device was entitled to is the caller's question.
    ///
    /// # Errors
    /// `SignedError` says which of the three failed.
    pub fn verify(&self, root: &TrustRoot, now: UnixTime) -> Result<Verified<T>, SignedError> {
        if self.payload.len() > T::LEN_MAX {
            let (len, max) = (self.payload.len(), T::LEN_MAX);
            return Err(MessageError::TooLong { what: T::NAME, len, max }.into());
        }
        let signer = root
            .verify_device(now, &self.chain)
            .map_err(|error| SignedError::Chain { what: T::NAME, error })?;
        if !is_signed(&signer.node, T::DOMAIN, &[&self.payload], &self.signature) {
            return Err(SignedError::Signature { what: T::NAME, signer: signer.user });
        }
        let value = decode_value(T::NAME, &self.payload, T::LEN_MAX)?;
        Ok(Verified { value, signer })
    }
}

impl<T> Verified<T> {
    /// Returns the certificate of the device that signed.
    #[must_use]
    pub fn signer(&self) -> &PeerCertificate {
        &self.signer
    }

    /// Returns the record alone.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        let Self { payload, chain, signature, kind } = self;
        Self { payload: payload.clone(), chain: chain.clone(), signature: *signature, kind: *kind }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        (&self.payload, &self.chain, &self.signature)
            == (&other.payload, &other.chain, &other.signature)
    }
}

impl<T> Eq for Signed<T> {}

impl<T: Payload> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({}, {} bytes)", T::NAME, self.payload.len())
    }
}
