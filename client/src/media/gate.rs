//! Decides which frames of a microphone are sent, which only by their level, and which not at all.
//!
//! Pure: told each frame's time and level, and the node's order. Keeps no packet: whoever asks
//! keeps the last few, so that a word's onset is whole. Any client that obeys uplink orders needs
//! one, with an encoder of its own or without.

use std::time::Duration;

use sabha_media::extension::LevelDbov;
use sabha_media::shard::{PROMOTION_LEVEL, UplinkOrder};
use sabha_media::time::Instant;

/// What is to be done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateDecision {
    /// Send its packet.
    Send,
    /// Send the packets of the last `PREROLL_PACKETS` frames that were held, oldest first, and
    /// then its own; the first of them has the marker.
    Onset,
    /// Send its level without a payload, and hold its packet.
    Probe,
    /// Send nothing, and hold its packet.
    Hold,
}

/// A microphone's gate.
///
/// Opens at the level that opens a node's squelch and closes like it. Follows the voice under
/// every order, so that a changed order finds it as it is.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    order: UplinkOrder,
    /// Until when it is open, unless it is loud again.
    open_until: Option<Instant>,
    /// Whether the last frame's packet was sent.
    is_sending: bool,
    /// When something was sent last, and a probe of a loud frame.
    sent_at: Option<Instant>,
    loud_probe_at: Option<Instant>,
    openings: u64,
}

impl Gate {
    /// Makes a closed gate under the order `Everything`.
    pub const fn new() -> Self {
        Self {
            order: UplinkOrder::Everything,
            open_until: None,
            is_sending: false,
            sent_at: None,
            loud_probe_at: None,
            openings: 0,
        }
    }

    /// Takes the node's order; it holds from the next frame on.
    pub fn set_order(&mut self, order: UplinkOrder) {
        self.order = order;
    }

    /// Decides about the next frame, whose time is `at`; called once for each, in order.
    ///
    /// While the gate is closed, frames as quiet as the last need not be told before `probe_at`.
    pub fn handle_frame(&mut self, at: Instant, level: LevelDbov) -> GateDecision {
        let is_open = self.follow(at, level);
        let sends = match self.order {
            UplinkOrder::Everything => true,
            UplinkOrder::Voice => is_open,
            UplinkOrder::Probes => false,
        };
        let began = sends && !self.is_sending;
        self.is_sending = sends;
        if sends {
            self.sent_at = Some(at);
            return if began { GateDecision::Onset } else { GateDecision::Send };
        }
        self.probe(at, level)
    }

    /// Returns the order that holds.
    pub fn order(&self) -> UplinkOrder {
        self.order
    }

    /// Tells whether a voice is heard.
    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// Returns how often a voice began.
    pub fn openings(&self) -> u64 {
        self.openings
    }

    /// Returns when a quiet microphone's next level probe is due; at once if none was sent yet.
    pub fn probe_at(&self) -> Instant {
        self.sent_at.map_or(Instant::ZERO, |at| at + PROBE_INTERVAL)
    }

    /// Opens, stays open or closes; returns whether it is open.
    fn follow(&mut self, at: Instant, level: LevelDbov) -> bool {
        let was_open = self.open_until.is_some_and(|until| at < until);
        let threshold = if was_open { GATE_CLOSE } else { GATE_OPEN };
        if !threshold.is_louder_than(level) {
            self.openings += u64::from(!was_open);
            self.open_until = Some(at + GATE_HANGOVER);
        } else if !was_open {
            self.open_until = None;
        }
        self.open_until.is_some()
    }

