//! Why the CA cannot be opened, or cannot sign.

use std::path::PathBuf;

use thiserror::Error;

use crate::{certificate::ChainError, file::FileError, identity::KeyError};

/// The CA cannot be opened, or cannot sign.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// There is no CA in this folder.
    #[error("there is no CA in {0}; name the folder of one, or make one there with `sabha ca`")]
    Missing(PathBuf),
    /// A test network's CA was to serve as an ordinary one.
    #[error(
        "the CA in {0} is a test network's, which it was made as and stays; start it with --test-network, or make another in another folder"
    )]
    TestNetwork(PathBuf),
    /// An ordinary CA was to serve a test network.
    #[error(
        "the CA in {0} is not a test network's and cannot become one; make one in another folder with --test-network"
    )]
    NoTestNetwork(PathBuf),
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
