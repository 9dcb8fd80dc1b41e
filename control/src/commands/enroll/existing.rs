//! What the identity's folder holds already, and whether enrolling may replace it.

use std::{path::Path, path::PathBuf, sync::Arc};

use sabha_core::{
    DeviceKey, Fingerprint, Identity, UnixTime, UserId,
    identity::{IdentityError, KeyError},
};
use thiserror::Error;

use crate::cli::EnrollArgs;

/// What a folder holds that a new certificate is to keep.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// The device's key, if it has one.
    pub key: Option<Arc<DeviceKey>>,
    /// Whether its certificate carries the mixer mark, which a new one without it would lose.
    pub is_mixer: bool,
}

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

impl Existing {
    /// Looks into `dir`; an identity of the same user and CA is taken up, expired or not.
    pub(super) fn find(
        now: UnixTime,
        dir: &Path,
        args: &EnrollArgs,
    ) -> Result<Self, ExistingError> {
        let key_file = dir.join(KEY_FILE);
        match (key_file.exists(), dir.join(CHAIN_FILE).exists()) {
            (false, false) => return Ok(Self::default()),
            (true, false) => {
                let failed = |source| ExistingError::Key { dir: dir.to_owned(), source };
                let key = DeviceKey::load(&key_file).map_err(failed)?;
                return Ok(Self { key: Some(Arc::new(key)), is_mixer: false });
            }
            _ => {}
        }
        let identity = load(now, dir)
            .map_err(|source| ExistingError::Unusable { dir: dir.to_owned(), source })?;
        if *identity.user() != args.user {
            let (user, wanted) = (identity.user().clone(), args.user.clone());
            return Err(ExistingError::OtherUser { dir: dir.to_owned(), user, wanted });
        }
        let root = identity.root().fingerprint();
        if root != args.fingerprint {
            return Err(ExistingError::OtherRoot { dir: dir.to_owned(), root });
        }
        let is_mixer = identity.certificate().mixer.is_some();
        Ok(Self { key: Some(identity.key().clone()), is_mixer })
    }
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
