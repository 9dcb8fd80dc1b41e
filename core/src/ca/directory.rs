//! The CA's folder: keys, certificates, database and outbox.

use std::path::Path;

use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    ca::{authority_error::AuthorityError, profile::Signer},
    certificate::{ChainError, PeerCertificateError, TrustRoot},
    file::{self, Access},
    identity::DeviceKey,
    unix_time::UnixTime,
};

/// Both CAs: the root's certificate and the issuing CA with its key.
pub(crate) struct Authorities {
    pub root: TrustRoot,
    pub issuing: Signer,
}

/// Makes the folder and a root in it, if there is none yet, and loads both CAs.
///
/// A CA that is there must be of the kind that is wanted.
pub(crate) fn open_or_create(
    now: UnixTime,
    dir: &Path,
    test_network: bool,
) -> Result<Authorities, AuthorityError> {
    file::create_dir(dir)?;
    if !dir.join(ROOT_CERTIFICATE).exists() {
        let key = DeviceKey::generate()?;
        key.save(&dir.join(ROOT_KEY))?;
        save(&Signer::root(now, key, test_network)?.certificate, &dir.join(ROOT_CERTIFICATE))?;
    }
    let authorities = open(now, dir)?;
    match (authorities.root.is_test_network(), test_network) {
        (true, false) => Err(AuthorityError::TestNetwork(dir.to_owned())),
        (false, true) => Err(AuthorityError::NoTestNetwork(dir.to_owned())),
        _ => Ok(authorities),
    }
}

/// Loads both CAs, or makes a new issuing CA as far as the keys allow.
///
/// `root.key` may be taken offline once the issuing CA exists.
pub(crate) fn open(now: UnixTime, dir: &Path) -> Result<Authorities, AuthorityError> {
    if !dir.join(ROOT_CERTIFICATE).exists() {
        return Err(AuthorityError::Missing(dir.to_owned()));
    }
    let root = TrustRoot::new(load(&dir.join(ROOT_CERTIFICATE))?)?;
    if !dir.join(ISSUING_CERTIFICATE).exists() {
        create_issuing(now, dir, &root)?;
    }
    let mut certificate = load(&dir.join(ISSUING_CERTIFICATE))?;
    if expiry(&certificate)? <= now {
        create_issuing(now, dir, &root)?;
        certificate = load(&dir.join(ISSUING_CERTIFICATE))?;
    }
    let key = DeviceKey::load(&dir.join(ISSUING_KEY))?;
    let issuing = Signer::new(key, certificate)?;
    tracing::info!(root = %root.fingerprint(), "CA opened");
    Ok(Authorities { root, issuing })
}

/// Returns when a CA's certificate ends.
pub(crate) fn expiry(der: &[u8]) -> Result<UnixTime, AuthorityError> {
    let malformed = || ChainError::Peer(PeerCertificateError::Malformed);
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| malformed())?;
    let secs = certificate.validity().not_after.timestamp();
    Ok(UnixTime::from_secs(u64::try_from(secs).unwrap_or(0)))
}

fn create_issuing(now: UnixTime, dir: &Path, root: &TrustRoot) -> Result<(), AuthorityError> {
    let root_key = match DeviceKey::load(&dir.join(ROOT_KEY)) {
        Ok(key) => key,
        Err(error) => return Err(AuthorityError::RootKey(error)),
    };
    let test_network = root.is_test_network();
    let root = Signer::new(root_key, root.der().clone())?;
    let key = DeviceKey::generate()?;
    key.save(&dir.join(ISSUING_KEY))?;
    save(&root.issuing(now, key, test_network)?.certificate, &dir.join(ISSUING_CERTIFICATE))
}

fn save(der: &[u8], path: &Path) -> Result<(), AuthorityError> {
    Ok(file::write(path, file::pem("CERTIFICATE", der).as_bytes(), Access::Everyone)?)
}

fn load(path: &Path) -> Result<CertificateDer<'static>, AuthorityError> {
    let pem = file::read(path, Access::Everyone)?;
    CertificateDer::from_pem_slice(&pem).map_err(|_| AuthorityError::Pem(path.to_owned()))
}

/// The root's private key; may be moved to another medium.
const ROOT_KEY: &str = "root.key";
/// The root's certificate.
const ROOT_CERTIFICATE: &str = "root.pem";
/// The issuing CA's private key.
const ISSUING_KEY: &str = "issuing.key";
/// The issuing CA's certificate.
const ISSUING_CERTIFICATE: &str = "issuing.pem";
/// The database of passwords and devices.
pub(crate) const DATABASE: &str = "ca.sqlite";
/// The folder of mails.
pub(crate) const OUTBOX: &str = "outbox";
