//! One mixed conference: who is in it, what comes in, who is decoded.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use sabha_media::codec::opus::Opus;
use sabha_media::codec::{Codec, FRAME_SAMPLES};
use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, LegKey,
};
use sabha_media::jitter_buffer::{BufferedPacket, Delays, JitterSettings};
use sabha_media::leg::LegRole;
use sabha_media::lookback::{KEPT_MAX, Kept, Lookback};
use sabha_media::outbox::Outbox;
use sabha_media::red::{CopyChoice, CopyOrder, Predecessor, RedArrivals, RedPacket};
use sabha_media::reordering::Reordering;
use sabha_media::shard::OwnVoice;
use sabha_media::time::Instant;

use crate::counters::{MixerCounters, MixerGauges};
use crate::legs::{Leg, Legs, PROBES_MAX, Stream};
use crate::output::{Output, TICK};
use crate::pool::MixerResources;
use crate::ranking::HYSTERESIS_DB;
use crate::settings::{MixerSettings, SettingsError};
use crate::squelch::Squelch;
use crate::talker::Talker;
use crate::tick::LATE_MAX;

/// A mixed conference.
///
/// While nobody talks it has no tick and sends nothing. The tick begins when the first squelch
/// opens, in phase with that talker, and moves earlier while all talkers' packets allow it.
pub struct Mixer<C: Codec = Opus> {
    pub(crate) settings: MixerSettings,
    pub(crate) legs: Legs,
    pub(crate) talkers: Vec<Box<Talker<C>>>,
    pub(crate) output: Output<C>,
    pub(crate) next_tick: Option<Instant>,
    /// When it is looked at again whom the tick suits.
    pub(crate) phase_at: Instant,
    outputs: VecDeque<EngineOutput>,
    /// Memory is taken for them when there is something to count.
    pub(crate) counters: Option<Box<MixerCounters>>,
}

impl<C: Codec> Mixer<C> {
    /// Makes a conference without members.
    ///
    /// # Errors
    /// `SettingsError` if a setting is out of range.
    pub fn new(settings: MixerSettings) -> Result<Self, SettingsError> {
        Ok(Self {
            settings: settings.checked()?,
            legs: Legs::default(),
            talkers: Vec::new(),
            output: Output::new(),
            next_tick: None,
            phase_at: Instant::ZERO,
            outputs: VecDeque::new(),
            counters: None,
        })
    }

    /// Returns what was done so far.
    pub fn counters(&self) -> &MixerCounters {
        static NOTHING_YET: LazyLock<MixerCounters> = LazyLock::new(MixerCounters::default);
        self.counters.as_deref().unwrap_or_else(|| &NOTHING_YET)
    }

    /// Returns what is in use now.
    pub fn gauges(&self) -> MixerGauges {
        MixerGauges { legs_packed: self.legs.packed() as u64, complexity: self.output.complexity() }
    }

    /// Returns the number of legs.
    pub fn members(&self) -> usize {
        self.legs.len()
    }

    pub(crate) fn counters_mut(&mut self) -> &mut MixerCounters {
        self.counters.get_or_insert_default()
    }

