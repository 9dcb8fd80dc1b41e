//! Unwrapping of sequence numbers and timestamps, across wraps and reordering.

use proptest::prelude::*;
use sabha_media::rtp::{RtpTimestamp, SequenceNumber};
use sabha_media::sequence::{SequenceUnwrapper, TimestampUnwrapper};

#[test]
fn numbers_before_the_first_have_a_value() {
    let mut unwrapper = SequenceUnwrapper::new();
    assert_eq!(unwrapper.newest(), None);
    assert_eq!(unwrapper.unwrap(SequenceNumber(2)), 65_538);
    assert_eq!(unwrapper.unwrap(SequenceNumber(65_535)), 65_535);
    assert_eq!(unwrapper.newest(), Some(65_538));
    assert_eq!(unwrapper.unwrap(SequenceNumber(3)), 65_539);

    let mut unwrapper = TimestampUnwrapper::new();
    assert_eq!(unwrapper.newest(), None);
    assert_eq!(unwrapper.unwrap(RtpTimestamp(100)), (1 << 32) + 100);
    assert_eq!(unwrapper.unwrap(RtpTimestamp(u32::MAX)), (1 << 32) - 1);
    assert_eq!(unwrapper.newest(), Some((1 << 32) + 100));
}

#[test]
fn half_a_cycle_counts_as_before() {
    let mut unwrapper = SequenceUnwrapper::new();
    unwrapper.unwrap(SequenceNumber(0));
    assert_eq!(unwrapper.unwrap(SequenceNumber(32_768)), 32_768);
    assert_eq!(unwrapper.unwrap(SequenceNumber(32_767)), 65_536 + 32_767);
}

proptest! {
    #[test]
    fn sequence_follows_true_positions(
        start in 65_536_u64..131_072,
        steps in prop::collection::vec(-32_767_i64..=32_767, 0..300),
    ) {
        let mut unwrapper = SequenceUnwrapper::new();
        prop_assert_eq!(unwrapper.unwrap(SequenceNumber(start as u16)), start);
        let mut newest = start;
        for step in steps {
            // Any position less than half a cycle from the newest is found again.
            let position = newest.saturating_add_signed(step);
            prop_assert_eq!(unwrapper.unwrap(SequenceNumber(position as u16)), position);
            newest = newest.max(position);
            prop_assert_eq!(unwrapper.newest(), Some(newest));
        }
    }

    #[test]
    fn timestamps_follow_true_positions(
        start in (1_u64 << 32)..(1 << 33),
        steps in prop::collection::vec(-0x7fff_ffff_i64..=0x7fff_ffff, 0..300),
    ) {
        let mut unwrapper = TimestampUnwrapper::new();
        prop_assert_eq!(unwrapper.unwrap(RtpTimestamp(start as u32)), start);
        let mut newest = start;
        for step in steps {
            let position = newest.saturating_add_signed(step);
            prop_assert_eq!(unwrapper.unwrap(RtpTimestamp(position as u32)), position);
            newest = newest.max(position);
            prop_assert_eq!(unwrapper.newest(), Some(newest));
        }
    }

    #[test]
    fn any_numbers_keep_their_low_bits(numbers in prop::collection::vec(any::<u16>(), 0..500)) {
        let mut unwrapper = SequenceUnwrapper::new();
        for number in numbers {
            let value = unwrapper.unwrap(SequenceNumber(number));
            prop_assert_eq!(value as u16, number);
            prop_assert!(unwrapper.newest().unwrap() - value <= 32_768);
        }
    }
}
