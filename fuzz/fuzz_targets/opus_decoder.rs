//! The Opus decoder over arbitrary payloads, with losses between them.
//!
//! What is decoded stays within the caller's buffer and is as long as the payload says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_media::codec::opus::{Opus, OpusDecoder};
use sabha_media::codec::{Codec, Decoder, PACKET_SAMPLES_MAX};

fuzz_target!(|input: &[u8]| {
    let mut decoder = OpusDecoder::new();
    let mut rest = input;
    while let [length, room, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        rest = behind;
        decode(&mut decoder, payload, usize::from(*room));
    }
    decode(&mut decoder, input, 0);
});

fn decode(decoder: &mut OpusDecoder, payload: &[u8], room: usize) {
    let mut pcm = [CANARY; PACKET_SAMPLES_MAX + 1];
    let samples = Opus.payload_samples(payload);
    let room = if room == 0 { PACKET_SAMPLES_MAX } else { room * 20 };
    if let Ok(samples) = samples {
        assert!((1..=PACKET_SAMPLES_MAX).contains(&samples));
    }
    match decoder.decode(Some(payload), &mut pcm[..room]) {
        Ok(written) => {
            assert_eq!(Ok(written), samples, "as long as the payload says");
            assert!(written <= room);
            assert!(pcm[..written].iter().all(|sample| sample.is_finite()));
        }
        Err(_) => {
            let concealed = decoder.decode(None, &mut pcm[..960]);
            assert_eq!(concealed, Ok(960), "a refused payload leaves a decoder that goes on");
        }
    }
    assert_eq!(pcm[PACKET_SAMPLES_MAX], CANARY);
}

const CANARY: f32 = 1.0e9;
