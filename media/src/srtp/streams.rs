//! The few streams that share one master key.

use thiserror::Error;

use crate::leg::Ssrc;
use crate::memory::prefetch;

/// Most streams under one master key. Chosen: a bridge's slots on one leg, with room.
pub const STREAMS_MAX: usize = 8;

/// Why a list of streams was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StreamsError {
    /// More than `STREAMS_MAX`.
    #[error("{0} streams under one master key where {STREAMS_MAX} are allowed")]
    TooMany(usize),
    /// The same stream twice: its nonces would repeat.
    #[error("stream {0} is listed twice under one master key")]
    Repeated(Ssrc),
}

/// The state of each stream; never grows.
///
/// The first stream's lies in place, as most keys have but one: finding it takes no detour.
#[derive(Debug)]
pub(crate) struct Streams<T> {
    first: Option<(Ssrc, T)>,
    others: Box<[(Ssrc, T)]>,
}

impl<T: Default> Streams<T> {
    /// Makes fresh state for each stream.
    ///
    /// # Errors
    /// `TooMany` or `Repeated`, as the list breaks those rules.
    pub fn new(ssrcs: &[Ssrc]) -> Result<Self, StreamsError> {
        if ssrcs.len() > STREAMS_MAX {
            return Err(StreamsError::TooMany(ssrcs.len()));
        }
        for (index, ssrc) in ssrcs.iter().enumerate() {
            if ssrcs[..index].contains(ssrc) {
                return Err(StreamsError::Repeated(*ssrc));
            }
        }
        let mut fresh = ssrcs.iter().map(|ssrc| (*ssrc, T::default()));
        Ok(Self { first: fresh.next(), others: fresh.collect() })
    }

    /// Asks for what does not lie in place.
    #[inline]
    pub fn prefetch(&self) {
        for stream in &self.others {
            prefetch(stream);
        }
    }

    /// Returns a stream's state, for change.
    pub fn stream_mut(&mut self, ssrc: Ssrc) -> Option<&mut T> {
        self.iter_mut().find(|(own, _)| *own == ssrc).map(|(_, state)| state)
    }

    /// Returns a stream's state.
    pub fn stream(&self, ssrc: Ssrc) -> Option<&T> {
        self.iter().find(|(own, _)| *own == ssrc).map(|(_, state)| state)
    }

    /// Gives every stream with its state, for change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (Ssrc, T)> {
        self.first.iter_mut().chain(&mut self.others)
    }

    /// Gives every stream with its state, in the order in which they were listed.
    pub fn iter(&self) -> impl Iterator<Item = &(Ssrc, T)> {
        self.first.iter().chain(&self.others)
    }
}
