//! What a bridge did, for reports and metrics.

use sabha_media::red::COPIES_MAX;

/// Counts of one conference's forwarding, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeCounters {
    /// Times that a member began to talk, forwarded or not.
    pub turns: u64,
    /// Times that a slot went over to another member than the one before.
    pub switches: u64,
    /// Of those, slots taken from one who still talked.
    pub takeovers: u64,
    /// Of those, from one who had held it for too long.
    pub holds_capped: u64,
    /// Packets of members that were passed on, copies and look-back included.
    pub forwarded: u64,
    /// Packets queued for members.
    pub packets_out: u64,
    /// Of those, packets that carry one copy, and those that carry two.
    pub packets_by_copies: [u64; COPIES_MAX],
    /// Packets kept back because nobody talked in them.
    pub suppressed_by_level: u64,
    /// Packets kept back because every slot was taken by one who is louder.
    pub suppressed_by_limit: u64,
    /// Of those forwarded, packets from before their member's gate opened.
    pub lookback_sent: u64,
    /// Of those forwarded, packets that were lost and came as a copy.
    pub recovered: u64,
    /// Padding queued, in octets.
    pub padding_octets: u64,
    /// Talkers that the shard had no memory for.
    pub pool_exhausted: u64,
}

/// What a bridge, or all of a shard, have in use now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeGauges {
    /// Slots whose talker is forwarded.
    pub slots_in_use: u64,
}

impl BridgeGauges {
    /// Adds another conference's figures to these.
    pub fn add(&mut self, other: &Self) {
        self.slots_in_use += other.slots_in_use;
    }
}

impl BridgeCounters {
    /// Adds another conference's counts to these.
    pub fn add(&mut self, other: &Self) {
        self.turns += other.turns;
        self.switches += other.switches;
        self.takeovers += other.takeovers;
        self.holds_capped += other.holds_capped;
        self.forwarded += other.forwarded;
        self.packets_out += other.packets_out;
        for (mine, theirs) in self.packets_by_copies.iter_mut().zip(other.packets_by_copies) {
            *mine += theirs;
        }
        self.suppressed_by_level += other.suppressed_by_level;
        self.suppressed_by_limit += other.suppressed_by_limit;
        self.lookback_sent += other.lookback_sent;
        self.recovered += other.recovered;
        self.padding_octets += other.padding_octets;
        self.pool_exhausted += other.pool_exhausted;
    }
}