    pub(crate) fn report(&mut self, output: EngineOutput) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(output);
        }
    }

    /// Gives a leg a talker, with the packets that were kept; the quietest candidate may have to
    /// make way.
    fn admit(
        &mut self,
        now: Instant,
        key: LegKey,
        packet: &BufferedPacket<'_>,
        resources: &mut MixerResources<C>,
    ) -> Result<(), DropReason> {
        let Some((leg, stream)) = self.legs.get_mut(key) else {
            return Err(DropReason::UnknownSsrc);
        };
        let Some(mut talker) = resources.take_talker(self.settings.jitter) else {
            self.counters_mut().pool_exhausted += 1;
            return Err(DropReason::Full);
        };
        let quiet = leg.squelch.quiet(&self.settings.squelch);
        let jitter = JitterSettings { quiet, ..self.settings.jitter };
        talker.begin(key, stream.id, leg.send_ssrc, jitter);
        if let Some(delays) = &mut leg.delays {
            talker.playout.buffer_mut().swap_delays(delays);
        }
        let stale = stale_samples(now, packet.received_at);
        resources.kept.release(&mut leg.lookback, Some(packet).filter(|_| stale == 0), |kept| {
            // A kept packet leads up to this one, so it has a place of its own.
            let _ = talker.playout.insert_kept(kept);
        });
        let inserted = talker.playout.insert_kept(packet);
        if stale > 0 {
            talker.playout.pass_over(stale);
        }
        let wait = talker.playout.buffer().wait(packet);
        self.report(EngineOutput::TalkerStarted(talker.id));
        if self.talkers.is_empty() {
            self.talkers.reserve_exact(self.settings.talkers_max + SPARE_CANDIDATES);
        }
        self.talkers.push(talker);
        if self.next_tick.is_none() {
            // Some later tick comes just when packets have waited as long as suits them; were it
            // earlier, they would wait for the next one, and the tick would have to move after them.
            let due = packet.received_at
                + Duration::from_nanos((wait.as_nanos() % TICK.as_nanos()) as u64);
            self.next_tick = Some(due.max(now));
        }
        inserted
    }

    /// Tells whether the leg at `key` may become a candidate. If all places are taken and it is
    /// clearly louder than the quietest unranked candidate, that one fades, and its place is free
    /// after the next tick; until then the newcomer's packets are kept.
    fn has_place(&mut self, key: LegKey) -> bool {
        if self.talkers.len() < self.settings.talkers_max + SPARE_CANDIDATES {
            return true;
        }
        let challenger = self.legs.leg_mut(key);
        let challenger_db = challenger.map_or(f32::MAX, |leg| leg.squelch.smoothed_db());
        let unranked = self.talkers.iter_mut().filter(|talker| !talker.ranked && !talker.leaving);
        let quietest = unranked.max_by(|one, other| one.decoded_db.total_cmp(&other.decoded_db));
        if let Some(quietest) = quietest
            && challenger_db + HYSTERESIS_DB < quietest.decoded_db
        {
            quietest.leaving = true;
        }
        false
    }

    /// Inserts the copies in `packet` of the `reach` packets before it as packets of their own. Those
    /// that are there or were played are refused, which is as it should be and not counted.
    fn insert_copies(
        &mut self,
        key: LegKey,
        packet: &BufferedPacket<'_>,
        (red, reach): (&RedPacket<'_>, usize),
        codec: &C,
    ) {
        let Some(talker) = self.talker_mut(key) else { return };
        let mut recovered = 0;
        for copy in red.predecessors(codec, packet.index, packet.timestamp) {
            let Predecessor { index, timestamp, samples, payload } = copy;
            if packet.index - index > reach as u64 {
                continue;
            }
            let copy = BufferedPacket { index, timestamp, samples, payload, ..*packet };
            recovered += u64::from(talker.playout.insert_copy(&copy).is_ok());
        }
        if recovered > 0 {
            self.counters_mut().recovered += recovered;
        }
    }

    fn talker_mut(&mut self, key: LegKey) -> Option<&mut Talker<C>> {
        self.talkers.iter_mut().find(|talker| talker.leg == Some(key)).map(|talker| &mut **talker)
    }

    fn silence_leg(&mut self, key: LegKey) {
        for talker in &mut self.talkers {
            talker.leaving |= talker.leg == Some(key);
        }
    }
}

impl<C: Codec> Engine for Mixer<C> {
    type Resources = MixerResources<C>;

    fn receive_streams(&self) -> usize {
        1
    }