    fn probe(&mut self, at: Instant, level: LevelDbov) -> GateDecision {
        let is_loud = !GATE_OPEN.is_louder_than(level);
        let is_due = match self.loud_probe_at.filter(|_| is_loud) {
            Some(before) => at.saturating_since(before) >= LOUD_PROBE_INTERVAL,
            None => is_loud || at >= self.probe_at(),
        };
        if !is_due {
            return GateDecision::Hold;
        }
        self.sent_at = Some(at);
        if is_loud {
            self.loud_probe_at = Some(at);
        }
        GateDecision::Probe
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Packets held back that go before an onset: 60 ms, longer than the rise of any syllable, and
/// what a node keeps of a squelched member.
pub const PREROLL_PACKETS: usize = 3;

/// A frame at least this loud opens the gate, as it opens a node's squelch.
pub const GATE_OPEN: LevelDbov = PROMOTION_LEVEL;

/// A frame at least this loud keeps it open, as it does a node's squelch.
pub const GATE_CLOSE: LevelDbov = LevelDbov(55);

/// How long it stays open after the last frame that was loud enough: as long as a node's squelch.
pub const GATE_HANGOVER: Duration = Duration::from_millis(400);

/// How often a quiet microphone's level is told. Chosen: as often as a report, which tells a node
/// and NATs that the member is there; 1 s cost a node with 3,000 listeners 5 % of its time.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How often a loud microphone's level is told, where no voice may be sent. Chosen: a member is
/// promoted within a syllable, or after a lost probe within two.
pub const LOUD_PROBE_INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: LevelDbov = LevelDbov(70);
    const LOUD: LevelDbov = LevelDbov(30);

    /// Tells a gate the levels of frames 20 ms apart, beginning at 1,000 s; a letter for each.
    fn decide(gate: &mut Gate, from: u64, levels: &[LevelDbov]) -> String {
        let decide = |(index, level): (usize, &LevelDbov)| {
            let at = Instant::from_millis(1_000_000 + 20 * (from + index as u64));
            match gate.handle_frame(at, *level) {
                GateDecision::Send => 's',
                GateDecision::Onset => 'O',
                GateDecision::Probe => 'p',
                GateDecision::Hold => '.',
            }
        };
        levels.iter().enumerate().map(decide).collect()
    }

    fn gate(order: UplinkOrder) -> Gate {
        let mut gate = Gate::new();
        gate.set_order(order);
        gate
    }

    #[test]
    fn everything_is_sent_unless_less_is_ordered() {
        let mut gate = Gate::new();
        assert_eq!(decide(&mut gate, 0, &[QUIET, LOUD, QUIET]), "Oss");
        assert_eq!(gate.openings(), 1, "the voice is followed all the same");
    }

    #[test]
    fn gate_opens_holds_and_closes_like_a_squelch() {
        let mut gate = gate(UplinkOrder::Voice);
        assert_eq!(decide(&mut gate, 0, &[LevelDbov(51), LevelDbov(50), LevelDbov(55)]), "pOs");
        // 400 ms after the last frame that was loud enough: 19 more, and the 20th is held.
        let quiet = decide(&mut gate, 3, &[LevelDbov(56); 25]);
        assert_eq!(quiet, "s".repeat(19) + "......");
        assert_eq!(decide(&mut gate, 28, &[LevelDbov(55), LevelDbov(50)]), ".O");
        assert_eq!(gate.openings(), 2);
    }

    #[test]
    fn quiet_microphone_tells_its_level_every_five_seconds() {
        let mut gate = gate(UplinkOrder::Voice);
        let decided = decide(&mut gate, 0, &[QUIET; 751]);
        let probes: Vec<_> = decided.match_indices('p').map(|(index, _)| index).collect();
        assert_eq!(probes, [0, 250, 500, 750]);
        assert_eq!(gate.probe_at(), Instant::from_millis(1_000_000 + 751 * 20 - 20 + 5_000));
        assert!(!decided.contains(['s', 'O']));
    }

    #[test]
    fn loud_microphone_tells_its_level_five_times_a_second_and_sends_no_voice() {
        let mut gate = gate(UplinkOrder::Probes);
        let levels = [[QUIET; 5].to_vec(), [LOUD; 25].to_vec(), [QUIET; 260].to_vec()].concat();
        let decided = decide(&mut gate, 0, &levels);
        let probes: Vec<_> = decided.match_indices('p').map(|(index, _)| index).collect();
        assert_eq!(probes, [0, 5, 15, 25, 275], "the first loud one at once");
        assert!(!decided.contains(['s', 'O']));
    }

    #[test]
    fn level_that_trembles_around_the_threshold_is_told_no_more_often() {
        let mut gate = gate(UplinkOrder::Probes);
        let levels = [LevelDbov(50), LevelDbov(51)].repeat(250);
        let decided = decide(&mut gate, 0, &levels);
        assert!(decided.matches('p').count() <= 51, "{decided}");
    }

    #[test]
    fn voice_that_may_be_sent_at_last_begins_with_an_onset() {
        let mut gate = gate(UplinkOrder::Probes);
        assert_eq!(decide(&mut gate, 0, &[LOUD; 3]), "p..");
        gate.set_order(UplinkOrder::Voice);
        assert_eq!(decide(&mut gate, 3, &[LOUD; 3]), "Oss");
        gate.set_order(UplinkOrder::Probes);
        assert_eq!(decide(&mut gate, 6, &[LOUD; 6]), "....p.");
        gate.set_order(UplinkOrder::Everything);
        assert_eq!(decide(&mut gate, 12, &[QUIET; 2]), "Os");
    }
}
