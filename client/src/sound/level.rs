//! Levels of PCM, in dB against full scale.

use super::SAMPLES_PER_MS;

/// Returns the RMS level in dBFS; a sample of ±1.0 held throughout is 0. Never below
/// [`SILENCE_DBFS`].
#[must_use]
pub fn rms_dbfs(pcm: &[f32]) -> f32 {
    power_dbfs(power(pcm))
}

/// Returns the level of the greatest sample in dBFS, never below [`SILENCE_DBFS`].
#[must_use]
pub fn peak_dbfs(pcm: &[f32]) -> f32 {
    let peak = pcm.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    (20.0 * peak.log10()).max(SILENCE_DBFS)
}

/// Returns the RMS level of the active frames only, in dBFS: speech without its pauses.
///
/// Frames are those of [`active_frames`].
#[must_use]
pub fn active_level_dbfs(pcm: &[f32]) -> f32 {
    let frames = pcm.chunks_exact(FRAME_SAMPLES).zip(active_frames(pcm));
    let (sum, count) = frames
        .filter(|(_, active)| *active)
        .fold((0.0, 0u32), |(sum, count), (frame, _)| (sum + power(frame), count + 1));
    power_dbfs(sum / f64::from(count.max(1)))
}

/// Tells for each whole frame of 10 ms whether sound is active in it: within
/// [`ACTIVE_RANGE_DB`] of the loudest frame and above [`FRAME_SILENT_DBFS`].
#[must_use]
pub fn active_frames(pcm: &[f32]) -> Vec<bool> {
    let levels = frame_levels_dbfs(pcm);
    let loudest = levels.iter().copied().fold(SILENCE_DBFS, f32::max);
    let floor = (loudest - ACTIVE_RANGE_DB).max(FRAME_SILENT_DBFS);
    levels.into_iter().map(|level| level > floor).collect()
}

/// Returns the RMS level of each whole frame of 10 ms, in dBFS.
#[must_use]
pub fn frame_levels_dbfs(pcm: &[f32]) -> Vec<f32> {
    pcm.chunks_exact(FRAME_SAMPLES).map(rms_dbfs).collect()
}

/// Samples in the 10 ms frames in which activity and silence are judged.
pub const FRAME_SAMPLES: usize = 10 * SAMPLES_PER_MS;

/// How far below the loudest frame speech still counts, in dB. Chosen: the range of speech.
pub const ACTIVE_RANGE_DB: f32 = 30.0;

/// A frame below this level is silent, in dBFS: a power of 10^-6.5 less the 10^-7 that the usual
/// scorer adds to each frame.
pub const FRAME_SILENT_DBFS: f32 = -66.6;

/// The lowest level reported, in dBFS; chosen because it is under the 16-bit rounding noise.
pub const SILENCE_DBFS: f32 = -120.0;

/// Mean square.
fn power(pcm: &[f32]) -> f64 {
    let sum: f64 = pcm.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
    sum / pcm.len().max(1) as f64
}

fn power_dbfs(power: f64) -> f32 {
    ((10.0 * power.log10()) as f32).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn square_wave_at_full_scale_is_0_dbfs_and_a_sine_3_lower() {
        assert!(rms_dbfs(&[1.0, -1.0, 1.0]).abs() < 1e-6);
        let sine: Vec<f32> = (0..4_800).map(|i| (i as f32 * 0.1309).sin()).collect();
        assert!((rms_dbfs(&sine) + 3.01).abs() < 0.05);
        assert!(peak_dbfs(&sine).abs() < 0.05);
    }

    #[test]
    fn silence_and_nothing_have_the_lowest_level() {
        assert_eq!(rms_dbfs(&[]), SILENCE_DBFS);
        assert_eq!(peak_dbfs(&[0.0; 480]), SILENCE_DBFS);
        assert_eq!(active_level_dbfs(&[0.0; 960]), SILENCE_DBFS);
        assert_eq!(active_frames(&[0.0; 960]), [false, false]);
    }

    #[test]
    fn active_level_leaves_pauses_out() {
        let mut pcm = vec![0.1; 10 * FRAME_SAMPLES];
        pcm.extend(vec![0.0; 90 * FRAME_SAMPLES]);
        assert!((active_level_dbfs(&pcm) + 20.0).abs() < 0.01);
        assert!((rms_dbfs(&pcm) + 30.0).abs() < 0.01);
    }
}
