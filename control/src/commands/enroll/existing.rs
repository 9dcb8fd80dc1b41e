//! What the identity's folder holds already, and whether enrolling may replace it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sabha_core::{
    DeviceKey, Fingerprint, Identity, UnixTime, UserId,
    identity::{IdentityError, KeyError},
};
use thiserror::Error;

use crate::cli::EnrollArgs;

/// The folder's identity must not be replaced.
#[derive(Debug, Error)]
pub(super) enum ExistingError {
    #[error(
        "{dir} holds the identity of {user}; enrol {wanted} into another folder with --dir, or remove this one first"
    )]
    OtherUser { dir: PathBuf, user: UserId, wanted: UserId },
    #[error(
        "{dir} holds an identity of the CA with root {root}; enrol at another CA into another folder with --dir, or remove this one first"
    )]
    OtherRoot { dir: PathBuf, root: Fingerprint },
    #[error("{dir} holds an identity that cannot be used: {source}; or name another with --dir")]
    Unusable { dir: PathBuf, source: IdentityError },
    #[error("{dir} holds a key that cannot be used: {source}; or name another folder with --dir")]
    Key { dir: PathBuf, source: KeyError },
}

/// Looks into `dir` and returns the key that a new certificate is to be for.
///
/// An identity of the same user and CA is taken up, expired or not; so is a key that never got a
/// certificate.
pub(super) fn key(
    now: UnixTime,
    dir: &Path,
    args: &EnrollArgs,
) -> Result<Option<Arc<DeviceKey>>, ExistingError> {
    let key_file = dir.join(KEY_FILE);
    match (key_file.exists(), dir.join(CHAIN_FILE).exists()) {
        (false, false) => return Ok(None),
        (true, false) => {
            let failed = |source| ExistingError::Key { dir: dir.to_owned(), source };
            return DeviceKey::load(&key_file).map(|key| Some(Arc::new(key))).map_err(failed);
        }
        _ => {}
    }
    let failed = |source| ExistingError::Unusable { dir: dir.to_owned(), source };
    let identity = load(now, dir).map_err(failed)?;
    if *identity.user() != args.user {
        let (user, wanted) = (identity.user().clone(), args.user.clone());
        return Err(ExistingError::OtherUser { dir: dir.to_owned(), user, wanted });
    }
    let root = identity.root().fingerprint();
    if root != args.fingerprint {
        return Err(ExistingError::OtherRoot { dir: dir.to_owned(), root });
    }
    Ok(Some(identity.key().clone()))
}

/// Reads the identity; an expired one as it was in its last second.
fn load(now: UnixTime, dir: &Path) -> Result<Identity, IdentityError> {
    match Identity::load(now, dir) {
        Err(IdentityError::Expired { not_after, .. }) => Identity::load(not_after, dir),
        done => done,
    }
}

/// File of the key. Source: `sabha_core::identity`.
pub(super) const KEY_FILE: &str = "device.key";
/// File of the certificate chain. Source: `sabha_core::identity`.
const CHAIN_FILE: &str = "device.pem";
