//! Small files on disk: keys, certificates and mails, written whole and with the right mode.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use thiserror::Error;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Mode 0600: secrets.
    OwnerOnly,
    /// Mode 0644: certificates.
    Everyone,
}

/// A file could not be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// There is no such file.
    #[error("{0} does not exist; check the folder, or enrol this device first")]
    Missing(PathBuf),
    /// A secret that others can read.
    #[error("{path} has mode {mode:03o}, so others can read this secret; run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is far larger than anything that belongs in it.
    #[error(
        "{path} is larger than {max} bytes, which no file of its kind is; restore the right file"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        max: u64,
    },
    /// The system refused.
    #[error("cannot {verb} {path}: {source}; check the folder's owner and free space")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Reads a key or certificates, refusing a secret that others can read.
pub(crate) fn read(path: &Path, access: Access) -> Result<Vec<u8>, FileError> {
    read_up_to(path, access, FILE_LEN_MAX)
}

/// Reads a file of at most `max` bytes, refusing a secret that others can read.
pub(crate) fn read_up_to(path: &Path, access: Access, max: u64) -> Result<Vec<u8>, FileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing(path.to_owned()),
        _ => FileError::Io { verb: "read", path: path.to_owned(), source },
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if access == Access::OwnerOnly && mode & 0o077 != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLarge { path: path.to_owned(), max });
    }
    Ok(bytes)
}

/// Writes a file beside its place and moves it there, so no reader ever sees half of it, and a
/// failure leaves nothing.
pub(crate) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mode = if access == Access::OwnerOnly { 0o600 } else { 0o644 };
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|source| {
        // Nobody can be told that even this fails; the error tells of the folder.
        let _ = fs::remove_file(&temporary);
        FileError::Io { verb: "write", path: path.to_owned(), source }
    })
}

/// Makes a folder that only its owner can enter, if it is not there yet.
pub(crate) fn create_dir(path: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::Io { verb: "create", path: path.to_owned(), source };
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)
}

/// Returns `der` as PEM. Source: RFC 7468.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for start in (0..base64.len()).step_by(64) {
        text.push_str(&base64[start..base64.len().min(start + 64)]);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Largest file of a key or certificates; a chain of three certificates has 3 KiB.
const FILE_LEN_MAX: u64 = 64 * 1024;
