//! Many identities of a test network in one file, as a load generator needs them.
//!
//! Such a file holds private keys of thousands of devices, so it is neither written nor read for
//! any other network: there every device makes its own key and keeps it.

use std::{path::Path, sync::Arc};

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    certificate::{ChainError, TrustRoot, trust_root::CHAIN_LEN_MAX},
    file::{self, Access, FileError},
    identity::{DeviceKey, Identity, IdentityError, KeyError, NodeId},
    message::{MessageError, codec::encode_value, limit},
    parallel::on_all_cores,
    unix_time::UnixTime,
};

/// A file of identities cannot be used.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Missing, exposed or unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not such a file, cut short, or longer than it may be.
    #[error(
        "this is no file of identities, or a damaged one: {0}; make it anew with `sabha ca bulk`"
    )]
    Malformed(String),
    /// It holds none, or identities of several CAs.
    #[error("a file of identities holds those of one CA, and at least one; these are {0}")]
    Mixed(&'static str),
    /// The root is not a test network's.
    #[error(
        "these identities are of a network that is not for tests, so they may not be in one file; enrol each device by itself"
    )]
    NoTestNetwork,
    /// The root cannot be used.
    #[error(transparent)]
    Root(#[from] ChainError),
    /// A key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An identity is not accepted.
    #[error("the identity of device {node} in this file is not accepted: {error}")]
    Identity {
        /// Whose key it is.
        node: NodeId,
        /// Why not.
        error: IdentityError,
    },
}

/// Writes identities to one file of mode 0600, whole or not at all.
///
/// # Errors
/// `BundleError` if they are not of one test network, or the file cannot be written.
pub fn save(path: &Path, identities: &[Identity]) -> Result<(), BundleError> {
    let first = identities.first().ok_or(BundleError::Mixed("none"))?;
    check_network(first.root())?;
    let is_other = |one: &Identity| {
        one.root().fingerprint() != first.root().fingerprint() || one.issuers() != first.issuers()
    };
    if identities.iter().any(is_other) {
        return Err(BundleError::Mixed("of several"));
    }
    let devices = identities.iter().map(|identity| DeviceEntry {
        key: Bytes::new(identity.key().pkcs8()),
        leaf: Bytes::new(identity.leaf()),
    });
    let bundle = BundleFile {
        format: FORMAT,
        root: Bytes::new(first.root().der()),
        issuers: first.issuers().iter().map(|der| Bytes::new(der)).collect(),
        devices: devices.collect(),
    };
    let bytes = Zeroizing::new(encode_value(NAME, &bundle)?);
    Ok(file::write(path, &bytes, Access::OwnerOnly)?)
}

/// Reads the identities of a file that only its owner can read, and verifies every one.
///
/// They share the root and the CAs above them. Uses all cores: 10,000 take about a second.
///
/// # Errors
/// `BundleError` if the file is exposed or damaged, or an identity in it is not accepted.
pub fn load(now: UnixTime, path: &Path) -> Result<Vec<Identity>, BundleError> {
    let bytes = Zeroizing::new(file::read_up_to(path, Access::OwnerOnly, FILE_LEN_MAX)?);
    let bundle = decode(&bytes)?;
    let root = TrustRoot::new(der(bundle.root))?;
    check_network(&root)?;
    let issuers: Arc<[_]> = bundle.issuers.iter().map(|issuer| der(issuer)).collect();
    on_all_cores(&bundle.devices, |device| {
        let key = DeviceKey::from_pkcs8(device.key)?;
        let node = key.node();
        let (issuers, root) = (issuers.clone(), root.clone());
        Identity::with_issuers(now, Arc::new(key), der(device.leaf), issuers, root)
            .map_err(|error| BundleError::Identity { node, error })
    })
}

/// The file's content: one CBOR map.
#[derive(Serialize, Deserialize)]
struct BundleFile<'a> {
    format: &'a str,
    #[serde(borrow)]
    root: &'a Bytes,
    #[serde(borrow, deserialize_with = "limit::list::<CHAIN_LEN_MAX, _, _>")]
    issuers: Vec<&'a Bytes>,
    #[serde(borrow, deserialize_with = "limit::list::<DEVICES_MAX, _, _>")]
    devices: Vec<DeviceEntry<'a>>,
}

#[derive(Serialize, Deserialize)]
struct DeviceEntry<'a> {
    /// PKCS #8 in DER.
    #[serde(borrow)]
    key: &'a Bytes,
    #[serde(borrow)]
    leaf: &'a Bytes,
}

fn decode(bytes: &[u8]) -> Result<BundleFile<'_>, BundleError> {
    let mut deserializer = minicbor_serde::Deserializer::new(bytes);
    let bundle = BundleFile::deserialize(&mut deserializer)
        .map_err(|error| BundleError::Malformed(error.to_string()))?;
    if bundle.format != FORMAT {
        return Err(BundleError::Malformed(format!("it is not of the form {FORMAT:?}")));
    }
    if deserializer.decoder().position() != bytes.len() {
        return Err(BundleError::Malformed("bytes follow it".to_owned()));
    }
    match bundle.devices.is_empty() {
        true => Err(BundleError::Mixed("none")),
        false => Ok(bundle),
    }
}

fn der(bytes: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from(bytes.to_vec())
}

fn check_network(root: &TrustRoot) -> Result<(), BundleError> {
    match root.is_test_network() {
        true => Ok(()),
        false => Err(BundleError::NoTestNetwork),
    }
}

impl From<MessageError> for BundleError {
    fn from(error: MessageError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// What errors of the encoder call it.
const NAME: &str = "file of identities";
/// First field of the file; its number changes when older readers cannot follow.
const FORMAT: &str = "sabha identities 1";
/// Devices in one file. Chosen: as many users as one permit list can name.
pub const DEVICES_MAX: usize = 20_000;
/// Longest file, in bytes: each device takes about 700.
const FILE_LEN_MAX: u64 = 32 * 1024 * 1024;
