//! How a member plays packets of 40 and 60 ms, and changes from one length to another.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_client::media::{MemberReport, PacketLengths, Schedule};
use sabha_media::codec::opus::{OpusDecoder, OpusEncoder, pack};
use sabha_media::codec::{Decoder, Encoder, EncoderSettings, Frame, PAYLOAD_SIZE_MAX};

mod media_support;
use media_support::{Alone, FRAME};

/// Encodes a sound that never rests, a payload for each frame.
fn payloads(frames: usize) -> Vec<Vec<u8>> {
    let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 64_000, complexity: 5 });
    let encode = |index: usize| {
        let frame: Frame = std::array::from_fn(|i| {
            let at = (index * 960 + i) as f32;
            0.2 * (at * 0.03).sin() + 0.1 * (at * 0.041 + (at * 0.000_1).sin()).sin()
        });
        let mut payload = [0; PAYLOAD_SIZE_MAX];
        let length = encoder.encode(&frame, &mut payload).unwrap();
        payload[..length].to_vec()
    };
    (0..frames).map(encode).collect()
}

/// Sends packets of so many frames each, every one as soon as its last frame is there.
///
/// Returns the figures before the stream's end was noticed.
fn stream(
    lengths: &[usize],
    level: impl Fn(usize) -> u8,
) -> (MemberReport, Vec<f32>, Vec<Vec<u8>>) {
    let payloads = payloads(lengths.iter().sum());
    let mut alone = Alone::new(Schedule::new(Vec::new(), 0.0, 1));
    // A packet that is in time waits 15 ms for its frame's turn.
    alone.run(FRAME * 3 + Duration::from_millis(5));
    let mut frame = 0;
    for length in lengths {
        let packed: Vec<&[u8]> =
            payloads[frame..frame + length].iter().map(Vec::as_slice).collect();
        let mut packet = [0; 1_400];
        let size = pack(&packed, &mut packet).unwrap();
        alone.run(FRAME * *length as u32);
        alone.play(frame as u32 * 960, frame == 0, level(frame), &packet[..size]);
        frame += length;
    }
    let report = alone.member.report();
    alone.run(FRAME * 6);
    (report, alone.member.heard(), payloads)
}

/// Returns what a decoder makes of every frame by itself.
fn decoded(payloads: &[Vec<u8>]) -> Vec<f32> {
    let mut decoder = OpusDecoder::new();
    let decode = |payload: &Vec<u8>| {
        let mut frame = [0.0; 960];
        decoder.decode(Some(payload), &mut frame).unwrap();
        frame
    };
    payloads.iter().flat_map(decode).collect()
}

/// Returns where in what was heard the stream begins.
fn begin(heard: &[f32], payloads: &[Vec<u8>]) -> usize {
    let is_loud = |sample: &f32| sample.abs() > 0.01;
    let first = |samples: &[f32]| samples.iter().position(is_loud).unwrap();
    first(heard) - first(&decoded(payloads))
}

fn steady_loud(_frame: usize) -> u8 {
    20
}

#[test]
fn steady_packets_of_any_length_are_played_to_the_sample() {
    for (frames, lengths_in) in [
        (1, PacketLengths { ms_20: 100, ..PacketLengths::default() }),
        (2, PacketLengths { ms_40: 100, ..PacketLengths::default() }),
        (3, PacketLengths { ms_60: 100, ..PacketLengths::default() }),
    ] {
        let (report, heard, payloads) = stream(&[frames; 100], steady_loud);
        let MemberReport { playout, lengths_in: counted, drops, .. } = report;
        assert_eq!(counted, lengths_in);
        assert_eq!((playout.concealed, playout.late, playout.skipped), (0, 0, 0), "{frames}");
        assert_eq!((playout.lost, drops.total()), (0, 0), "{frames}");
        let (heard, decoded) = (&heard[begin(&heard, &payloads)..], decoded(&payloads));
        assert_eq!(heard[..decoded.len()], decoded, "{frames}");
    }
}

#[test]
fn longer_packets_delay_once_and_shorter_ones_are_all_heard_once() {
    let lengths = [[1; 100].to_vec(), [3; 50].to_vec(), [1; 200].to_vec()].concat();
    let (report, heard, payloads) = stream(&lengths, steady_loud);
    let MemberReport { playout, lengths_in, .. } = report;
    assert_eq!((lengths_in.ms_20, lengths_in.ms_60, lengths_in.other), (300, 50, 0));
    assert_eq!(playout.concealed, 6, "30 ms at the change to 60, in parts of 5, and never again");
    assert_eq!((playout.late, playout.lost, playout.skipped), (0, 0, 0));
    assert_eq!(playout.played, 350 - 3, "the last wait: 40 ms later than at first");
    let first = begin(&heard, &payloads);
    assert!(heard[first..].len() >= (450 + 2) * 960);
}

#[test]
fn surplus_delay_goes_in_the_next_pause() {
    let lengths = [[1; 100].to_vec(), [3; 50].to_vec(), [1; 200].to_vec()].concat();
    // Quiet from a second after the change back on.
    let (report, ..) = stream(&lengths, |frame| if frame >= 300 { 90 } else { 20 });
    let playout = report.playout;
    assert_eq!((playout.concealed, playout.late, playout.lost), (6, 0, 0));
    assert_eq!(playout.skipped, 2, "what is left is less than a packet");
}

#[test]
fn partial_packs_at_a_change_of_encoding_are_not_missed() {
    let lengths = [[3; 20].to_vec(), vec![1, 2], [3; 20].to_vec(), vec![2, 1]].concat();
    let (report, ..) = stream(&lengths.repeat(3), steady_loud);
    let playout = report.playout;
    assert_eq!((playout.concealed, playout.late, playout.lost, playout.skipped), (0, 0, 0, 0));
}

#[test]
fn new_spurt_after_silence_begins_packed_without_a_gap() {
    let payloads = payloads(60);
    let mut alone = Alone::new(Schedule::new(Vec::new(), 0.0, 1));
    alone.run(FRAME * 3);
    let mut timestamp = 0;
    for spurt in 0..3 {
        for pack_of in payloads.chunks(3) {
            let packed: Vec<&[u8]> = pack_of.iter().map(Vec::as_slice).collect();
            let mut packet = [0; 1_400];
            let size = pack(&packed, &mut packet).unwrap();
            alone.run(FRAME * 3);
            alone.play(timestamp, timestamp == 0, 20, &packet[..size]);
            timestamp += 3 * 960;
        }
        // The node announces the silence, and its clock goes on.
        let last = &payloads[59];
        alone.run(FRAME);
        alone.play(timestamp, false, 127, last);
        alone.run(Duration::from_secs(2));
        timestamp += 960 + 2 * 48_000;
        let playout = alone.member.report().playout;
        assert_eq!((playout.concealed, playout.late, playout.lost), (0, 0, 0), "spurt {spurt}");
        assert_eq!(playout.played, 21 * (spurt + 1));
    }
}
