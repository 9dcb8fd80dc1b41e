//! Speech found in a recording in which its delay changes while it is said.
//!
//! Jitter buffers change the delay of speech by stretching it. Against a single lag what comes behind
//! such a change matches nothing and its pauses lie elsewhere, though nothing of it is missing.

use std::time::Duration;

use super::align::align;
use super::drift::{HOP_SAMPLES, WINDOW_SAMPLES, WindowLag, lags_over_time};
use super::gap::{MissingSpeech, is_silent, missing_speech};
use super::level::{self, FRAME_SAMPLES};

/// How speech arrived, wherever its parts lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Followed {
    /// How alike it is, 0 to 1.
    pub correlation: f32,
    /// What is silent of it, and silence that was put into it.
    pub missing: MissingSpeech,
}

/// Follows speech through a recording: each of its parts lies within `slack` samples around `lag`.
///
/// A part that matches nothing there is taken to lie as the one before it.
#[must_use]
pub fn follow(reference: &[f32], recording: &[f32], lag: i64, slack: u32) -> Followed {
    let lags = lags_over_time(reference, recording, lag, slack);
    let straight = straightened(reference.len(), recording, lag, &lags);
    let mut missing = missing_speech(reference, &straight, 0);
    let active = level::active_frames(reference);
    for change in lags.windows(2) {
        let inserted = inserted_silence(&active, recording, change);
        missing.total += inserted;
        if inserted > missing.longest {
            (missing.longest, missing.longest_at) = (inserted, Some(change[1].at));
        }
    }
    let correlation = align(reference, &straight, 0..=0).map_or(0.0, |found| found.correlation);
    Followed { correlation, missing }
}

/// Returns what the recording would be without the changes of delay.
fn straightened(samples: usize, recording: &[f32], lag: i64, lags: &[WindowLag]) -> Vec<f32> {
    let mut straight = vec![0.0; samples];
    let mut lags = lags.iter().peekable();
    let mut here = lags.peek().map_or(lag, |first| first.alignment.lag);
    for (part, to) in straight.chunks_mut(FRAME_SAMPLES).enumerate() {
        let at = part * FRAME_SAMPLES;
        // A window tells of its middle.
        while let Some(window) = lags.next_if(|window| window.at + HALF_BEFORE <= at) {
            here = window.alignment.lag;
        }
        for (place, sample) in to.iter_mut().enumerate() {
            let from = usize::try_from((at + place) as i64 + here);
            *sample = from.ok().and_then(|from| recording.get(from)).copied().unwrap_or(0.0);
        }
    }
    straight
}

/// Returns how much more silence the recording has around a change of delay than the reference has
/// pauses there.
fn inserted_silence(active: &[bool], recording: &[f32], change: &[WindowLag]) -> Duration {
    let [before, after] = change else { return Duration::ZERO };
    if before.alignment.lag == after.alignment.lag {
        return Duration::ZERO;
    }
    let (from, to) = (before.at + HOP_SAMPLES / 2, after.at + WINDOW_SAMPLES - HOP_SAMPLES / 2);
    let spoken = active.get(from / FRAME_SAMPLES..to / FRAME_SAMPLES).unwrap_or_default();
    let pauses = spoken.iter().filter(|active| !**active).count();
    let (from, to) = (from as i64 + before.alignment.lag, to as i64 + after.alignment.lag);
    let heard = (from..to - FRAME_SAMPLES as i64).step_by(FRAME_SAMPLES);
    let silent = heard.filter(|at| is_silent(recording, 0, *at)).count();
    Duration::from_millis(10) * silent.saturating_sub(pauses) as u32
}

/// From a window's first sample to where its lag begins to count: half a hop before its middle.
const HALF_BEFORE: usize = (WINDOW_SAMPLES - HOP_SAMPLES) / 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::SAMPLES_PER_MS;
    use crate::sound::built_in::built_in_clips;

    const SLACK: u32 = 100 * SAMPLES_PER_MS as u32;

    fn speech() -> Vec<f32> {
        built_in_clips()[0].samples.to_vec()
    }

    /// Returns a place in the midst of a word.
    fn loud(speech: &[f32]) -> usize {
        let active = level::active_frames(speech);
        let place = active.windows(21).skip(100).position(|frames| !frames.contains(&false));
        (place.expect("a word") + 110) * FRAME_SAMPLES
    }

    #[test]
    fn changed_delay_is_followed() {
        let speech = speech();
        let mut heard = speech.clone();
        let at = loud(&speech);
        // A pitch period or so, five times.
        (0..5).for_each(|turn| drop(heard.drain(at + turn * 700..at + turn * 700 + 240)));
        let single = align(&speech, &heard, -4_800..=4_800).expect("speech").correlation;
        let found = follow(&speech, &heard, 0, SLACK);
        assert!(single < 0.8 && found.correlation > 0.9, "{single} {found:?}");
        assert_eq!(found.missing.total, Duration::ZERO, "{found:?}");
    }

    #[test]
    fn silence_is_found_whether_it_replaces_speech_or_was_put_into_it() {
        let speech = speech();
        let at = loud(&speech);
        let mut muted = speech.clone();
        muted[at..at + 60 * SAMPLES_PER_MS].fill(0.0);
        let mut longer = speech.clone();
        longer.splice(at..at, vec![0.0; 60 * SAMPLES_PER_MS]);
        for heard in [muted, longer] {
            let found = follow(&speech, &heard, 0, SLACK);
            assert!((40..=60).contains(&found.missing.longest.as_millis()), "{found:?}");
        }
    }

    #[test]
    fn other_speech_is_not_found() {
        let found = follow(&speech(), &built_in_clips()[1].samples, 0, SLACK);
        assert!(found.correlation < 0.4, "{found:?}");
        assert_eq!(follow(&speech(), &[], 0, SLACK).correlation, 0.0);
    }
}
