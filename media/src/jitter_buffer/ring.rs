//! Where packets wait: one block of memory, with a place for each index.

use super::BufferedPacket;
use crate::codec::PAYLOAD_SIZE_MAX;
use crate::drop_reason::DropReason;
use crate::extension::LevelDbov;
use crate::rtp::RtpTimestamp;
use crate::time::Instant;

/// At most `CAPACITY` packets, found by their index.
pub(super) struct Ring {
    slots: [Slot; CAPACITY],
    payloads: Box<[u8]>,
    filled: usize,
}

/// Names a slot that holds a packet.
#[derive(Clone, Copy)]
pub(super) struct Place(usize);

#[derive(Clone, Copy)]
struct Slot {
    filled: bool,
    /// The packet without its payload, which lies in the block.
    packet: BufferedPacket<'static>,
    length: usize,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self {
            slots: [EMPTY; CAPACITY],
            payloads: vec![0; CAPACITY * PAYLOAD_SIZE_MAX].into_boxed_slice(),
            filled: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots = [EMPTY; CAPACITY];
        self.filled = 0;
    }

    /// Copies a packet in, whose payload is at most `PAYLOAD_SIZE_MAX` long.
    pub(super) fn insert(&mut self, packet: &BufferedPacket<'_>) -> Result<(), DropReason> {
        let place = place_of(packet.index);
        let slot = &mut self.slots[place];
        if slot.filled {
            let same = slot.packet.index == packet.index;
            return Err(if same { DropReason::Duplicate } else { DropReason::Full });
        }
        let length = packet.payload.len();
        *slot = Slot { filled: true, packet: BufferedPacket { payload: &[], ..*packet }, length };
        let start = place * PAYLOAD_SIZE_MAX;
        self.payloads[start..start + length].copy_from_slice(packet.payload);
        self.filled += 1;
        Ok(())
    }

    /// Empties a place; its octets stay until the next packet comes there.
    pub(super) fn take(&mut self, place: Place) -> BufferedPacket<'_> {
        let slot = &mut self.slots[place.0];
        slot.filled = false;
        self.filled -= 1;
        let start = place.0 * PAYLOAD_SIZE_MAX;
        BufferedPacket { payload: &self.payloads[start..start + slot.length], ..slot.packet }
    }

    /// Returns a packet that stays where it is.
    pub(super) fn peek(&self, place: Place) -> BufferedPacket<'_> {
        let (slot, start) = (&self.slots[place.0], place.0 * PAYLOAD_SIZE_MAX);
        BufferedPacket { payload: &self.payloads[start..start + slot.length], ..slot.packet }
    }

    /// Finds the oldest packet, which is most often that of the index `expected`; returns it
    /// without its payload.
    pub(super) fn oldest(&self, expected: Option<u64>) -> Option<(Place, BufferedPacket<'static>)> {
        if self.filled == 0 {
            return None;
        }
        let at_hand = expected.map(|index| (place_of(index), index)).filter(|(place, index)| {
            let slot = &self.slots[*place];
            slot.filled && slot.packet.index == *index
        });
        let place = match at_hand {
            Some((place, _)) => place,
            None => {
                let places = (0..CAPACITY).filter(|place| self.slots[*place].filled);
                places.min_by_key(|place| self.slots[*place].packet.index)?
            }
        };
        Some((Place(place), self.slots[place].packet))
    }

    /// Finds the packet of this index, if it begins at this timestamp.
    pub(super) fn find(&self, index: u64, timestamp: RtpTimestamp) -> Option<Place> {
        let place = place_of(index);
        let Slot { filled, packet, .. } = &self.slots[place];
        (*filled && packet.index == index && packet.timestamp == timestamp).then_some(Place(place))
    }

    /// Returns the packet that follows `index` directly, without its payload, if it is here.
    pub(super) fn follower(&self, index: u64) -> Option<BufferedPacket<'static>> {
        let slot = &self.slots[place_of(index + 1)];
        (slot.filled && slot.packet.index == index + 1).then_some(slot.packet)
    }

    pub(super) fn len(&self) -> usize {
        self.filled
    }

    pub(super) fn samples(&self) -> u32 {
        let filled = self.slots.iter().filter(|slot| slot.filled);
        filled.map(|slot| slot.packet.samples).sum()
    }
}

fn place_of(index: u64) -> usize {
    (index % CAPACITY as u64) as usize
}

const EMPTY: Slot = Slot {
    filled: false,
    packet: BufferedPacket {
        index: 0,
        timestamp: RtpTimestamp(0),
        samples: 0,
        level: LevelDbov(127),
        received_at: Instant::ZERO,
        payload: &[],
    },
    length: 0,
};

/// Packets that a buffer holds: 640 ms of 20 ms packets, more than `target_max` is ever set to.
pub(super) const CAPACITY: usize = 32;
