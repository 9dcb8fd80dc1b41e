//! Packets that wait for a later deadline, with copies of their bodies in a bounded slab.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{BODY_SIZE_MAX, Body, OutPacket, OutboxLimits};
use crate::leg::LegId;
use crate::rtp::RtpHeader;
use crate::time::Instant;

/// Packets that are due later, with copies of their bodies.
pub(super) struct Deferred {
    queue: BinaryHeap<Reverse<Entry>>,
    packets_max: usize,
    slots: Vec<Slot>,
    free: Vec<usize>,
    bytes: Box<[u8]>,
    order: u64,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    csrc_count: u8,
    has_extension: bool,
    length: usize,
    users: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    due: Instant,
    order: u64,
    leg: LegId,
    header: RtpHeader,
    padding: u8,
    slot: usize,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

impl Deferred {
    pub(super) fn new(limits: OutboxLimits) -> Self {
        let bodies = limits.deferred_bodies_max;
        let packets = if bodies == 0 { 0 } else { limits.packets_max };
        Self {
            queue: BinaryHeap::with_capacity(packets),
            packets_max: packets,
            slots: vec![Slot::default(); bodies],
            free: (0..bodies).rev().collect(),
            bytes: vec![0; bodies * BODY_SIZE_MAX].into_boxed_slice(),
            order: 0,
        }
    }

    pub(super) fn copy(&mut self, body: &Body<'_>) -> Option<usize> {
        let slot = self.free.pop()?;
        let start = slot * BODY_SIZE_MAX;
        self.bytes[start..start + body.bytes.len()].copy_from_slice(body.bytes);
        self.slots[slot] = Slot {
            csrc_count: body.csrc_count,
            has_extension: body.has_extension,
            length: body.bytes.len(),
            users: 0,
        };
        Some(slot)
    }

    pub(super) fn push(&mut self, packet: &OutPacket, slot: usize) -> bool {
        if self.queue.len() == self.packets_max {
            return false;
        }
        let OutPacket { leg, header, due, padding, .. } = *packet;
        let order = self.order;
        self.queue.push(Reverse(Entry { due, order, leg, header, padding, slot }));
        self.order += 1;
        self.slots[slot].users += 1;
        true
    }

    pub(super) fn drain(
        &mut self,
        now: Instant,
        take: &mut impl FnMut(LegId, RtpHeader, Body<'_>),
    ) {
        while let Some(&Reverse(entry)) = self.queue.peek()
            && entry.due <= now
        {
            self.queue.pop();
            let slot = &mut self.slots[entry.slot];
            let start = entry.slot * BODY_SIZE_MAX;
            let bytes = &self.bytes[start..start + slot.length];
            let Slot { csrc_count, has_extension, .. } = *slot;
            let body = Body { csrc_count, has_extension, bytes, padding: entry.padding };
            take(entry.leg, entry.header, body);
            slot.users -= 1;
            if slot.users == 0 {
                self.free.push(entry.slot);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse(entry)| entry.due)
    }

    /// Frees a body if none of its packets is queued.
    pub(super) fn release_unused(&mut self, slot: usize) {
        if self.slots[slot].users == 0 {
            self.free.push(slot);
        }
    }
}
