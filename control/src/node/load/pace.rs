//! How fast callers are let in where signalling and media share a CPU quota.
//!
//! A handshake costs a thousand times what a packet does, and on another core than the media
//! thread's it costs the same quota: when that is used up, the kernel stops media as well. Pure.

use std::time::Duration;

/// The pause between two callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace(Duration);

impl Pace {
    /// Takes the share of its quota that the whole process used lately; `None` without a quota.
    pub(crate) fn handle_share(&mut self, share: Option<f64>) {
        let Some(share) = share else {
            *self = Self::default();
            return;
        };
        self.0 = if share > SHARE_MAX {
            (self.0 * 2).clamp(PAUSE_MIN, PAUSE_MAX)
        } else {
            self.0.mul_f64(QUICKEN)
        };
        if self.0 < PAUSE_MIN {
            self.0 = Duration::ZERO;
        }
    }

    /// Returns how long to wait after a caller before the next one is let in.
    pub(crate) fn pause(&self) -> Duration {
        self.0
    }
}

/// The share of the quota that may be used, signalling and all. Chosen so that a period of the
/// kernel's, in which the quota counts, is seldom used up when the mean is at this.
const SHARE_MAX: f64 = 0.9;

/// The shortest pause that matters: about the CPU time of one handshake.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// The longest: 20 callers a second use a twentieth of a core.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How fast the pause shrinks while there is room: chosen slower than it grows, so that the quota
/// is neared rather than hit again and again.
const QUICKEN: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_quota_nobody_waits() {
        let mut pace = Pace::default();
        pace.handle_share(Some(1.0));
        assert!(!pace.pause().is_zero());
        pace.handle_share(None);
        assert!(pace.pause().is_zero());
    }

    #[test]
    fn callers_wait_longer_while_the_quota_is_used_up_and_not_at_all_afterwards() {
        let mut pace = Pace::default();
        let pauses = (0..8).map(|_| {
            pace.handle_share(Some(0.99));
            pace.pause().as_millis()
        });
        assert_eq!(pauses.collect::<Vec<_>>(), [2, 4, 8, 16, 32, 50, 50, 50]);
        for _ in 0..16 {
            pace.handle_share(Some(0.5));
        }
        assert!(pace.pause().is_zero());
    }

    /// Callers that each take 2 ms, beside media that takes two thirds of half a core.
    #[test]
    fn handshakes_take_what_media_leaves_of_the_quota() {
        let (quota, media, cost) = (0.5, 0.34, 0.002);
        let mut pace = Pace::default();
        let (mut over, mut callers) = (0, 0.0);
        for _ in 0..400 {
            let gap = pace.pause().as_secs_f64().max(cost);
            let used = (media + cost / gap) / quota;
            over += usize::from(used > 1.0);
            callers += 0.25 / gap;
            pace.handle_share(Some(used.min(1.0)));
        }
        assert!(over < 60, "over the quota in {over} of 400 quarters of a second");
        assert!(callers > 3_000.0, "{callers} callers in 100 s");
    }
}
