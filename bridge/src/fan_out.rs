//! Queues what waits, a receiver at a time: one packet for each leg and each packet passed on.
//!
//! A leg is sent nothing of its own. Where several packets go to one leg they stand one behind the
//! other, the largest first and padded to one size where that costs little, so that they can leave
//! in one call.

use sabha_media::engine::LegKey;
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::outbox::{BodyId, Outbox};
use sabha_media::red::{Copies, RED_SIZE_MAX};
use sabha_media::rtp::RtpHeader;
use sabha_media::time::Instant;

use crate::counters::BridgeCounters;
use crate::history::Passed;
use crate::legs::Receiver;
use crate::settings::BridgeSettings;
use crate::slot::Slot;

/// Packets that were passed on and not queued yet.
#[derive(Default)]
pub(crate) struct Waiting {
    all: [Pending; WAITING_MAX],
    count: usize,
    /// When they must leave.
    pub(crate) due: Option<Instant>,
}

/// One packet in a slot's history.
#[derive(Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) slot: usize,
    pub(crate) place: usize,
    pub(crate) talker: LegKey,
    pub(crate) ssrc: Ssrc,
}

/// Where packets come from and go to.
pub(crate) struct FanOut<'a> {
    pub(crate) now: Instant,
    pub(crate) settings: &'a BridgeSettings,
    pub(crate) slots: &'a [Slot],
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) counters: &'a mut BridgeCounters,
    /// Whether packets to one leg are made one size.
    pub(crate) pads: bool,
}

/// A packet on its way to one leg.
#[derive(Clone, Copy)]
struct Outgoing {
    header: RtpHeader,
    body: BodyId,
    size: usize,
}

/// One pending packet's bodies by the copies in them, stored when a leg needs them.
#[derive(Clone, Copy, Default)]
struct Bodies([Option<Stored>; Copies::ANY.len() + 1]);

#[derive(Clone, Copy)]
struct Stored {
    body: BodyId,
    size: usize,
    copies: usize,
}

impl Waiting {
    /// Takes a packet in; the caller flushes what is full.
    pub(crate) fn push(&mut self, pending: Pending) {
        if let Some(place) = self.all.get_mut(self.count) {
            *place = pending;
            self.count += 1;
        }
    }

    /// Forgets the packets of a talker who is gone.
    pub(crate) fn forget(&mut self, talker: LegKey) {
        let waiting = self.all;
        let kept = waiting[..self.count].iter().filter(|pending| pending.talker != talker);
        self.count = 0;
        for pending in kept {
            self.push(*pending);
        }
        // Else there would be something due, and nothing that could be done about it.
        self.due = self.due.filter(|_| self.count > 0);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count == WAITING_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Queues everything for every leg.
    pub(crate) fn flush(&mut self, receivers: &mut [Receiver], fan_out: &mut FanOut<'_>) {
        self.due = None;
        let waiting = &mut self.all[..self.count];
        fan_out.sort(waiting);
        let mut bodies = [Bodies::default(); WAITING_MAX];
        for (key, receiver) in receivers.iter_mut().enumerate() {
            if receiver.role == LegRole::Member {
                fan_out.send_all(LegKey(key as u32), receiver, waiting, &mut bodies);
            }
        }
        self.count = 0;
    }
}

impl FanOut<'_> {
    /// Sorts by size, the largest first; where a slot has several packets their order stays.
    fn sort(&self, waiting: &mut [Pending]) {
        let shares_slot = |(place, one): (usize, &Pending)| {
            waiting[..place].iter().any(|other| other.slot == one.slot)
        };
        if waiting.iter().enumerate().any(shares_slot) {
            return;
        }
        waiting.sort_unstable_by_key(|one| {
            std::cmp::Reverse(self.packet(*one).map_or(0, |(_, payload)| payload.len()))
        });
    }

    /// Queues for one leg all that is not its own.
    fn send_all(
        &mut self,
        key: LegKey,
        receiver: &mut Receiver,
        waiting: &[Pending],
        bodies: &mut [Bodies; WAITING_MAX],
    ) {
        let (mut outgoing, mut count) = ([None; WAITING_MAX], 0);
        for (pending, bodies) in waiting.iter().zip(bodies) {
            if pending.talker == key {
                continue;
            }
            if let Some(packet) = self.address(receiver, *pending, bodies) {
                outgoing[count] = Some(packet);
                count += 1;
            }
        }
        let mut largest = 0;
        for (place, packet) in outgoing.iter().flatten().enumerate() {
            let next = outgoing.get(place + 1).copied().flatten();
            let padding = if self.pads { padding(&mut largest, packet, next.as_ref()) } else { 0 };
            self.counters.padding_octets += u64::from(padding);
            let Outgoing { header, body, .. } = *packet;
            self.outbox.send_padded(receiver.id, header, body, padding, self.now);
        }
        self.counters.packets_out += count as u64;
    }

