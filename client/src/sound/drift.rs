//! How the delay of a recording changes over time.

use super::{
    SAMPLES_PER_MS,
    align::{Alignment, align},
    level,
};

/// The delay of one stretch of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowLag {
    /// The stretch's first sample in the reference.
    pub at: usize,
    /// Where it lies in the recording.
    pub alignment: Alignment,
}

/// A change of delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slip {
    /// First reference sample of the first stretch with the new delay.
    pub at: usize,
    /// By how many samples the recording became later; negative if earlier.
    pub samples: i64,
}

/// Aligns every 200 ms of the reference by itself, over windows of 400 ms.
///
/// Each is searched within `slack` samples around `lag`, the lag of the whole. Windows whose active
/// sound fills less than half, and those that match below [`CORRELATION_MIN`], are left out.
#[must_use]
pub fn lags_over_time(
    reference: &[f32],
    recording: &[f32],
    lag: i64,
    slack: u32,
) -> Vec<WindowLag> {
    let active = level::active_frames(reference);
    let frames = WINDOW_SAMPLES / level::FRAME_SAMPLES;
    let mut lags = Vec::new();
    for at in (0..reference.len()).step_by(HOP_SAMPLES) {
        let Some(window) = reference.get(at..at + WINDOW_SAMPLES) else { break };
        let first = at / level::FRAME_SAMPLES;
        let sounding = active[first..first + frames].iter().filter(|active| **active).count();
        if sounding * 2 < frames {
            continue;
        }
        let shift = i64::try_from(at).expect("a slice's length fits") + lag;
        let slack = i64::from(slack);
        let Ok(found) = align(window, recording, shift - slack..=shift + slack) else { continue };
        if found.correlation >= CORRELATION_MIN {
            lags.push(WindowLag {
                at,
                alignment: Alignment { lag: found.lag - (shift - lag), ..found },
            });
        }
    }
    lags
}

/// Returns the changes of delay of at least `samples_min` samples from one window to the next.
///
/// A gradual change smaller than that for each 200 ms, as clock drift is, gives none: compare the
/// first and the last window for it.
#[must_use]
pub fn slips(lags: &[WindowLag], samples_min: u32) -> Vec<Slip> {
    lags.windows(2)
        .filter_map(|pair| {
            let samples = pair[1].alignment.lag - pair[0].alignment.lag;
            let slipped = samples.unsigned_abs() >= u64::from(samples_min.max(1));
            slipped.then_some(Slip { at: pair[1].at, samples })
        })
        .collect()
}

/// The lowest correlation of a window that counts. Chosen above that of other speech (under 0.3
/// for whole clips); most windows of speech after two Opus generations stay above.
pub const CORRELATION_MIN: f32 = 0.5;

/// From one window to the next: 200 ms.
pub const HOP_SAMPLES: usize = 200 * SAMPLES_PER_MS;

/// A window's length: 400 ms, several syllables, so that a pitch period is no second match.
pub const WINDOW_SAMPLES: usize = 400 * SAMPLES_PER_MS;
