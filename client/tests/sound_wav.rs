//! WAV files of every common shape are read as the same sound, and recordings survive.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use hound::{SampleFormat, WavSpec, WavWriter};
use sabha_client::sound::{
    ReadError, RecordError, WavRecorder, align, clip::read_speech_dir, recorder::write_wav,
    wav::read_wav,
};

mod sound_support;
use sound_support::scratch;

/// A sweep of tones under 3 kHz that begins at once, so that any shift shows.
fn sound(i: usize, rate_hz: u32) -> f32 {
    let t = i as f32 / rate_hz as f32;
    0.4 * (1_800.0 * t * (1.0 + 2.0 * t)).sin() + 0.1 * (std::f32::consts::TAU * 2_000.0 * t).sin()
}

fn write(name: &str, spec: WavSpec) -> std::path::PathBuf {
    let path = scratch(name);
    let mut writer = WavWriter::create(&path, spec).unwrap();
    for i in 0..spec.sample_rate as usize {
        for channel in 0..spec.channels {
            // Channels differ, and average to the sound.
            let offset = f32::from(channel) - f32::from(spec.channels - 1) / 2.0;
            let sample = sound(i, spec.sample_rate) + 0.05 * offset;
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(sample).unwrap(),
                SampleFormat::Int => {
                    let full = (1i64 << (spec.bits_per_sample - 1)) as f64;
                    writer.write_sample((f64::from(sample) * full).round() as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
    path
}

fn spec(sample_rate: u32, bits_per_sample: u16, channels: u16) -> WavSpec {
    WavSpec { channels, sample_rate, bits_per_sample, sample_format: SampleFormat::Int }
}

/// The largest difference from the sound, away from the ends, where the filter rings.
fn error(pcm: &[f32]) -> f32 {
    let inner = pcm.iter().enumerate().take(47_000).skip(1_000);
    inner.map(|(i, sample)| (sample - sound(i, 48_000)).abs()).fold(0.0, f32::max)
}

#[test]
fn every_depth_and_channel_count_is_the_same_sound() {
    let float = WavSpec { sample_format: SampleFormat::Float, ..spec(48_000, 32, 2) };
    let cases = [
        (spec(48_000, 8, 1), 0.01),
        (spec(48_000, 16, 1), 1e-4),
        (spec(48_000, 24, 2), 1e-5),
        (spec(48_000, 32, 6), 1e-5),
        (float, 1e-5),
    ];
    for (spec, tolerance) in cases {
        let path = write(&format!("depth{}x{}.wav", spec.bits_per_sample, spec.channels), spec);
        let pcm = read_wav(&path).unwrap();
        assert_eq!(pcm.len(), 48_000);
        assert!(error(&pcm) < tolerance, "{spec:?}: {}", error(&pcm));
    }
}

#[test]
fn every_rate_is_resampled_in_place() {
    let reference: Vec<f32> = (0..48_000).map(|i| sound(i, 48_000)).collect();
    for rate_hz in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 47_999, 96_000, 192_000] {
        let pcm = read_wav(&write(&format!("rate{rate_hz}.wav"), spec(rate_hz, 16, 1))).unwrap();
        assert_eq!(pcm.len(), 48_000, "{rate_hz} Hz");
        let found = align(&reference, &pcm, -2_000..=2_000).unwrap();
        assert_eq!(found.lag, 0, "{rate_hz} Hz");
        assert!(error(&pcm) < 0.003, "{rate_hz} Hz: {}", error(&pcm));
    }
}

#[test]
fn recording_is_read_back_to_the_bit_and_clips_at_full_scale() {
    let path = scratch("recorded.wav");
    let pcm: Vec<f32> = (0..48_000).map(|i| ((i * 37) % 65_536) as f32 / 32_768.0 - 1.0).collect();
    let mut recorder = WavRecorder::create(&path).unwrap();
    for part in pcm.chunks(960) {
        recorder.write(part).unwrap();
    }
    recorder.write(&[2.0, -2.0, f32::NAN]).unwrap();
    assert_eq!(recorder.close().unwrap().as_micros(), 1_000_062);
    let read = read_wav(&path).unwrap();
    assert_eq!(read[..48_000], pcm);
    assert_eq!(read[48_000..], [32_767.0 / 32_768.0, -1.0, 0.0]);
}

#[test]
fn dropped_recorder_leaves_a_whole_file_and_a_forgotten_one_all_but_a_second() {
    let path = scratch("dropped.wav");
    let mut recorder = WavRecorder::create(&path).unwrap();
    recorder.write(&[0.25; 1_000]).unwrap();
    drop(recorder);
    assert_eq!(read_wav(&path).unwrap(), [0.25; 1_000]);

    let path = scratch("forgotten.wav");
    let mut recorder = WavRecorder::create(&path).unwrap();
    for _ in 0..125 {
        recorder.write(&[0.25; 960]).unwrap();
    }
    std::mem::forget(recorder); // as if the process were killed
    assert_eq!(read_wav(&path).unwrap().len(), 96_000);
}

#[test]
fn recording_into_a_missing_folder_names_it() {
    let error = write_wav(&scratch("no-such-folder/x.wav"), &[0.0]).unwrap_err();
    assert!(matches!(error, RecordError::Unwritable { .. }));
    let message = error.to_string();
    assert!(
        message.contains("no-such-folder/x.wav") && message.contains("check that"),
        "{message}"
    );
}

#[test]
fn refusals_name_the_file_and_a_remedy() {
    let refuse = |path: &Path, part: &str| {
        let message = read_wav(path).unwrap_err().to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(message.contains(part) && message.contains(';'), "{message}");
    };
    refuse(&scratch("absent.wav"), "cannot read");
    let path = scratch("text.wav");
    fs::write(&path, "this is no sound").unwrap();
    refuse(&path, "not a sound file");
    fs::write(&path, "RIFF").unwrap();
    refuse(&path, "ends too early");
    refuse(&write("slow.wav", spec(7_999, 16, 1)), "7999 Hz");
    refuse(&write("fast.wav", spec(192_001, 16, 1)), "192001 Hz");

    let whole = fs::read(write("whole.wav", spec(8_000, 16, 1))).unwrap();
    let path = scratch("cut.wav");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refuse(&path, "ends early");
    let path = scratch("empty.wav");
    WavRecorder::create(&path).unwrap().close().unwrap();
    refuse(&path, "no sound at all");
    let path = scratch("nan.wav");
    let float = WavSpec { sample_format: SampleFormat::Float, ..spec(48_000, 32, 1) };
    let mut writer = WavWriter::create(&path, float).unwrap();
    [0.0, f32::NAN].into_iter().for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    refuse(&path, "sample 1 is not a number");
}

#[test]
fn sound_over_two_hours_is_refused_before_it_is_read() {
    // A sparse file: its header promises 2 h and one second at 8 kHz.
    let path = scratch("endless.wav");
    let mut bytes = fs::read(write("second.wav", spec(8_000, 8, 1))).unwrap();
    let samples = 7_201u32 * 8_000;
    let header = bytes.len() - 8_000;
    bytes[header - 4..header].copy_from_slice(&samples.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(u64::from(samples) + header as u64).unwrap();
    assert!(matches!(read_wav(&path), Err(ReadError::TooLong { .. })));
}

#[test]
fn damaged_headers_are_errors_and_never_panics() {
    let whole = fs::read(write("damage.wav", spec(8_000, 16, 2))).unwrap();
    let path = scratch("damaged.wav");
    for at in 0..60 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole[..4_000].to_vec();
            bytes[at] = value;
            fs::write(&path, bytes).unwrap();
            let _ = read_wav(&path);
        }
    }
}

#[test]
fn folder_is_read_by_name_and_other_files_are_passed_over() {
    let dir = scratch("speech");
    fs::create_dir_all(dir.join("folder.wav")).unwrap();
    assert!(matches!(read_speech_dir(&dir), Err(ReadError::EmptyFolder { .. })));
    write_wav(&dir.join("b.wav"), &[0.5; 480]).unwrap();
    write_wav(&dir.join("a.WAV"), &[0.25; 480]).unwrap();
    fs::write(dir.join("notes.txt"), "none").unwrap();
    let clips = read_speech_dir(&dir).unwrap();
    let names: Vec<_> = clips.iter().map(|clip| clip.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(clips[1].samples, [0.5; 480]);
    fs::remove_dir_all(&dir).unwrap();
    let message = read_speech_dir(&dir).unwrap_err().to_string();
    assert!(message.contains("speech") && message.contains("check the path"), "{message}");
}
