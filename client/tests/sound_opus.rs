//! Ogg Opus clips keep their start, length and level; damaged ones are refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use ogg::{PacketWriteEndInfo, PacketWriter};
use sabha_client::sound::{
    Clip, ReadError, align,
    built_in::built_in_clips,
    level::{active_frames, active_level_dbfs, peak_dbfs},
    ogg_opus::decode_opus,
};
use sabha_media::codec::{
    Encoder, EncoderSettings, FRAME_SAMPLES, PAYLOAD_SIZE_MAX, opus::OpusEncoder,
};

mod sound_support;
use sound_support::{GENERATION_DELAY, scratch};

fn head(pre_skip: u16, gain: i16) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend(pre_skip.to_le_bytes());
    head.extend(48_000u32.to_le_bytes());
    head.extend(gain.to_le_bytes());
    head.push(0);
    head
}

/// Writes `pcm` as Ogg Opus, one second of packets to a page, with granules from `granule_first`.
fn ogg_opus(pcm: &[f32], head: Vec<u8>, pre_skip: usize, granule_first: u64) -> Vec<u8> {
    let mut padded = pcm.to_vec();
    let total = pcm.len() + pre_skip;
    padded.resize(total.next_multiple_of(FRAME_SAMPLES), 0.0);
    let mut writer = PacketWriter::new(Vec::new());
    writer.write_packet(head, 7, PacketWriteEndInfo::EndPage, 0).unwrap();
    let tags = b"OpusTags\0\0\0\0\0\0\0\0".to_vec();
    writer.write_packet(tags, 7, PacketWriteEndInfo::EndPage, 0).unwrap();
    let mut encoder = OpusEncoder::new(EncoderSettings { bitrate: 96_000, complexity: 5 });
    let mut payload = [0; PAYLOAD_SIZE_MAX];
    let frames = padded.len() / FRAME_SAMPLES;
    for (frame, samples) in padded.chunks_exact(FRAME_SAMPLES).enumerate() {
        let length = encoder.encode(samples.try_into().unwrap(), &mut payload).unwrap();
        let decoded = ((frame + 1) * FRAME_SAMPLES) as u64;
        let (end, granule) = match frame + 1 {
            last if last == frames => (PacketWriteEndInfo::EndStream, total as u64),
            full if full % 50 == 0 => (PacketWriteEndInfo::EndPage, decoded),
            _ => (PacketWriteEndInfo::NormalPacket, decoded),
        };
        writer.write_packet(payload[..length].to_vec(), 7, end, granule_first + granule).unwrap();
    }
    writer.into_inner()
}

fn decode(bytes: &[u8]) -> Result<Vec<f32>, ReadError> {
    decode_opus(Path::new("clip.opus"), bytes)
}

#[test]
fn built_in_clips_are_four_voices_of_active_speech() {
    let clips = built_in_clips();
    let names: Vec<_> = clips.iter().map(|clip| clip.name.as_str()).collect();
    assert_eq!(names, ["asha", "ben", "carla", "dev"]);
    for clip in &clips {
        let (active, peak) = (active_level_dbfs(&clip.samples), peak_dbfs(&clip.samples));
        let frames = active_frames(&clip.samples);
        let share = frames.iter().filter(|active| **active).count() as f64 / frames.len() as f64;
        println!(
            "{}: {:.2} s, {active:.1} dBFS, peak {peak:.1}, {share:.2}",
            clip.name,
            clip.seconds()
        );
        assert!((3.0..4.2).contains(&clip.seconds()));
        assert!((-21.5..-18.5).contains(&active) && peak < -3.0);
        assert!(share > 0.7, "{} is active for {share} of its length", clip.name);
        assert!(!frames[..9].contains(&true) && !frames[frames.len() - 18..].contains(&true));
        assert!(frames[9..16].contains(&true), "speech begins after 100 ms");
    }
}

#[test]
fn pre_skip_and_last_granule_give_back_the_exact_stretch() {
    let clip = &built_in_clips()[0].samples[..100_123];
    let bytes = ogg_opus(clip, head(312, 0), GENERATION_DELAY, 0);
    let decoded = decode(&bytes).unwrap();
    assert_eq!(decoded.len(), clip.len());
    let found = align(clip, &decoded, -960..=960).unwrap();
    assert!(found.lag.abs() <= 2 && found.correlation > 0.95, "{found:?}");
}

#[test]
fn stream_that_begins_late_is_not_shortened() {
    let clip = &built_in_clips()[1].samples[..96_000];
    let bytes = ogg_opus(clip, head(312, 0), GENERATION_DELAY, 1_000_000);
    assert_eq!(decode(&bytes).unwrap().len(), clip.len());
}

#[test]
fn stream_of_one_short_page_is_trimmed_at_its_end() {
    let clip = &built_in_clips()[1].samples[..20_001];
    let bytes = ogg_opus(clip, head(312, 0), GENERATION_DELAY, 0);
    assert_eq!(decode(&bytes).unwrap().len(), clip.len());
}

#[test]
fn output_gain_is_applied() {
    let clip = &built_in_clips()[2].samples;
    let plain = decode(&ogg_opus(clip, head(312, 0), GENERATION_DELAY, 0)).unwrap();
    let quiet = decode(&ogg_opus(clip, head(312, -20 * 256), GENERATION_DELAY, 0)).unwrap();
    assert!((active_level_dbfs(&plain) - active_level_dbfs(&quiet) - 20.0).abs() < 0.01);
}

#[test]
fn what_is_no_ogg_opus_is_refused_with_the_reason() {
    let refuse = |bytes: &[u8], part: &str| {
        let message = decode(bytes).unwrap_err().to_string();
        assert!(message.contains("clip.opus") && message.contains(part), "{message}");
    };
    let sound = [0.1; 9_600];
    refuse(b"", "Ogg");
    refuse(b"this is text, and quite some of it", "Ogg");
    refuse(&ogg_opus(&sound, b"\x01vorbis".to_vec(), 0, 0), "not OpusHead");
    refuse(&ogg_opus(&sound, b"OpusHead\x01".to_vec(), 0, 0), "too short");
    let mut surround = head(312, 0);
    (surround[9], surround[18]) = (6, 1);
    refuse(&ogg_opus(&sound, surround, 312, 0), "6 channels");
    let mut future = head(312, 0);
    future[8] = 0x10;
    refuse(&ogg_opus(&sound, future, 312, 0), "version 16");
    refuse(&ogg_opus(&[], head(0, 0), 0, 0), "no sound");
    let mut damaged = ogg_opus(&sound, head(312, 0), 312, 0);
    let last = damaged.len() - 1;
    damaged[last] ^= 0xff;
    refuse(&damaged, "convert it again");
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let whole = ogg_opus(&[0.1; 9_600], head(312, 0), 312, 0);
    for at in 0..whole.len().min(600) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x81;
        let _ = decode(&bytes);
        let _ = decode(&whole[..at]);
    }
}

#[test]
fn file_is_chosen_by_its_ending_and_named_by_its_stem() {
    let path = scratch("hello.there.opus");
    std::fs::write(&path, ogg_opus(&[0.1; 9_600], head(312, 0), 312, 0)).unwrap();
    let clip = Clip::read(&path).unwrap();
    assert_eq!((clip.name.as_str(), clip.samples.len()), ("hello.there", 9_600));
    let error = Clip::read(Path::new("song.mp3")).unwrap_err();
    assert!(error.to_string().contains("song.mp3 ends neither in .wav nor in .opus"));
}
