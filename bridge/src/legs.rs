//! The legs of one conference: what is read for each packet in, and what for each packet out.

use sabha_media::engine::{LegKey, RECEIVE_STREAMS_MAX};
use sabha_media::leg::{LegId, LegRole, Ssrc};
use sabha_media::lookback::Lookback;
use sabha_media::red::{Copies, CopyChoice};
use sabha_media::rtp::SequenceNumber;

use crate::gate::Gate;
use crate::hold::Hold;

/// All legs, by key.
#[derive(Default)]
pub(crate) struct Legs {
    legs: Vec<Option<Leg>>,
    /// What each leg is sent; where there is no leg, nobody who is sent anything.
    receivers: Vec<Receiver>,
    free: Vec<u32>,
}

/// What the bridge keeps of a leg, whether it talks or not.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) send_ssrc: Ssrc,
    pub(crate) muted: bool,
    /// Whether its member takes redundant audio, and may send it.
    pub(crate) red: bool,
    pub(crate) gate: Gate,
    pub(crate) hold: Hold,
    pub(crate) lookback: Lookback,
    /// What its member reports of loss, and how many copies that takes.
    pub(crate) choice: CopyChoice,
}

/// What a leg is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    pub(crate) id: LegId,
    pub(crate) role: LegRole,
    /// How many copies of what was sent before its packets are to carry.
    pub(crate) copies: Copies,
    pub(crate) streams: [Stream; RECEIVE_STREAMS_MAX],
}

/// One slot as one leg receives it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) ssrc: Ssrc,
    pub(crate) timestamp_offset: u32,
    /// Within a spurt what is added to the slot's sequence numbers; while the leg is left out, the
    /// number that it is sent next.
    sequence: u16,
    /// The slot's spurt that the leg was sent last; 0 while it is left out.
    spurt: u16,
}

impl Stream {
    pub(crate) fn new(ssrc: Ssrc, first: SequenceNumber, timestamp_offset: u32) -> Self {
        Self { ssrc, timestamp_offset, sequence: first.0, spurt: 0 }
    }

    /// Leaves the leg out of what follows in the slot, whose next number is `next`.
    pub(crate) fn leave_out(&mut self, next: SequenceNumber) {
        if std::mem::take(&mut self.spurt) != 0 {
            self.sequence = next.wrapping_add(self.sequence).0;
        }
    }

    /// Gives the leg's number of a packet of the slot, and whether it is the first of a spurt here.
    pub(crate) fn number(&mut self, spurt: u16, number: SequenceNumber) -> (SequenceNumber, bool) {
        if self.spurt == 0 {
            self.sequence = self.sequence.wrapping_sub(number.0);
        }
        let is_first = std::mem::replace(&mut self.spurt, spurt) != spurt;
        (number.wrapping_add(self.sequence), is_first)
    }
}

impl Legs {
    /// Adds a leg and returns its key.
    pub(crate) fn add(&mut self, leg: Leg, receiver: Receiver) -> LegKey {
        if let Some(key) = self.free.pop() {
            self.legs[key as usize] = Some(leg);
            self.receivers[key as usize] = receiver;
            return LegKey(key);
        }
        self.legs.push(Some(leg));
        self.receivers.push(receiver);
        self.free.reserve(self.legs.len());
        LegKey(self.legs.len() as u32 - 1)
    }

    /// Removes a leg.
    pub(crate) fn remove(&mut self, key: LegKey) -> Option<Leg> {
        let leg = self.legs.get_mut(key.0 as usize)?.take()?;
        self.receivers[key.0 as usize].role = LegRole::Standby;
        self.free.push(key.0);
        Some(leg)
    }

    /// Returns a leg with what it is sent.
    pub(crate) fn get_mut(&mut self, key: LegKey) -> Option<(&mut Leg, &mut Receiver)> {
        let leg = self.legs.get_mut(key.0 as usize)?.as_mut()?;
        Some((leg, &mut self.receivers[key.0 as usize]))
    }

    /// Returns a leg.
    pub(crate) fn leg(&self, key: LegKey) -> Option<&Leg> {
        self.legs.get(key.0 as usize)?.as_ref()
    }

    /// Returns a leg, for change.
    pub(crate) fn leg_mut(&mut self, key: LegKey) -> Option<&mut Leg> {
        self.legs.get_mut(key.0 as usize)?.as_mut()
    }

    /// Gives what each leg is sent, by key, free places included.
    pub(crate) fn receivers_mut(&mut self) -> &mut [Receiver] {
        &mut self.receivers
    }

    pub(crate) fn len(&self) -> usize {
        self.legs.len() - self.free.len()
    }
}

/// What is read of each leg for each packet out fits a cache line.
const _: () = assert!(size_of::<Receiver>() <= 64);

/// What a silent leg takes here, besides kept packets.
const _: () = assert!(size_of::<Option<Leg>>() + size_of::<Receiver>() + size_of::<u32>() <= 224);

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(stream: &mut Stream, spurt: u16, number: u16) -> (u16, bool) {
        let (number, is_first) = stream.number(spurt, SequenceNumber(number));
        (number.0, is_first)
    }

    #[test]
    fn leg_that_is_left_out_goes_on_where_it_stood() {
        let mut stream = Stream::new(Ssrc(1), SequenceNumber(7), 0);
        assert_eq!(sent(&mut stream, 4, 65_535), (7, true), "its first packet, amid a spurt");
        assert_eq!(sent(&mut stream, 4, 2), (10, false), "two were lost");
        assert_eq!(sent(&mut stream, 5, 3), (11, true));
        stream.leave_out(SequenceNumber(4));
        stream.leave_out(SequenceNumber(90));
        assert_eq!(sent(&mut stream, 7, 100), (12, true), "it talked in between");
        assert_eq!(sent(&mut stream, 7, 99), (11, false));
    }
}
