//! Watching every use of a key, to prove that none repeats.
//!
//! For simulations, tests and demonstrations: `KeyUseLog` locks, which the packet path never does
//! otherwise. What a tap is told reveals neither key nor payload.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::leg::Ssrc;

/// Is told of each packet that a sender protects.
pub trait ProtectTap: Send + Sync {
    /// Takes note of one use of a key, as it happens.
    fn protected(&self, key_use: KeyUse);
}

/// What makes a nonce, under which key: no two may ever be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUse {
    /// The first eight octets of SHA-256 over session key and session salt.
    pub key_hash: u64,
    /// The stream.
    pub ssrc: Ssrc,
    /// The index within the stream.
    pub index: u64,
    /// Whether it was RTCP.
    pub rtcp: bool,
}

/// Notes uses of keys up to a limit; `repeats` looks for equal ones among them.
#[derive(Debug)]
pub struct KeyUseLog(Mutex<Log>);

#[derive(Debug)]
struct Log {
    uses: Vec<KeyUse>,
    capacity: usize,
    overflow: usize,
}

impl KeyUseLog {
    /// Makes a log that senders share, with room for `capacity` uses allocated at once.
    pub fn new(capacity: usize) -> Self {
        Self(Mutex::new(Log { uses: Vec::with_capacity(capacity), capacity, overflow: 0 }))
    }

    /// Returns how many uses were noted.
    pub fn len(&self) -> usize {
        self.log().uses.len()
    }

    /// Tells whether no use was noted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many uses equal an earlier one; any number but 0 is a broken promise.
    ///
    /// Sorts a copy of the log, so it is not for the packet path.
    pub fn repeats(&self) -> usize {
        let mut uses = self.log().uses.clone();
        uses.sort_unstable();
        uses.windows(2).filter(|pair| pair[0] == pair[1]).count()
    }

    /// Returns how many uses found the log full and were not noted.
    pub fn overflow(&self) -> usize {
        self.log().overflow
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProtectTap for KeyUseLog {
    fn protected(&self, key_use: KeyUse) {
        let mut log = self.log();
        if log.uses.len() < log.capacity {
            log.uses.push(key_use);
        } else {
            log.overflow += 1;
        }
    }
}
