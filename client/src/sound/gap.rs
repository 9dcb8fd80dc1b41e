//! Silent gaps inside active speech.

use std::time::Duration;

use super::level::{self, FRAME_SAMPLES, FRAME_SILENT_DBFS};

/// Speech that a recording lacks, in whole frames of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MissingSpeech {
    /// The longest silence in a row while the reference speaks.
    pub longest: Duration,
    /// Reference sample at which the longest begins; `None` if nothing is missing.
    pub longest_at: Option<usize>,
    /// All such silence together.
    pub total: Duration,
    /// All active speech of the reference, heard or not.
    pub active: Duration,
}

impl MissingSpeech {
    /// Returns the share of active speech that is missing, 0 to 1; 0 if the reference is silent.
    #[must_use]
    pub fn share(&self) -> f64 {
        let active = self.active.as_secs_f64();
        if active > 0.0 { self.total.as_secs_f64() / active } else { 0.0 }
    }
}

/// Finds silence in a recording where its reference speaks.
///
/// `lag` aligns them: reference sample i is recording sample `i + lag`. A frame of 10 ms is missing
/// if the reference is active in it (within 30 dB of its loudest) and the recording below -66.6 dBFS
/// or already over. A frame that speaks by the reference ends a gap only if it is heard; a pause of
/// the reference ends it too.
#[must_use]
pub fn missing_speech(reference: &[f32], recording: &[f32], lag: i64) -> MissingSpeech {
    let mut missing = MissingSpeech::default();
    let mut run = 0;
    for (frame, active) in level::active_frames(reference).into_iter().enumerate() {
        let silent = active && is_silent(recording, frame * FRAME_SAMPLES, lag);
        run = if silent { run + 1 } else { 0 };
        missing.active += FRAME * u32::from(active);
        missing.total += FRAME * u32::from(silent);
        if FRAME * run > missing.longest {
            missing.longest = FRAME * run;
            missing.longest_at = Some((frame + 1 - run as usize) * FRAME_SAMPLES);
        }
    }
    missing
}

/// Tells whether the recording is silent in the frame that begins at reference sample `start`.
pub(super) fn is_silent(recording: &[f32], start: usize, lag: i64) -> bool {
    let Ok(start) = usize::try_from(start as i64 + lag) else { return true };
    let end = (start + FRAME_SAMPLES).min(recording.len());
    recording.get(start..end).is_none_or(|pcm| level::rms_dbfs(pcm) < FRAME_SILENT_DBFS)
}

const FRAME: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: usize = super::super::SAMPLES_PER_MS;

    /// 200 ms tone, 200 ms pause, 600 ms tone.
    fn speech() -> Vec<f32> {
        let tone = |i: usize| 0.1 * (i as f32 * 0.0576).sin();
        (0..1_000 * MS)
            .map(|i| if (200 * MS..400 * MS).contains(&i) { 0.0 } else { tone(i) })
            .collect()
    }

    fn delayed(pcm: &[f32], lag: usize) -> Vec<f32> {
        let mut later = vec![0.0; lag];
        later.extend_from_slice(pcm);
        later
    }

    #[test]
    fn faithful_recording_misses_nothing() {
        let missing = missing_speech(&speech(), &delayed(&speech(), 777), 777);
        assert_eq!((missing.longest, missing.total), (Duration::ZERO, Duration::ZERO));
        assert_eq!((missing.active, missing.longest_at), (Duration::from_millis(800), None));
    }

    #[test]
    fn longest_gap_is_found_and_pauses_do_not_count() {
        let mut recording = speech();
        recording[100 * MS..450 * MS].fill(0.0);
        recording[700 * MS..760 * MS].fill(0.0);
        let missing = missing_speech(&speech(), &delayed(&recording, 96), 96);
        assert_eq!(missing.longest, Duration::from_millis(100));
        assert_eq!(missing.longest_at, Some(100 * MS));
        assert_eq!(missing.total, Duration::from_millis(210));
        assert!((missing.share() - 0.2625).abs() < 1e-9);
    }

    #[test]
    fn what_lies_outside_the_recording_is_missing() {
        let half = &speech()[..500 * MS];
        assert_eq!(missing_speech(&speech(), half, 0).longest, Duration::from_millis(500));
        assert_eq!(missing_speech(&speech(), &speech(), -300 * MS as i64).longest_at, Some(0));
        assert_eq!(missing_speech(&speech(), &[], 0).total, Duration::from_millis(800));
    }

    #[test]
    fn silent_reference_misses_nothing() {
        assert_eq!(missing_speech(&[0.0; 4_800], &[], 0), MissingSpeech::default());
        assert_eq!(MissingSpeech::default().share(), 0.0);
    }
}
