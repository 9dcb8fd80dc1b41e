//! A node's figures at its end, as JSON for programs.

use std::collections::BTreeMap;

use sabha_bridge::BridgeCounters;
use sabha_media::drop_reason::DropReason;
use sabha_media::srtp::KeyUseLog;
use serde::{Deserialize, Serialize};

use super::ShardReport;

/// What a node did, summed over its shards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// What ran the shards' threads.
    #[serde(default)]
    pub driver: String,
    /// Datagrams received.
    pub packets_in: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// RTCP compounds accepted.
    pub reports_in: u64,
    /// RTCP compounds sent.
    pub reports_out: u64,
    /// Times that a member was heard from another address, the first time included.
    pub address_changes: u64,
    /// Packets discarded, by reason; reasons that did not occur are left out.
    pub drops: BTreeMap<String, u64>,
    /// Ticks of all mixers.
    pub ticks: u64,
    /// Ticks with more encodes than ranked talkers, those just leaving, and one.
    pub ticks_over_encode_bound: u64,
    /// Ticks with more decodes than open squelches and four.
    pub ticks_over_decode_bound: u64,
    /// Median of encodes in a tick.
    pub encodes_per_tick_median: u32,
    /// Median of decodes in a tick.
    pub decodes_per_tick_median: u32,
    /// Encodes.
    pub encodes: u64,
    /// Decodes, concealments included.
    pub decodes: u64,
    /// Concealments.
    pub concealments: u64,
    /// Ticks that were never made, as they had fallen behind too far.
    pub ticks_passed_over: u64,
    /// Packets queued for members, by the sound in each: 20, 40 and 60 ms.
    pub packets_by_frames: [u64; 3],
    /// Octets of RTP packets sent, authentication tags included.
    #[serde(default)]
    pub octets_out: u64,
    /// What bridges did.
    #[serde(default)]
    pub forwarding: Forwarding,
    /// Datagrams in each message to the kernel that held several; 0 if none did.
    #[serde(default)]
    pub gso_segments_mean: f64,
    /// The latest that a mixer's deadline was met, in milliseconds.
    pub tick_late_ms_max: f64,
    /// Legs added.
    pub joins: u64,
    /// Legs removed.
    pub leaves: u64,
    /// Uses of a key, if they were logged.
    pub key_uses: Option<u64>,
    /// Repeated (key, SSRC, index), if they were logged; must be 0.
    pub key_repeats: Option<u64>,
    /// Uses that the log had no room for.
    pub key_uses_unlogged: Option<u64>,
}

/// What a node's bridges did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// Packets of members that were passed on.
    pub forwarded: u64,
    /// Packets queued for members.
    pub packets_out: u64,
    /// Times that a member began to talk.
    pub turns: u64,
    /// Times that a slot went over to another talker.
    pub switches: u64,
    /// Octets of padding, sent to make packets one size.
    pub padding_octets: u64,
}

impl NodeReport {
    pub(super) fn new(shards: &[ShardReport], key_uses: Option<&KeyUseLog>) -> Self {
        let mut total = ShardReport::default();
        for shard in shards {
            total.counters.add(&shard.counters);
            total.engines.add(&shard.engines);
        }
        let (counters, mixing) = (&total.counters, &total.engines.mixing);
        let drops = DropReason::ALL.iter().filter_map(|reason| {
            let count = counters.drops.of(*reason);
            (count > 0).then(|| (reason.as_str().to_owned(), count))
        });
        Self {
            driver: String::new(),
            packets_in: counters.packets_in,
            packets_out: counters.packets_out,
            reports_in: counters.reports_in,
            reports_out: counters.reports_out,
            address_changes: counters.address_changes,
            drops: drops.collect(),
            ticks: mixing.ticks,
            ticks_over_encode_bound: mixing.ticks_over_encode_bound,
            ticks_over_decode_bound: mixing.ticks_over_decode_bound,
            encodes_per_tick_median: mixing.encodes_per_tick.median(),
            decodes_per_tick_median: mixing.decodes_per_tick.median(),
            encodes: mixing.encodes,
            decodes: mixing.decodes,
            concealments: mixing.concealments,
            ticks_passed_over: mixing.ticks_passed_over,
            packets_by_frames: mixing.packets_by_frames,
            octets_out: counters.octets_out,
            forwarding: forwarding(&total.engines.bridging),
            gso_segments_mean: 0.0,
            tick_late_ms_max: counters.tick_lateness.max.as_secs_f64() * 1e3,
            joins: counters.joins,
            leaves: counters.leaves,
            key_uses: key_uses.map(|log| log.len() as u64),
            key_repeats: key_uses.map(|log| log.repeats() as u64),
            key_uses_unlogged: key_uses.map(|log| log.overflow() as u64),
        }
    }
}

fn forwarding(bridging: &BridgeCounters) -> Forwarding {
    Forwarding {
        forwarded: bridging.forwarded,
        packets_out: bridging.packets_out,
        turns: bridging.turns,
        switches: bridging.switches,
        padding_octets: bridging.padding_octets,
    }
}
