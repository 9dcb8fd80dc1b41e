//! Splits what one receive brought into datagrams and hands them to their endpoint.

use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram};

use crate::clock::ClockReading;
use crate::counters::SharedCounters;
use crate::endpoint::Endpoint;
use crate::outgoing::Outgoing;
use crate::raw::receive::Message;

/// Hands over the datagrams of a message from `first` on, until the turn's share of work is done.
///
/// Returns the next datagram to hand over, or `None` if that was the last.
pub(crate) fn hand_over<E: Endpoint>(
    message: Message<'_>,
    first: usize,
    reading: ClockReading,
    endpoint: &mut E,
    outgoing: &mut Outgoing<'_>,
) -> Option<usize> {
    let counters = outgoing.counters();
    counters.messages_in.add(u64::from(first == 0));
    let Message { from, bytes, segment_size, stamp, is_truncated, .. } = message;
    let Some(from) = from else {
        counters.dropped_malformed.add(1);
        return None;
    };
    counters.dropped_empty.add(u64::from(bytes.is_empty()));
    let received_at = stamp.map_or(reading.now, |stamp| reading.received_at(stamp));
    let segment_size = segment_size.unwrap_or(bytes.len()).max(1);
    let segments = bytes.len().div_ceil(segment_size);
    for (place, bytes) in bytes.chunks_mut(segment_size).enumerate().skip(first) {
        outgoing.add_work(1);
        let is_cut = is_truncated && place + 1 == segments;
        if bytes.len() > DATAGRAM_SIZE_MAX || is_cut {
            counters.dropped_oversized.add(1);
            continue;
        }
        counters.datagrams_in.add(1);
        counters.bytes_in.add(bytes.len() as u64);
        endpoint.handle_datagram(reading.now, Datagram { from, received_at, bytes }, outgoing);
        if outgoing.is_share_done() {
            return Some(place + 1).filter(|next| *next < segments);
        }
    }
    None
}

/// Counts how many datagrams the receive buffer had no room for since `seen`.
pub(crate) fn count_overflows(message: &Message<'_>, seen: &mut u32, counters: &SharedCounters) {
    if let Some(overflows) = message.overflows {
        counters.dropped_receive_full.add(overflows.wrapping_sub(*seen).into());
        *seen = overflows;
    }
}
