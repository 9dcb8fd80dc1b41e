//! Opus packets taken apart over arbitrary octets.
//!
//! The frames are parts of the payload and last as long as libopus says; packed again they are the
//! same, unless there are none or too many.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_media::codec::opus::{Opus, Toc, frames, has_fec, pack};
use sabha_media::codec::{Codec, PACKET_SAMPLES_MAX};

fuzz_target!(|payload: &[u8]| {
    let has_fec = has_fec(payload);
    let Ok(found) = frames(payload) else {
        assert!(!has_fec);
        return;
    };
    let all: Vec<(Toc, &[u8])> = found.collect();
    let samples: usize = all.iter().map(|(toc, _)| toc.frame_samples()).sum();
    assert!((1..=PACKET_SAMPLES_MAX).contains(&samples));
    assert_eq!(Opus.payload_samples(payload), Ok(samples));
    assert!(all.iter().map(|(_, frame)| frame.len()).sum::<usize>() < payload.len());

    let toc = payload[0] & !3;
    let singles: Vec<Vec<u8>> = all.iter().map(|(_, frame)| [&[toc], *frame].concat()).collect();
    let pieces: Vec<&[u8]> = singles.iter().map(Vec::as_slice).collect();
    let mut packet = vec![0; 2 * payload.len() + 8];
    let length = pack(&pieces, &mut packet).expect("what was one packet can be one again");
    let again = frames(&packet[..length]).expect("own writing");
    assert_eq!(again.collect::<Vec<_>>(), all);
});
