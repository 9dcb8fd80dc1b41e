//! The key that a session's keys are derived from.

use std::fmt;

use thiserror::Error;
use zeroize::ZeroizeOnDrop;

use crate::srtp::SrtpSuite;

/// Master key and master salt of one direction of one leg; wiped when dropped.
///
/// Not `Clone`: two senders under one master key would repeat nonces. Source: RFC 3711 section
/// 3.2.1.
#[derive(ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: SrtpSuite,
    key: [u8; KEY_LEN_MAX],
    salt: [u8; SALT_LEN_MAX],
}

/// Why keying material is no master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MasterKeyError {
    /// The suite needs another length.
    #[error("keying material of {actual} octets where the suite needs {needed}")]
    Length {
        /// Octets that the suite needs.
        needed: usize,
        /// Octets that were given.
        actual: usize,
    },
}

impl MasterKey {
    /// Takes the master key and then the master salt out of exported keying material.
    ///
    /// # Errors
    /// `Length` unless there are exactly `suite.keying_material_len()` octets.
    pub fn new(suite: SrtpSuite, keying_material: &[u8]) -> Result<Self, MasterKeyError> {
        let (needed, actual) = (suite.keying_material_len(), keying_material.len());
        if needed != actual {
            return Err(MasterKeyError::Length { needed, actual });
        }
        let (key, salt) = keying_material.split_at(suite.key_len());
        let mut master = Self { suite, key: [0; KEY_LEN_MAX], salt: [0; SALT_LEN_MAX] };
        master.key[..key.len()].copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        Ok(master)
    }

    /// Returns the suite that the key is for.
    pub const fn suite(&self) -> SrtpSuite {
        self.suite
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key[..self.suite.key_len()]
    }

    /// The salt as key derivation takes it: 96-bit salts end in zeros. RFC 7714 section 11.
    pub(super) const fn salt(&self) -> &[u8; SALT_LEN_MAX] {
        &self.salt
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// The longest master key of any suite, in octets.
const KEY_LEN_MAX: usize = 16;

/// The longest master salt of any suite, in octets: 112 bits. RFC 3711 section 8.2.
pub(super) const SALT_LEN_MAX: usize = 14;
