//! What a shard did, for reports and metrics.

use super::leg::RemoteReception;
use super::tick_lateness::TickLateness;
use crate::drop_reason::DropCounters;
use crate::quality::LegRatings;

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
    /// Of those, padding that made datagrams of one size.
    pub padding_octets: u64,
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
    /// Times that an engine was still due, after its timeout, for what it had been called for.
    pub deadlines_stuck: u64,
    /// Legs added.
    pub joins: u64,
    /// Legs removed.
    pub leaves: u64,
    /// Legs that are heard now.
    pub talkers: u64,
    /// How late engines' timeouts were called.
    pub tick_lateness: TickLateness,
    /// What members report of the streams they are sent.
    pub receptions: ReceptionSums,
    /// How good legs sounded.
    pub ratings: LegRatings,
    /// Level probes received: packets with a level and no payload.
    pub probes_in: u64,
    /// Compounds that told a member another uplink order than the one before, the first included.
    pub orders_out: u64,
    /// Compounds that told a member another bitrate than the one before.
    pub bitrate_orders_out: u64,
    /// Members that were ordered to send voice while the others send probes.
    pub promotions: u64,
    /// Members that lost this again.
    pub demotions: u64,
    /// Loud members that found every place of their conference taken.
    pub promotions_refused: u64,
}

/// Sums over all receiver reports of members, from which averages are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionSums {
    /// Reports that told of a stream which the member is sent.
    pub reports: u64,
    /// The share of packets lost in each report's interval, in 1/256.
    pub fraction_lost: u64,
    /// Interarrival jitter at the members, in samples.
    pub jitter: u64,
}

impl ShardCounters {
    /// Returns the share of RTCP in all packets, both ways, 0.0 to 1.0; `None` before the first.
    pub fn rtcp_share(&self) -> Option<f64> {
        let reports = self.reports_in + self.reports_out;
        let packets = self.packets_in + self.packets_out + self.reports_out;
        (packets > 0).then(|| reports as f64 / packets as f64)
    }

    /// Adds another shard's counts to these.
    pub fn add(&mut self, other: &Self) {
        self.packets_in += other.packets_in;
        self.octets_in += other.octets_in;
        self.packets_out += other.packets_out;
        self.octets_out += other.octets_out;
        self.padding_octets += other.padding_octets;
        self.reports_in += other.reports_in;
        self.reports_out += other.reports_out;
        self.address_changes += other.address_changes;
        self.drops.add(&other.drops);
        self.outbox_refused += other.outbox_refused;
        self.events_dropped += other.events_dropped;
        self.deadlines_stuck += other.deadlines_stuck;
        self.joins += other.joins;
        self.leaves += other.leaves;
        self.talkers += other.talkers;
        self.tick_lateness.add(&other.tick_lateness);
        self.receptions.add(&other.receptions);
        self.ratings.add(&other.ratings);
        self.probes_in += other.probes_in;
        self.orders_out += other.orders_out;
        self.bitrate_orders_out += other.bitrate_orders_out;
        self.promotions += other.promotions;
        self.demotions += other.demotions;
        self.promotions_refused += other.promotions_refused;
    }
}

impl ReceptionSums {
    /// Counts one member's report.
    pub(super) fn count(&mut self, reception: &RemoteReception) {
        self.reports += 1;
        self.fraction_lost += u64::from(reception.fraction_lost);
        self.jitter += u64::from(reception.jitter);
    }

    fn add(&mut self, other: &Self) {
        self.reports += other.reports;
        self.fraction_lost += other.fraction_lost;
        self.jitter += other.jitter;
    }
}
