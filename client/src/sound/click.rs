//! Clicks in a steady tone: steps that the tone itself does not make.

use std::ops::Range;

/// The greatest difference of two neighbouring samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Index of the second of the two samples.
    pub at: usize,
    /// Their absolute difference; full scale is 1.0.
    pub size: f32,
}

/// How a recording's greatest step compares with that of its steady part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClickReport {
    /// The greatest step in the whole recording.
    pub largest: Step,
    /// The greatest step in the steady part.
    pub steady: Step,
}

impl ClickReport {
    /// Returns the greatest step as a multiple of the steady one; 1.0 or more.
    #[must_use]
    pub fn ratio(&self) -> f32 {
        self.largest.size / self.steady.size
    }

    /// Tells whether the recording clicks: a ratio above [`CLICK_RATIO_MAX`].
    #[must_use]
    pub fn is_click(&self) -> bool {
        self.ratio() > CLICK_RATIO_MAX
    }
}

/// Looks for clicks in a recorded tone whose samples `steady` are known to be undisturbed.
///
/// Returns `None` if the steady part reaches beyond the recording or holds no sound.
#[must_use]
pub fn find_click(recording: &[f32], steady: Range<usize>) -> Option<ClickReport> {
    let start = steady.start;
    let steady = largest_step(recording.get(steady)?)?;
    if steady.size <= 0.0 {
        return None;
    }
    let steady = Step { at: steady.at + start, ..steady };
    Some(ClickReport { largest: largest_step(recording)?, steady })
}

/// Returns the greatest step between neighbouring samples, the first of equals; `None` below two
/// samples.
#[must_use]
pub fn largest_step(pcm: &[f32]) -> Option<Step> {
    let steps = pcm.windows(2).enumerate();
    let steps = steps.map(|(i, pair)| Step { at: i + 1, size: (pair[1] - pair[0]).abs() });
    steps.reduce(|largest, step| if step.size > largest.size { step } else { largest })
}

/// The greatest ratio without a click. Chosen: half as much again is at the edge of audibility.
pub const CLICK_RATIO_MAX: f32 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;

    fn tone() -> Vec<f32> {
        (0..48_000).map(|i| 0.1 * (i as f32 * 0.0576).sin()).collect()
    }

    #[test]
    fn steady_tone_has_no_click() {
        let report = find_click(&tone(), 4_800..9_600).unwrap();
        assert!(!report.is_click() && report.ratio() < 1.01);
    }

    #[test]
    fn dropped_half_period_is_a_click_where_it_happened() {
        let mut pcm = tone();
        pcm.drain(20_000..20_054);
        let report = find_click(&pcm, 4_800..9_600).unwrap();
        assert!(report.is_click());
        assert_eq!(report.largest.at, 20_000);
    }

    #[test]
    fn steady_part_without_sound_or_outside_is_refused() {
        assert_eq!(find_click(&[0.0; 100], 0..50), None);
        assert_eq!(find_click(&tone(), 47_000..49_000), None);
        assert_eq!(largest_step(&[1.0]), None);
    }
}
