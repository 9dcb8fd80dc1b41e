//! Alignment finds delay and gain, and tells a slip from a steady delay.

use sabha_client::sound::{
    AlignError, SAMPLES_PER_MS, align,
    built_in::built_in_clips,
    drift::{lags_over_time, slips},
    gap::missing_speech,
    level::active_frames,
};

mod sound_support;
use sound_support::{GENERATION_DELAY, noise, opus_generations, speech};

fn delayed(pcm: &[f32], lag: usize, gain: f32) -> Vec<f32> {
    let mut later = vec![0.0; lag];
    later.extend(pcm.iter().map(|sample| sample * gain));
    later
}

#[test]
fn lag_and_gain_are_exact_on_a_clean_recording() {
    let speech = speech();
    for (lag, gain) in [(0, 1.0), (1, 0.1), (12_345, 2.0), (48_000, 0.01)] {
        let found = align(&speech, &delayed(&speech, lag, gain), -4_800..=96_000).unwrap();
        assert_eq!(found.lag, lag as i64);
        assert!(found.correlation > 0.999 && (found.gain / gain - 1.0).abs() < 1e-3, "{found:?}");
    }
}

#[test]
fn recording_that_begins_late_has_a_negative_lag() {
    let clip = &built_in_clips()[0].samples;
    let found = align(clip, &clip[9_600..], -48_000..=48_000).unwrap();
    assert_eq!(found.lag, -9_600);
    assert!(found.correlation > 0.9);
}

#[test]
fn segment_is_found_in_a_long_mixed_and_coded_recording() {
    let clips = built_in_clips();
    let mut recording = delayed(&speech(), 5 * 48_000 + 77, 0.5);
    let other = noise(recording.len(), 0.005, 3);
    recording.iter_mut().zip(other).for_each(|(sample, noise)| *sample += noise);
    let at = 5 * 48_000 + 77 + clips[0].samples.len() + clips[1].samples.len();
    let heard = opus_generations(&recording, 2);
    let found = align(&clips[2].samples, &heard, 0..=20 * 48_000).unwrap();
    assert!(found.lag.abs_diff((at + 2 * GENERATION_DELAY) as i64) <= 12, "{found:?}");
    assert!(found.correlation > 0.7 && (0.33..0.55).contains(&found.gain), "{found:?}");
}

#[test]
fn other_speech_hardly_correlates() {
    let clips = built_in_clips();
    let found = align(&clips[0].samples, &clips[1].samples, -96_000..=96_000).unwrap();
    assert!(found.correlation < 0.3, "{found:?}");
    let found = align(&clips[0].samples, &[], 0..=100).unwrap();
    assert_eq!((found.correlation, found.gain), (0.0, 0.0));
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "the refusal is what is tested")]
fn senseless_alignments_are_refused() {
    let empty = AlignError::EmptyRange { first: 5, last: -5 };
    assert_eq!(align(&[1.0], &[1.0], 5..=-5), Err(empty));
    assert_eq!(align(&[0.0; 480], &[1.0; 480], 0..=10), Err(AlignError::SilentReference));
    assert_eq!(align(&[], &[1.0; 480], 0..=10), Err(AlignError::SilentReference));
    let endless = align(&[1.0], &[1.0], i64::MIN..=i64::MAX);
    assert!(matches!(endless, Err(AlignError::TooLong { .. })));
}

#[test]
fn steady_delay_gives_one_lag_over_time_even_through_opus_twice() {
    let (speech, lag) = (speech(), 4_000 + 2 * GENERATION_DELAY as i64);
    let heard = opus_generations(&delayed(&speech, 4_000, 0.7), 2);
    let lags = lags_over_time(&speech, &heard, lag, 4_800);
    assert!(lags.len() > 40, "{} windows", lags.len());
    for window in &lags {
        assert!(window.alignment.lag.abs_diff(lag) <= 24, "{window:?}");
    }
    assert_eq!(slips(&lags, SAMPLES_PER_MS as u32), []);
}

#[test]
fn inserted_and_removed_sound_are_slips_where_they_happened() {
    let speech = speech();
    let mut heard = speech.clone();
    heard.splice(240_000..240_000, vec![0.0; 960]);
    heard.drain(481_000..481_480);
    let lags = lags_over_time(&speech, &heard, 0, 4_800);
    let slips = slips(&lags, SAMPLES_PER_MS as u32);
    assert_eq!(slips.iter().map(|slip| slip.samples).collect::<Vec<_>>(), [960, -480]);
    assert!(slips[0].at.abs_diff(240_000) <= 20_000 && slips[1].at.abs_diff(480_040) <= 20_000);
}

#[test]
fn coded_speech_has_no_gap_and_a_muted_stretch_is_one() {
    let speech = speech();
    let mut heard = opus_generations(&speech, 1);
    let lag = GENERATION_DELAY as i64;
    assert_eq!(missing_speech(&speech, &heard, lag).longest.as_millis(), 0);
    let active = active_frames(&speech);
    let at = active.windows(22).position(|frames| !frames.contains(&false)).unwrap() + 1;
    heard[at * 480 + GENERATION_DELAY..][..9_600].fill(0.0);
    let missing = missing_speech(&speech, &heard, lag);
    assert_eq!((missing.longest.as_millis(), missing.longest_at), (200, Some(at * 480)));
}
