//! What members received from a bridge, packet by packet: a talker's payload arrives as it was sent,
//! so that each can be told by its hash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sabha_client::media::{ArrivedPacket, SentPacket};
use sabha_client::sound::level::rms_dbfs;
use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::leg::Ssrc;
use sabha_media::time::Instant;

use super::cast::Recording;
use super::script::{Line, Script};

/// Figures over all members behind a good network.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    /// The delay that the node added to each packet.
    pub delays: Vec<Duration>,
    /// Most streams that a member received packets of within a second.
    pub streams_per_member_max: u64,
    /// Packets that a member received twice, or that were their own.
    pub doubled: u64,
    /// For each line and listener, how much of its first speech never came.
    pub onsets_missing: Vec<Duration>,
    /// Times that a listener's stream went over to another talker; of the listener with most.
    pub switches: u64,
    /// Times that somebody began to talk, by the script.
    pub turns: u64,
}

/// What of a talker's packets reached one listener.
struct Heard {
    /// For each sent packet, whether it came.
    came: Vec<bool>,
}

impl Forwarding {
    /// Measures.
    pub fn of(script: &Script, recordings: &[Recording]) -> Self {
        let mut all = Self { turns: script.turns() as u64, ..Self::default() };
        for listener in recordings.iter().filter(|one| !one.impaired) {
            let arrived = &listener.timing.arrived;
            let streams = streams_at_once(arrived);
            all.streams_per_member_max = all.streams_per_member_max.max(streams);
            all.switches = all.switches.max(switches(arrived));
            let own = arrived.iter().filter(|packet| packet.source == Some(listener.ssrc));
            all.doubled += own.count() as u64;
            let talkers = recordings.iter().take(script.talkers).enumerate();
            for (place, talker) in talkers.filter(|(_, one)| one.ssrc != listener.ssrc) {
                if talker.impaired {
                    continue;
                }
                let heard = all.match_packets(&talker.timing.sent, arrived, talker.ssrc);
                let lines = script.lines.iter().filter(|line| line.talker == place);
                let missing = lines.map(|line| heard.onset_missing(line, &talker.timing.sent));
                all.onsets_missing.extend(missing);
            }
        }
        all.delays.sort_unstable();
        all.onsets_missing.sort_unstable();
        all
    }

    /// Finds each arrived packet among those that its talker had sent shortly before.
    fn match_packets(
        &mut self,
        sent: &[SentPacket],
        arrived: &[ArrivedPacket],
        talker: Ssrc,
    ) -> Heard {
        let mut by_payload: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, packet) in sent.iter().enumerate() {
            by_payload.entry(packet.payload).or_default().push(place);
        }
        let mut came = vec![false; sent.len()];
        let (mut before, mut kept) = (Instant::ZERO, 0);
        for packet in arrived.iter().filter(|packet| packet.source == Some(talker)) {
            // What was kept until an onset comes at once, and is late by no fault of the node.
            let since = packet.at.saturating_since(std::mem::replace(&mut before, packet.at));
            kept = match since {
                pause if pause > PAUSE => KEPT_MAX,
                at_once if at_once < AT_ONCE => kept.saturating_sub(1),
                _ => 0,
            };
            let same = by_payload.get(&packet.payload).map_or(&[][..], Vec::as_slice);
            let is_recent = |place: &&usize| {
                let at = sent[**place].at;
                at < packet.at + SKEW && packet.at < at + LATENCY_MAX
            };
            let recent = || same.iter().rev().filter(is_recent);
            let Some(place) = recent().find(|place| !came[**place]).copied() else {
                self.doubled += u64::from(recent().next().is_some());
                continue;
            };
            came[place] = true;
            let delay = packet.at.saturating_since(sent[place].at);
            self.delays.extend((kept == 0).then_some(delay));
        }
        Heard { came }
    }
}

impl Heard {
    /// Returns how much of a line's first speech never came: frames that are loud enough to open
    /// any squelch, in the first half second of it.
    fn onset_missing(&self, line: &Line, sent: &[SentPacket]) -> Duration {
        let loud = line.samples.chunks(FRAME_SAMPLES).position(|frame| rms_dbfs(frame) > LOUD_DBFS);
        let from = line.start + (loud.unwrap_or(0) * FRAME_SAMPLES) as u64;
        let until = (from + ONSET).min(line.end());
        let is_of_onset = |packet: &SentPacket| (from..until).contains(&packet.sample);
        let packets = sent.iter().zip(&self.came).filter(|(packet, _)| is_of_onset(packet));
        let (all, came) =
            packets.fold((0, 0), |(all, came), (_, one)| (all + 1, came + u64::from(*one)));
        // What the talker's own gate kept back is missing too.
        let due = (until - from) / FRAME_SAMPLES as u64;
        FRAME * u32::try_from(due.max(all) - came).unwrap_or(u32::MAX)
    }
}

fn streams_at_once(arrived: &[ArrivedPacket]) -> u64 {
    let mut seconds: BTreeMap<u64, BTreeSet<Ssrc>> = BTreeMap::new();
    for packet in arrived {
        let second = packet.at.saturating_since(Instant::ZERO).as_secs();
        seconds.entry(second).or_default().insert(packet.stream);
    }
    seconds.values().map(BTreeSet::len).max().unwrap_or(0) as u64
}

fn switches(arrived: &[ArrivedPacket]) -> u64 {
    let mut holders: BTreeMap<Ssrc, Ssrc> = BTreeMap::new();
    let mut switches = 0;
    for packet in arrived {
        let Some(source) = packet.source else { continue };
        let before = holders.insert(packet.stream, source);
        switches += u64::from(before.is_some_and(|before| before != source));
    }
    switches
}

/// One frame.
const FRAME: Duration = Duration::from_millis(20);

/// How much of a line counts as its beginning: half a second.
const ONSET: u64 = 24_000;

/// What opens a squelch, in dBFS of a frame.
const LOUD_DBFS: f32 = -50.0;

/// A packet is noted as sent just after the kernel took it, so it may have arrived before.
const SKEW: Duration = Duration::from_millis(5);

/// Packets that come closer than this were not sent as they were spoken: half a frame.
const AT_ONCE: Duration = Duration::from_millis(10);

/// A pause of a talker, longer than any packet.
const PAUSE: Duration = Duration::from_millis(100);

/// What a bridge sends at once at an onset: three packets that it kept, and the one that opened.
const KEPT_MAX: u32 = 4;

/// The latest that a packet may come.
const LATENCY_MAX: Duration = Duration::from_millis(500);
