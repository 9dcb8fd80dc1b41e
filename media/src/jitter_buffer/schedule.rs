//! When packets were played, against when it suits nearly all of them.

use std::time::Duration;

use super::patience::Patience;
use super::recent::RecentMin;
use super::{BufferedPacket, Delays, JitterSettings, nanos, samples_nanos};
use crate::codec::SAMPLE_RATE_HZ;
use crate::rtp::RtpTimestamp;
use crate::time::Instant;

/// The schedule of one stream's playout, and how long it has been earlier or later than it need be.
pub(super) struct Schedule {
    /// When the packet that was given out last was played, and its timestamp.
    last: Option<(Instant, RtpTimestamp)>,
    /// How early recent packets of the spurt were, in ns; negative if late.
    slack: RecentMin,
    /// Until then the delay is left as it is, even if it is longer than needed.
    kept_until: Instant,
    patience: Patience,
    /// Since when playout has been too early.
    short_since: Option<Instant>,
}

/// What decides when packets are best played.
type Known<'a> = (&'a JitterSettings, &'a Delays);

impl Default for Schedule {
    fn default() -> Self {
        Self {
            last: None,
            slack: RecentMin::new(SLACK_WINDOW),
            kept_until: Instant::ZERO,
            patience: Patience::default(),
            short_since: None,
        }
    }
}

impl Schedule {
    /// Begins a spurt, none of whose packets was played.
    pub(super) fn begin(&mut self) {
        self.slack = RecentMin::new(SLACK_WINDOW);
    }

    /// Tells whether none of the spurt's packets was played.
    pub(super) fn is_new(&self) -> bool {
        self.slack.min().is_none()
    }

    /// Takes in that the packet of this timestamp was given out.
    pub(super) fn gave(&mut self, now: Instant, timestamp: RtpTimestamp) {
        self.last = Some((now, timestamp));
    }

    /// Takes in that it was played, so many ns after it came.
    pub(super) fn played(&mut self, waited: i64) {
        self.slack.push(waited);
    }

    /// Takes in that so many samples were left out: packets behind them will have waited less.
    pub(super) fn skipped(&mut self, samples: u32) {
        self.slack.shift(-samples_nanos(samples));
    }

    /// Takes in that all packets will have waited so many ns more, or less if negative.
    pub(super) fn shift(&mut self, by: i64) {
        self.slack.shift(by);
        if let Some((at, _)) = &mut self.last {
            *at = Instant::from_nanos(at.as_nanos().saturating_add_signed(by));
        }
    }

    /// Asks that the delay is not shortened before `until`.
    pub(super) fn keep(&mut self, until: Instant) {
        self.kept_until = until;
    }

    /// Returns whether enough was played to know how early packets are.
    pub(super) fn is_settled(&self) -> bool {
        self.slack.is_settled()
    }

    /// Returns by how much every recent packet was early, and playout is later than it need be.
    pub(super) fn excess(&self, settings: &JitterSettings, delays: &Delays) -> Duration {
        let excess = self.surplus(settings, delays);
        let excess = excess.map_or(u64::MAX, |surplus| u64::try_from(surplus).unwrap_or(0));
        Duration::from_nanos(excess).min(EXCESS_MAX)
    }

    /// Returns by how much playout is earlier than suits nearly all packets.
    pub(super) fn shortage(&self, delays: &Delays) -> Duration {
        let Some((at, timestamp)) = self.last else { return Duration::ZERO };
        let short = delays.margin(at, timestamp).saturating_neg();
        Duration::from_nanos(u64::try_from(short).unwrap_or(0)).min(EXCESS_MAX)
    }

    /// Returns by how many samples playout is best made longer, or shorter if negative, where
    /// packets are pulled for blocks of `block` samples, before which `queued` were left.
    pub(super) fn wanted_stretch(
        &mut self,
        (settings, delays): Known<'_>,
        now: Instant,
        (block, queued): (u32, u32),
        is_quiet: bool,
    ) -> i32 {
        let (short, leeway) = (self.shortage(delays), delays.spread() / SPREAD_SHARE);
        let slack = (settings.target_min * 3 / 4).min(SHORT_MAX);
        let is_short = short > slack + leeway;
        self.short_since = if is_short { self.short_since.or(Some(now)) } else { None };
        if let Some(since) = self.short_since {
            if !is_quiet && now.saturating_since(since) < SHORT_PATIENCE {
                return 0;
            }
            let blocks = samples(short).div_ceil(block.max(1));
            return (blocks * block).saturating_sub(queued).cast_signed();
        }
        let excess = samples(self.excess(settings, delays));
        let surplus = excess - excess % block.max(1) + queued;
        let is_worth_it = surplus > samples(leeway);
        if excess == 0 || !is_worth_it || now < self.kept_until {
            self.patience.rest();
            return 0;
        }
        if self.patience.bears(now, surplus) { 0 } else { -surplus.cast_signed() }
    }

    /// Tells whether playout is a whole packet later than it need be, in the midst of a pause, or
    /// than the target may ever be.
    pub(super) fn is_packet_late(
        &self,
        (settings, delays): Known<'_>,
        now: Instant,
        packet: &BufferedPacket<'_>,
        in_pause: bool,
    ) -> bool {
        let waited = now.nanos_after(packet.received_at);
        let slack = self.slack.min().unwrap_or(waited).min(waited);
        let length = samples_nanos(packet.samples);
        if in_pause && now >= self.kept_until {
            let surplus = slack - nanos(settings.target_min);
            return surplus.min(delays.margin(now, packet.timestamp)) >= length;
        }
        slack >= delays.max().saturating_add(length)
    }

    /// Returns by how much playout is later than it need be, in ns: every recent packet waited
    /// longer than any must, and nearly all will; negative if it is earlier.
    fn surplus(&self, settings: &JitterSettings, delays: &Delays) -> Option<i64> {
        let ((at, timestamp), slack) = (self.last?, self.slack.min()?);
        let waited = slack.saturating_sub(nanos(settings.target_min));
        Some(waited.min(delays.margin(at, timestamp)))
    }
}

/// Returns the whole samples of a duration.
fn samples(duration: Duration) -> u32 {
    let samples = duration.as_nanos() * u128::from(SAMPLE_RATE_HZ) / 1_000_000_000;
    u32::try_from(samples).unwrap_or(u32::MAX)
}

/// Packets by whose smallest wait it is known how early a stream's packets are: half a second to a
/// second of 20 ms packets.
const SLACK_WINDOW: u32 = 25;

/// By so much a delay may be too short before it is made longer, however long packets wait.
const SHORT_MAX: Duration = Duration::from_millis(10);

/// How long it is left too short while the sound is loud: longer than most phrases.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);

/// Less than this part of what the delays vary by is left as it is: it comes and goes.
const SPREAD_SHARE: u32 = 8;

/// More excess than this is of no interest to a tick of 20 ms.
const EXCESS_MAX: Duration = Duration::from_secs(1);
