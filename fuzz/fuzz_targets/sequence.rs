//! Unwrappers against a model that tries every cycle.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_media::rtp::{RtpTimestamp, SequenceNumber};
use sabha_media::sequence::{SequenceUnwrapper, TimestampUnwrapper};

fuzz_target!(|input: &[u8]| {
    let mut sequence = SequenceUnwrapper::new();
    let mut model = Model::new(16);
    for octets in input.as_chunks().0 {
        let number = u16::from_be_bytes(*octets);
        let value = sequence.unwrap(SequenceNumber(number));
        assert_eq!(u128::from(value), model.unwrap(u128::from(number)));
        assert_eq!(sequence.newest().map(u128::from), model.newest);
    }
    let mut timestamps = TimestampUnwrapper::new();
    let mut model = Model::new(32);
    for octets in input.as_chunks().0 {
        let timestamp = u32::from_be_bytes(*octets);
        let value = timestamps.unwrap(RtpTimestamp(timestamp));
        assert_eq!(u128::from(value), model.unwrap(u128::from(timestamp)));
        assert_eq!(timestamps.newest().map(u128::from), model.newest);
    }
});

struct Model {
    cycle: u128,
    newest: Option<u128>,
}

impl Model {
    fn new(bits: u32) -> Self {
        Self { cycle: 1 << bits, newest: None }
    }

    /// The nearest value with these low bits; of two as near, the earlier.
    fn unwrap(&mut self, low: u128) -> u128 {
        let newest = *self.newest.get_or_insert(self.cycle + low);
        let around = newest / self.cycle;
        let candidates = (around.saturating_sub(1)..=around + 1).map(|n| n * self.cycle + low);
        let nearest = candidates.min_by_key(|value| value.abs_diff(newest)).expect("three cycles");
        self.newest = Some(newest.max(nearest));
        nearest
    }
}
