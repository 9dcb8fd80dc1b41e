//! The window that lets each index through once.

use crate::drop_reason::DropReason;
use crate::srtp::PacketIndex;

/// How many indices the window holds, the newest included.
///
/// Chosen: 2.5 s of 20 ms packets in one `u128`; RFC 3711 section 3.3.2 asks for at least 64.
pub const REPLAY_WINDOW: u64 = 128;

/// Remembers which of the last `REPLAY_WINDOW` indices were authenticated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayWindow {
    newest: Option<PacketIndex>,
    /// Bit n stands for the index n before the newest.
    seen: u128,
}

impl ReplayWindow {
    /// Takes in an index whose packet was authenticated and had passed `check`.
    pub fn accept(&mut self, index: PacketIndex) {
        match self.newest {
            Some(newest) if index <= newest => {
                let age = newest.0 - index.0;
                self.seen |= 1_u128.checked_shl(age as u32).unwrap_or(0);
            }
            Some(newest) => {
                let advance = u32::try_from(index.0 - newest.0).unwrap_or(u32::MAX);
                self.seen = self.seen.checked_shl(advance).unwrap_or(0) | 1;
                self.newest = Some(index);
            }
            None => *self = Self { newest: Some(index), seen: 1 },
        }
    }

    /// Tells whether a packet with this index may be new, before it is decrypted.
    ///
    /// # Errors
    /// `Replayed` if the index was accepted, `TooOld` if it is older than the window.
    pub fn check(&self, index: PacketIndex) -> Result<(), DropReason> {
        let Some(newest) = self.newest else { return Ok(()) };
        let Some(age) = newest.0.checked_sub(index.0) else { return Ok(()) };
        if age >= REPLAY_WINDOW {
            return Err(DropReason::TooOld);
        }
        if self.seen >> age & 1 == 1 { Err(DropReason::Replayed) } else { Ok(()) }
    }

    /// Returns the newest index accepted.
    pub const fn newest(&self) -> Option<PacketIndex> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_of_the_window_passes_once() {
        let mut window = ReplayWindow::default();
        window.accept(PacketIndex(1000));
        for index in (873..=1000).map(PacketIndex) {
            let fresh = if index.0 == 1000 { Err(DropReason::Replayed) } else { Ok(()) };
            assert_eq!(window.check(index), fresh);
            window.accept(index);
            assert_eq!(window.check(index), Err(DropReason::Replayed));
        }
        assert_eq!(window.check(PacketIndex(872)), Err(DropReason::TooOld));
        assert_eq!(window.newest(), Some(PacketIndex(1000)));
    }

    #[test]
    fn a_far_jump_empties_the_window() {
        let mut window = ReplayWindow::default();
        window.accept(PacketIndex(0));
        window.accept(PacketIndex(128));
        assert_eq!(window.check(PacketIndex(0)), Err(DropReason::TooOld));
        assert_eq!(window.check(PacketIndex(1)), Ok(()));
        window.accept(PacketIndex(u64::MAX));
        assert_eq!(window.check(PacketIndex(u64::MAX - 127)), Ok(()));
        assert_eq!(window.check(PacketIndex(u64::MAX)), Err(DropReason::Replayed));
    }
}
