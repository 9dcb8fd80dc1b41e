//! Whether the load leaves room for somebody else.
//!
//! Where shards can still give up effort, or wait for a core that others use for the moment (many
//! who join at once), a newcomer waits for that rather than being refused.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::load::gate::{self, Overload};
use super::shards::Shards;

/// Lets newcomers in, or not.
pub(crate) struct Newcomers {
    load_max: f64,
    waiting: Semaphore,
}

impl Newcomers {
    /// Lets newcomers in while a shard's thread is busy for less than this share of its time.
    pub(crate) fn new(load_max: f64) -> Self {
        Self { load_max, waiting: Semaphore::new(WAITING_MAX) }
    }

    /// Says whether any shard takes newcomers, or may in a moment.
    ///
    /// # Errors
    /// `Overload` if none does.
    pub(crate) fn check(&self, shards: &Shards) -> Result<(), Overload> {
        let mut refused = None;
        for board in shards.boards() {
            match gate::check(board, self.load_max) {
                Err(overload) if !overload.may_pass => refused = refused.or(Some(overload)),
                _ => return Ok(()),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Lets a newcomer in on this shard; waits a little if there may be room in a moment.
    ///
    /// # Errors
    /// `Overload` if there is no room and none to come, or too many wait for it.
    pub(crate) async fn admit(&self, shards: &Shards, shard: u16) -> Result<(), Overload> {
        let Some(board) = shards.board(shard) else { return Ok(()) };
        let Err(overload) = gate::admit(board, self.load_max) else { return Ok(()) };
        let Ok(_place) = self.waiting.try_acquire() else { return Err(overload) };
        let deadline = Instant::now() + PATIENCE;
        let mut latest = overload;
        while latest.may_pass && Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
            match gate::admit(board, self.load_max) {
                Ok(()) => return Ok(()),
                Err(overload) => latest = overload,
            }
        }
        Err(latest)
    }
}

/// Newcomers who wait at once. Chosen: looking ten times a second for each costs nothing yet.
const WAITING_MAX: usize = 256;

/// How long one waits: as long as a shard needs to go all the way up, and less than the 10 s after
/// which clients give up.
const PATIENCE: Duration = Duration::from_secs(7);

/// How often one looks. Chosen: the load is read four times a second.
const PAUSE: Duration = Duration::from_millis(100);
