//! Passes packets on: gives them their numbers, lets them wait, and queues them.

use std::time::Duration;

use sabha_media::drop_reason::DropReason;
use sabha_media::engine::LegKey;
use sabha_media::extension::LevelDbov;
use sabha_media::jitter_buffer::BufferedPacket;
use sabha_media::lookback::Kept;
use sabha_media::outbox::Outbox;
use sabha_media::red::{COPIES_MAX, RedBlock, RedPacket};
use sabha_media::time::Instant;

use crate::bridge::Bridge;
use crate::fan_out::{FanOut, Pending};
use crate::history::Passed;
use crate::resources::{BridgeResources, GATHER_MAX};
use crate::slot::Position;

/// An authentic packet without what redundancy adds.
pub(crate) struct Arrival<'a> {
    pub(crate) key: LegKey,
    pub(crate) position: Position,
    pub(crate) level: LevelDbov,
    pub(crate) payload: &'a [u8],
}

impl Bridge {
    /// Passes a talker's packet on, and those before it that only their copies brought.
    pub(crate) fn pass_with_copies(
        &mut self,
        now: Instant,
        place: usize,
        arrival: &Arrival<'_>,
        red: Option<&RedPacket<'_>>,
        around: (&mut BridgeResources, &mut Outbox),
    ) -> Result<(), DropReason> {
        let (resources, outbox) = around;
        if !self.slots[place].continues(arrival.position) {
            self.flush(now, resources, outbox);
            let slot = &mut self.slots[place];
            slot.begin(now, arrival.key, arrival.position, arrival.position);
            slot.talk.iter_mut().for_each(|talk| talk.reset());
        }
        let (mut copies, mut count) = ([RedBlock::default(); COPIES_MAX], 0);
        for (place, copy) in copies.iter_mut().zip(red.iter().flat_map(|red| red.copies())) {
            *place = copy;
            count += 1;
        }
        for copy in copies[..count].iter().rev() {
            let Some(missing) = self.missing(place, arrival, copy) else { continue };
            if self.waiting.is_full() {
                self.flush(now, resources, outbox);
            }
            let passed = self.pass(place, &missing).is_ok();
            self.counters_mut().recovered += u64::from(passed);
        }
        if self.waiting.is_full() {
            self.flush(now, resources, outbox);
        }
        self.pass(place, arrival)
    }

    /// Returns the packet that a copy is of, if that one never came.
    pub(crate) fn missing<'a>(
        &self,
        place: usize,
        arrival: &Arrival<'_>,
        copy: &RedBlock<'a>,
    ) -> Option<Arrival<'a>> {
        let Position { index, timestamp, received_at } = arrival.position;
        let history = &self.slots[place].talk.as_ref()?.history;
        let copied = timestamp.wrapping_add(copy.offset.wrapping_neg());
        let is_audio = copy.payload_type == self.settings.payload_type && !copy.payload.is_empty();
        let index = history.missing(copied, (index, timestamp)).filter(|_| is_audio)?;
        let position = Position { index, timestamp: copied, received_at };
        Some(Arrival { position, payload: copy.payload, ..*arrival })
    }

    /// Gives a packet its place in the slot's stream, where it waits to be queued.
    pub(crate) fn pass(&mut self, place: usize, arrival: &Arrival<'_>) -> Result<(), DropReason> {
        let ssrc = self.legs.leg(arrival.key).map(|leg| leg.send_ssrc);
        let slot = &mut self.slots[place];
        let Position { index, timestamp, .. } = arrival.position;
        let (sequence_number, slot_timestamp) = slot.pass(arrival.position)?;
        let (Some(ssrc), Some(talk)) = (ssrc, &mut slot.talk) else {
            return Err(DropReason::UnknownSsrc);
        };
        let level = arrival.level;
        let passed = Passed { index, timestamp, sequence_number, slot_timestamp, level };
        let entry = talk.history.push(passed, arrival.payload);
        talk.activity.push(level, self.settings.squelch.close);
        self.waiting.push(Pending { slot: place, place: entry, talker: arrival.key, ssrc });
        self.counters_mut().forwarded += 1;
        Ok(())
    }

    /// Queues what waits if it may not wait longer.
    pub(crate) fn queue(&mut self, now: Instant, resources: &BridgeResources, outbox: &mut Outbox) {
        let gather = resources.gather().max(self.settings.gather).min(GATHER_MAX);
        if gather.is_zero() || self.waiting.is_full() {
            self.flush(now, resources, outbox);
        } else if !self.waiting.is_empty() {
            self.waiting.due.get_or_insert(now + gather);
        }
    }

    pub(crate) fn flush(&mut self, now: Instant, resources: &BridgeResources, outbox: &mut Outbox) {
        if self.waiting.is_empty() {
            return;
        }
        let mut fan_out = FanOut {
            now,
            settings: &self.settings,
            slots: &self.slots,
            outbox,
            counters: self.counters.get_or_insert_default(),
            pads: resources.gather().max(self.settings.gather) > Duration::ZERO,
        };
        self.waiting.flush(self.legs.receivers_mut(), &mut fan_out);
    }

    /// Keeps a packet that is not passed on, for the case that its leg begins to talk; `reason` is
    /// why the oldest of those that are kept is given up.
    pub(crate) fn keep(
        &mut self,
        arrival: &Arrival<'_>,
        reason: DropReason,
        resources: &mut BridgeResources,
    ) -> Result<(), DropReason> {
        let counters = self.counters_mut();
        match reason {
            DropReason::NotCandidate => counters.suppressed_by_limit += 1,
            _ => counters.suppressed_by_level += 1,
        }
        let Some(leg) = self.legs.leg_mut(arrival.key) else { return Err(DropReason::UnknownSsrc) };
        match resources.kept.keep(&mut leg.lookback, &arrival.buffered()) {
            Kept::Added => Ok(()),
            Kept::Replaced => Err(reason),
            Kept::Refused => Err(DropReason::Full),
        }
    }
}

impl<'a> Arrival<'a> {
    pub(crate) fn of(key: LegKey, kept: &BufferedPacket<'a>) -> Self {
        let BufferedPacket { index, timestamp, received_at, level, payload, .. } = *kept;
        Self { key, position: Position { index, timestamp, received_at }, level, payload }
    }

    pub(crate) fn buffered(&self) -> BufferedPacket<'a> {
        let Position { index, timestamp, received_at } = self.position;
        let Self { level, payload, .. } = *self;
        // How much sound is in it only a codec could tell.
        BufferedPacket { index, timestamp, samples: 0, level, received_at, payload }
    }
}
