//! Who a device is: its user, its key, and the certificate that binds them.

pub mod bundle;
pub mod device_key;
pub mod node_id;
pub mod user_id;

use std::{path::Path, sync::Arc};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;

pub use self::{
    bundle::BundleError,
    device_key::{DeviceKey, KeyError},
    node_id::NodeId,
    user_id::{UserId, UserIdError},
};
use crate::{
    certificate::{ChainError, PeerCertificate, TrustRoot},
    file::{self, Access, FileError},
    unix_time::UnixTime,
};

/// An enrolled device: key, certificate chain and the root behind it. Clones share one copy.
#[derive(Clone, Debug)]
pub struct Identity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: Arc<DeviceKey>,
    leaf: CertificateDer<'static>,
    /// The CAs above the leaf, but for the root; devices that were loaded together share them.
    issuers: Arc<[CertificateDer<'static>]>,
    root: TrustRoot,
    certificate: PeerCertificate,
}

/// An identity cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file is missing, exposed or unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// The private key cannot be read.
    #[error("{KEY_FILE} cannot be used: {0}")]
    Key(#[from] KeyError),
    /// A certificate file holds no certificate.
    #[error("{0} holds no PEM certificate; enrol this device again")]
    Pem(&'static str),
    /// The certificate was issued for another key.
    #[error(
        "the certificate is for device {certificate}, the key is {key}; restore the matching pair or enrol again"
    )]
    Mismatch {
        /// The device that the certificate names.
        certificate: NodeId,
        /// The device whose key is here.
        key: NodeId,
    },
    /// The certificate is over.
    #[error("the certificate of {user} expired on {not_after}; enrol this device again")]
    Expired {
        /// Whose certificate.
        user: UserId,
        /// When it ended.
        not_after: UnixTime,
    },
    /// The certificate is not believed.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Identity {
    /// Joins a key, its chain (leaf, then issuing CA) and a root, after checking that they fit.
    ///
    /// # Errors
    /// `IdentityError` if the chain is expired, of another CA, or for another key.
    pub fn new(
        now: UnixTime,
        key: Arc<DeviceKey>,
        mut chain: Vec<CertificateDer<'static>>,
        root: TrustRoot,
    ) -> Result<Self, IdentityError> {
        if chain.is_empty() {
            return Err(ChainError::Shape.into());
        }
        let issuers = chain.split_off(1).into();
        Self::with_issuers(now, key, chain.swap_remove(0), issuers, root)
    }

    /// Joins a key, its certificate, the CAs above it and a root, after checking that they fit.
    pub(crate) fn with_issuers(
        now: UnixTime,
        key: Arc<DeviceKey>,
        leaf: CertificateDer<'static>,
        issuers: Arc<[CertificateDer<'static>]>,
        root: TrustRoot,
    ) -> Result<Self, IdentityError> {
        let chain = joined(&leaf, &issuers);
        let certificate =
            root.verify_device(now, &chain).map_err(|error| explain(error, &chain))?;
        if certificate.node != key.node() {
            return Err(IdentityError::Mismatch { certificate: certificate.node, key: key.node() });
        }
        Ok(Self(Arc::new(Inner { key, leaf, issuers, root, certificate })))
    }

    /// Reads `device.key`, `device.pem` and `root.pem` from a folder.
    ///
    /// # Errors
    /// `IdentityError` names the file that is missing, exposed to others, mismatched or expired.
    pub fn load(now: UnixTime, dir: &Path) -> Result<Self, IdentityError> {
        let key = DeviceKey::load(&dir.join(KEY_FILE))?;
        let chain = load_pem(dir, CHAIN_FILE)?;
        let mut roots = load_pem(dir, ROOT_FILE)?;
        let root = TrustRoot::new(roots.swap_remove(0))?;
        Self::new(now, Arc::new(key), chain, root)
    }

    /// Writes the three files; the key gets mode 0600, a new folder 0700.
    ///
    /// # Errors
    /// `IdentityError` names the file that cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), IdentityError> {
        file::create_dir(dir)?;
        self.key().save(&dir.join(KEY_FILE))?;
        let chain: String = self.chain().iter().map(|der| file::pem("CERTIFICATE", der)).collect();
        file::write(&dir.join(CHAIN_FILE), chain.as_bytes(), Access::Everyone)?;
        let root = file::pem("CERTIFICATE", self.root().der());
        file::write(&dir.join(ROOT_FILE), root.as_bytes(), Access::Everyone)?;
        Ok(())
    }

    /// Returns the private key.
    #[must_use]
    pub fn key(&self) -> &Arc<DeviceKey> {
        &self.0.key
    }

    /// Returns the chain: the device's certificate, then the issuing CA's.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'_>> {
        joined(&self.0.leaf, &self.0.issuers)
    }

    /// Returns the device's certificate.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.0.leaf
    }

    /// Returns the CAs above the device's certificate, but for the root.
    pub(crate) fn issuers(&self) -> &[CertificateDer<'static>] {
        &self.0.issuers
    }

    /// Returns the root that this device believes.
    #[must_use]
    pub fn root(&self) -> &TrustRoot {
        &self.0.root
    }

    /// Returns what this device's own certificate says.
    #[must_use]
    pub fn certificate(&self) -> &PeerCertificate {
        &self.0.certificate
    }

    /// Returns this device's node ID.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.certificate.node
    }

    /// Returns this device's user.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.0.certificate.user
    }
}

fn load_pem(dir: &Path, name: &'static str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let bytes = file::read(&dir.join(name), Access::Everyone)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(IdentityError::Pem(name)),
    }
}

/// Puts a chain together without copying a certificate.
fn joined<'a>(
    leaf: &'a CertificateDer<'_>,
    issuers: &'a [CertificateDer<'_>],
) -> Vec<CertificateDer<'a>> {
    let chain = std::iter::once(leaf).chain(issuers);
    chain.map(|der| CertificateDer::from(der.as_ref())).collect()
}

/// Names user and date where the leaf itself is what expired.
fn explain(error: ChainError, chain: &[CertificateDer<'_>]) -> IdentityError {
    let leaf = chain.first().and_then(|leaf| PeerCertificate::parse(leaf).ok());
    match (error, leaf) {
        (ChainError::Expired(now), Some(leaf)) if leaf.not_after < now => {
            IdentityError::Expired { user: leaf.user, not_after: leaf.not_after }
        }
        (error, _) => IdentityError::Chain(error),
    }
}

/// File of the private key, PKCS #8 in PEM.
const KEY_FILE: &str = "device.key";
/// File of the certificate chain, leaf first, in PEM.
const CHAIN_FILE: &str = "device.pem";
/// File of the root certificate in PEM.
const ROOT_FILE: &str = "root.pem";