    fn add_leg(&mut self, _now: Instant, leg: LegConfig) -> Result<LegKey, AddLegError> {
        let members_max = self.settings.members_max;
        if self.members() >= members_max as usize {
            return Err(AddLegError::Full { members_max });
        }
        let &[receive] = &leg.receive[..] else {
            return Err(AddLegError::Streams { offered: leg.receive.len(), needed: 1 });
        };
        let mut stream = Stream {
            id: leg.id,
            packs_from: Instant::ZERO,
            ssrc: receive.ssrc,
            timestamp_offset: receive.timestamp_offset,
            spurt: 0,
            sequence_number: receive.first_sequence_number,
            role: leg.role,
            is_packed: false,
            copies: CopyOrder::default(),
        };
        let choice = CopyChoice::default();
        if leg.red {
            stream.copies.set(choice.copies());
        }
        let leg = Leg {
            send_ssrc: leg.send_ssrc,
            muted: false,
            own_voice: OwnVoice::default(),
            squelch: Squelch::default(),
            lookback: Lookback::default(),
            red: leg.red,
            choice,
            arrivals: RedArrivals::default(),
            reordering: Reordering::default(),
            probes: 0,
            delays: None,
        };
        Ok(self.legs.add(leg, stream))
    }

    fn remove_leg(&mut self, _now: Instant, key: LegKey, resources: &mut MixerResources<C>) {
        let Some(mut leg) = self.legs.remove(key) else { return };
        resources.kept.release(&mut leg.lookback, None, |_| ());
        self.output.remove_leg(key, resources);
        self.silence_leg(key);
        for talker in &mut self.talkers {
            if talker.leg == Some(key) {
                talker.leg = None;
            }
        }
        if self.members() == 0 {
            for talker in self.talkers.drain(..) {
                resources.talkers.put_back(talker);
            }
            self.output.release(resources);
            self.output = Output::new();
            self.next_tick = None;
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        key: LegKey,
        packet: &IncomingPacket<'_>,
        resources: &mut MixerResources<C>,
        outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        let settings = self.settings;
        let Some((leg, stream)) = self.legs.get_mut(key) else {
            return Err(DropReason::UnknownSsrc);
        };
        if stream.role != LegRole::Member {
            return Err(DropReason::WrongRole);
        }
        if leg.probes < PROBES_MAX && self.output.is_silent() {
            leg.probes += 1;
            let samples = self.output.samples_in_silence(now);
            stream.send_probe(now, samples, settings.payload_type, outbox);
        }
        if leg.muted {
            return Err(DropReason::Muted);
        }
        let red = match packet.payload_type {
            payload_type if payload_type == settings.payload_type => None,
            payload_type if leg.red && payload_type == settings.red_payload_type => {
                let red = RedPacket::parse(packet.payload)?;
                if red.primary().payload_type != settings.payload_type {
                    return Err(DropReason::UnknownPayloadType);
                }
                Some(red)
            }
            _ => return Err(DropReason::UnknownPayloadType),
        };
        let talker = self.talkers.iter().find(|talker| talker.leg == Some(key));
        let is_heard = talker.is_some();
        let delays = talker.map(|talker| talker.playout.buffer().delays());
        let disorder = delays
            .or(leg.delays.as_deref())
            .map_or(Duration::ZERO, |delays| delays.disorder(packet.received_at, packet.timestamp));
        for index in leg.reordering.push(packet.index, disorder) {
            leg.arrivals.see(packet.received_at, index);
        }
        let payload = red.map_or(packet.payload, |red| red.primary().payload);
        let level = packet.level.level;
        let open = leg.squelch.handle_level(now, level, &settings.squelch);
        if open {
            stream.packs_from = stream.packs_from.max(now + LISTENER_AFTER);
        }
        if payload.is_empty() {
            // A level probe: it says how loud the member is and carries no sound.
            return Ok(());
        }
        let samples =
            resources.codec.payload_samples(payload).map_err(|_| DropReason::Undecodable)?;
        leg.arrivals.count(red.as_ref());
        let redundancy = leg.arrivals.wait(packet.received_at);
        let packet = BufferedPacket {
            index: packet.index,
            timestamp: packet.timestamp,
            samples: samples as u32,
            level,
            received_at: packet.received_at,
            payload,
        };
        if !is_heard {
            let unknown = || Box::new(Delays::new(settings.jitter));
            leg.delays.get_or_insert_with(unknown).push(&packet);
        }
        if is_heard || open && self.has_place(key) {
            let inserted = match self.talker_mut(key) {
                Some(talker) => talker.playout.insert(&packet),
                None => self.admit(now, key, &packet, resources),
            };
            if let Some(talker) = self.talker_mut(key) {
                talker.playout.buffer_mut().set_redundancy(redundancy);
            }
            if let Some(red) = red {
                // An onset begins with what was kept.
                let reach = if is_heard { usize::MAX } else { KEPT_MAX };
                self.insert_copies(key, &packet, (&red, reach), &resources.codec);
            }
            return inserted;
        }
        let Some(leg) = self.legs.leg_mut(key) else { return Err(DropReason::UnknownSsrc) };
        if leg.squelch.is_blocked(now) {
            return Err(DropReason::NotCandidate);
        }
        match resources.kept.keep(&mut leg.lookback, &packet) {
            Kept::Added => Ok(()),
            Kept::Replaced if open => Err(DropReason::NotCandidate),
            Kept::Replaced => Err(DropReason::Squelched),
            Kept::Refused => Err(DropReason::Full),
        }
    }

    fn handle_input(&mut self, now: Instant, input: EngineInput) {
        match input {
            EngineInput::SetMuted { leg: key, muted } => {
                let Some(leg) = self.legs.leg_mut(key) else { return };
                leg.muted = muted;
                leg.squelch.close();
                self.silence_leg(key);
            }
            EngineInput::SetRole { leg: key, role } => {
                let Some((leg, stream)) = self.legs.get_mut(key) else { return };
                if stream.role != role {
                    // Whatever it is sent next is its first packet after a pause.
                    (stream.role, stream.spurt, stream.is_packed) = (role, 0, false);
                }
                if role != LegRole::Member {
                    leg.squelch.close();
                    self.silence_leg(key);
                }
            }
            EngineInput::SetOwnVoice { leg: key, own_voice } => {
                if let Some(leg) = self.legs.leg_mut(key) {
                    leg.own_voice = own_voice;
                }
            }
            EngineInput::Reception { leg: key, report } => {
                let Some((leg, stream)) = self.legs.get_mut(key) else { return };
                leg.choice.handle_report(&report);
                if leg.red {
                    stream.copies.set(leg.choice.copies());
                }
                if leg.choice.loss() > PACKED_LOSS_MAX {
                    stream.packs_from = stream.packs_from.max(now + LISTENER_AFTER);
                }
            }
        }
    }

    fn handle_timeout(
        &mut self,
        now: Instant,
        resources: &mut MixerResources<C>,
        outbox: &mut Outbox,
    ) {
        if let Some(due) = self.next_tick.filter(|due| *due <= now) {
            self.tick_late(now, due, resources, outbox);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    fn poll_output(&mut self) -> Option<EngineOutput> {
        self.outputs.pop_front()
    }
}

/// Returns how much of a stream that begins with a packet received at `received_at` is too old to
/// be played: it waited through a stall, and what follows it is on its way.
fn stale_samples(now: Instant, received_at: Instant) -> u32 {
    let waited = now.saturating_since(received_at);
    if waited <= LATE_MAX {
        return 0;
    }
    let frames = waited.as_nanos() / TICK.as_nanos();
    u32::try_from(frames).unwrap_or(u32::MAX).saturating_mul(FRAME_SAMPLES as u32)
}

/// Candidates beyond `talkers_max` that are decoded, so that a change has its frame ready.
pub(crate) const SPARE_CANDIDATES: usize = 4;

/// How long a leg must have been quiet, and without much loss, to be sent packs: one who listens,
/// as the measure of talkers and listeners defines it.
const LISTENER_AFTER: Duration = Duration::from_secs(10);

/// More loss than this and a leg is sent single frames: a lost pack is a gap of 60 ms.
const PACKED_LOSS_MAX: f32 = 0.01;

/// Reports that wait for control; more are dropped, as newer ones will tell the state.
const OUTPUTS_MAX: usize = 256;
