//! Enrolment in bulk, for test networks only: keys and certificates for thousands of devices.
//!
//! The expensive parts run on all cores; the database is asked and written on one.

use std::{collections::BTreeSet, sync::Arc};

use rustls::pki_types::CertificateDer;
use thiserror::Error;

use crate::{
    ca::{
        certifier::{self, Certifier},
        refusal::CaRefusal,
        store::Ledger,
    },
    certificate::TrustRoot,
    identity::{DeviceKey, Identity, IdentityError, KeyError, UserId, bundle::DEVICES_MAX},
    parallel::on_all_cores,
    unix_time::UnixTime,
};

/// No devices were enrolled in bulk.
#[derive(Debug, Error)]
pub enum BulkError {
    /// The CA certifies real devices.
    #[error(
        "this CA is not a test network's, so each device must enrol with a key of its own; for tests, make a CA with --test-network"
    )]
    NoTestNetwork,
    /// None, or more than one file is to hold.
    #[error("{0} devices cannot be enrolled at once; ask for 1 to {BULK_MAX}")]
    Count(usize),
    /// A user twice: the limits count a user's devices, but not those of the same call.
    #[error("{0} is named twice; name each user once")]
    Repeated(UserId),
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The CA says no to one of the users.
    #[error(transparent)]
    Refused(#[from] CaRefusal),
    /// A new certificate does not verify.
    #[error("a certificate just issued is not accepted: {0}; check the CA's files")]
    Identity(#[from] IdentityError),
}

impl From<rusqlite::Error> for BulkError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Refused(error.into())
    }
}

/// Makes a key for each user.
pub(crate) fn keys(users: &[UserId]) -> Result<Vec<Arc<DeviceKey>>, BulkError> {
    if users.is_empty() || users.len() > BULK_MAX {
        return Err(BulkError::Count(users.len()));
    }
    let mut known = BTreeSet::new();
    match users.iter().find(|user| !known.insert(*user)) {
        Some(user) => Err(BulkError::Repeated(user.clone())),
        None => on_all_cores(users, |_| Ok(Arc::new(DeviceKey::generate()?))),
    }
}

/// Certifies each key for its user and records it. Nothing is written before all are decided and
/// signed, so a refusal leaves nothing behind.
pub(crate) fn issue(
    certifier: &Certifier,
    ledger: &Ledger<'_>,
    now: UnixTime,
    (users, keys): (&[UserId], &[Arc<DeviceKey>]),
    mixer: bool,
) -> Result<Vec<CertificateDer<'static>>, BulkError> {
    let devices = users.iter().zip(keys);
    let decided = devices.map(|(user, key)| certifier.decide(ledger, now, user, key.node(), mixer));
    let profiles = decided.collect::<Result<Vec<_>, _>>()?;
    let leaves = on_all_cores(&profiles, |profile| certifier.sign(now, profile))?;
    for (profile, leaf) in profiles.iter().zip(&leaves) {
        certifier::record(ledger, profile, leaf)?;
    }
    Ok(leaves)
}

/// Joins keys and certificates, after checking that they fit.
pub(crate) fn identities(
    now: UnixTime,
    root: &TrustRoot,
    issuing: &CertificateDer<'static>,
    keys: Vec<Arc<DeviceKey>>,
    leaves: Vec<CertificateDer<'static>>,
) -> Result<Vec<Identity>, BulkError> {
    let issuers: Arc<[_]> = [issuing.clone()].into();
    let devices: Vec<_> = keys.into_iter().zip(leaves).collect();
    let joined = on_all_cores(&devices, |(key, leaf)| {
        Identity::with_issuers(now, key.clone(), leaf.clone(), issuers.clone(), root.clone())
    });
    Ok(joined?)
}

/// Devices enrolled at once: as many as one file holds. That locks the database for a second or two,
/// less than a CA's process that serves meanwhile waits for it.
const BULK_MAX: usize = DEVICES_MAX;