    /// Gives a packet the leg's numbers, and the copies that the leg's loss asks for.
    fn address(
        &mut self,
        receiver: &mut Receiver,
        pending: Pending,
        bodies: &mut Bodies,
    ) -> Option<Outgoing> {
        let Stored { body, size, copies } = self.body(pending, receiver.copies, bodies)?;
        let (&passed, _) = self.packet(pending)?;
        let spurt = self.slots[pending.slot].spurt;
        let stream = &mut receiver.streams[pending.slot];
        let (sequence_number, marker) = stream.number(spurt, passed.sequence_number);
        let payload_type = match copies.checked_sub(1) {
            None => self.settings.payload_type,
            Some(place) => {
                self.counters.packets_by_copies[place] += 1;
                self.settings.red_payload_type
            }
        };
        let timestamp = passed.slot_timestamp.wrapping_add(stream.timestamp_offset);
        let ssrc = stream.ssrc;
        let header = RtpHeader { marker, payload_type, sequence_number, timestamp, ssrc };
        Some(Outgoing { header, body, size })
    }

    /// Stores a packet with these copies, or those of them that there are, once for all legs.
    fn body(&mut self, pending: Pending, copies: Copies, bodies: &mut Bodies) -> Option<Stored> {
        let kind = copies as usize;
        if bodies.0[kind].is_none() {
            bodies.0[kind] = self.store(pending, copies);
        }
        bodies.0[kind]
    }

    fn store(&mut self, pending: Pending, copies: Copies) -> Option<Stored> {
        let history = &self.slots[pending.slot].talk.as_ref()?.history;
        let (passed, primary) = history.at(pending.place)?;
        let mut red = [0; RED_SIZE_MAX];
        let payload_type = self.settings.payload_type;
        let written = match copies {
            Copies::None => None,
            copies => history.write_red(pending.place, copies, payload_type, &mut red),
        };
        let (copies, payload) = match written {
            None | Some((0, _)) => (0, primary),
            Some((copies, length)) => (copies, &red[..length]),
        };
        let body = self.outbox.store(&[pending.ssrc], &[passed.level], payload)?;
        Some(Stored { body, size: payload.len(), copies })
    }

    fn packet(&self, pending: Pending) -> Option<(&Passed, &[u8])> {
        self.slots[pending.slot].talk.as_ref()?.history.at(pending.place)
    }
}

/// Returns by how much a packet is padded, where the packets before it in its group are `largest`
/// octets (0 at a group's beginning), and moves `largest` on to the one behind it.
///
/// All datagrams of a group but the last are of one size. What would take too much padding, or has
/// nothing behind it, is the last.
fn padding(largest: &mut usize, packet: &Outgoing, next: Option<&Outgoing>) -> u8 {
    if *largest == 0 || packet.size > *largest {
        *largest = packet.size;
    }
    let short = *largest - packet.size;
    let pays = short * PADDING_SHARE_INVERSE <= *largest;
    match u8::try_from(short) {
        Ok(short) if pays && next.is_some_and(|next| next.size <= *largest) => short,
        _ => {
            *largest = if short > 0 { 0 } else { *largest };
            0
        }
    }
}

/// Packets that wait at once: one of each slot, or one with its look-back. The outbox must hold as
/// many for every leg.
pub const WAITING_MAX: usize = 4;

/// Padding of more than a fourth of a packet costs more than a call of its own saves. Chosen.
const PADDING_SHARE_INVERSE: usize = 4;

impl Default for Pending {
    fn default() -> Self {
        Self { slot: 0, place: 0, talker: LegKey(u32::MAX), ssrc: Ssrc(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paddings(sizes: &[usize]) -> Vec<u8> {
        let mut outbox = Outbox::new(sabha_media::outbox::OutboxLimits {
            bodies_max: 1,
            packets_max: 1,
            deferred_bodies_max: 0,
        });
        let body = outbox.store(&[], &[], b"any").unwrap();
        let packet = |size| Outgoing { header: RtpHeader::default(), body, size };
        let packets: Vec<_> = sizes.iter().map(|size| packet(*size)).collect();
        let mut largest = 0;
        let with_next = packets.iter().enumerate();
        with_next.map(|(n, one)| padding(&mut largest, one, packets.get(n + 1))).collect()
    }

    #[test]
    fn all_but_the_last_are_made_one_size() {
        assert_eq!(paddings(&[100, 90, 80]), [0, 10, 0]);
        assert_eq!(paddings(&[100, 100, 100]), [0, 0, 0]);
        assert_eq!(paddings(&[100]), [0]);
    }

    #[test]
    fn padding_that_does_not_pay_splits_the_group() {
        assert_eq!(paddings(&[100, 74, 70, 60]), [0, 0, 0, 0], "74 ends a group, 70 begins one");
        assert_eq!(paddings(&[1_200, 900, 890, 880]), [0, 0, 0, 0], "300 octets are too many");
        assert_eq!(paddings(&[80, 90, 85, 80]), [0, 0, 5, 0], "a larger one begins another");
    }
}
