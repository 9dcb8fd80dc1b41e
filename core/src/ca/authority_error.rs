//! Why the CA cannot be opened, or cannot sign.

use std::path::PathBuf;

use thiserror::Error;

use crate::{certificate::ChainError, file::FileError, identity::KeyError};

/// The CA cannot be opened, or cannot sign.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A file is missing, exposed or unreadable.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key cannot be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A new issuing CA is needed, but the root's key is not here.
    #[error(
        "a new issuing CA must be signed, but the root key cannot be used: {0}; put root.key back for this"
    )]
    RootKey(KeyError),
    /// A file holds no certificate.
    #[error("{0} holds no PEM certificate; restore it from a backup")]
    Pem(PathBuf),
    /// A CA certificate is not usable.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Signing failed.
    #[error(
        "cannot sign a certificate: {0}; check that key and certificate of the CA belong together"
    )]
    Sign(#[from] rcgen::Error),
    /// The database failed.
    #[error("the CA's database failed: {0}; check the folder's owner and free space")]
    Database(#[from] rusqlite::Error),
}
