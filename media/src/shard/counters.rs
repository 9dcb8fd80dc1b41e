//! What a shard did, for reports and metrics.

use crate::drop_reason::DropCounters;

/// Counts since the shard began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardCounters {
    /// Datagrams received, good or bad.
    pub packets_in: u64,
    /// Their octets.
    pub octets_in: u64,
    /// RTP packets handed to the sender.
    pub packets_out: u64,
    /// Their octets, sealed.
    pub octets_out: u64,
    /// RTCP compounds accepted.
    pub reports_in: u64,
    /// RTCP compounds handed to the sender.
    pub reports_out: u64,
    /// Times that a member was heard from another address than before, the first time included.
    pub address_changes: u64,
    /// Packets discarded, by reason.
    pub drops: DropCounters,
    /// Bodies and packets that the outbox refused.
    pub outbox_refused: u64,
    /// Events that control did not take in time.
    pub events_dropped: u64,
}

impl ShardCounters {
    /// Adds another shard's counts to these.
    pub fn add(&mut self, other: &Self) {
        self.packets_in += other.packets_in;
        self.octets_in += other.octets_in;
        self.packets_out += other.packets_out;
        self.octets_out += other.octets_out;
        self.reports_in += other.reports_in;
        self.reports_out += other.reports_out;
        self.address_changes += other.address_changes;
        self.drops.add(&other.drops);
        self.outbox_refused += other.outbox_refused;
        self.events_dropped += other.events_dropped;
    }
}
