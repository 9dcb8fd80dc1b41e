//! Finds marks in recordings.

use std::f32::consts::TAU;

use super::{
    SAMPLE_RATE_HZ,
    correlate::{Correlator, Energy},
    mark::{BAND_HIGH_HZ, BAND_LOW_HZ, MARK_SAMPLES, Mark},
};

/// A mark that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarkHit {
    /// Which mark.
    pub mark: Mark,
    /// The sample at which it begins.
    pub at: usize,
    /// How much of the sound there is this mark: its normalised correlation, above
    /// [`SCORE_MIN`] and up to 1.
    pub score: f32,
    /// Its level as a factor of the mark as made.
    pub gain: f32,
}

/// Finds all 16 marks by matched filters, in the marks' band only.
///
/// The score is normalised by the sound around, so it does not depend on gain. Costs about 12 ms
/// of CPU for each second of sound.
pub struct MarkDetector {
    band_pass: Correlator,
    marks: Correlator,
    /// Energy of each filtered mark.
    energies: Vec<f32>,
}

impl MarkDetector {
    /// Prepares the filters.
    #[must_use]
    pub fn new() -> Self {
        let taps = band_pass_taps();
        let band_pass = Correlator::new(&[&taps], BLOCK_LAGS);
        let marks: Vec<Vec<f32>> =
            Mark::all().map(|mark| filter(&band_pass, &mark.samples())).collect();
        let energies = marks.iter().map(|mark| mark.iter().map(|s| s * s).sum()).collect();
        let views: Vec<&[f32]> = marks.iter().map(Vec::as_slice).collect();
        Self { marks: Correlator::new(&views, BLOCK_LAGS), energies, band_pass }
    }

    /// Returns every mark in the recording by position, then by number.
    ///
    /// Of one mark, only the best within its own length is given; different marks may overlap. A
    /// mark that is cut at either end of the recording is found if most of it is there.
    #[must_use]
    pub fn detect(&self, recording: &[f32]) -> Vec<MarkHit> {
        // Silence around, so that marks at the very ends are found.
        let mut padded = vec![0.0; recording.len() + 2 * PAD_SAMPLES];
        padded[PAD_SAMPLES..PAD_SAMPLES + recording.len()].copy_from_slice(recording);
        let filtered = filter(&self.band_pass, &padded);
        let energy = Energy::new(&filtered);
        let mut best: [Vec<MarkHit>; 16] = Default::default();
        self.marks.correlate(&filtered, |variant, first, products| {
            let mark = u8::try_from(variant).ok().and_then(Mark::new).expect("16 templates");
            let mark_energy = self.energies[variant];
            for (k, product) in products.iter().enumerate() {
                let around = energy.of(first + k, MARK_SAMPLES) as f32;
                let score = product / (mark_energy * around).sqrt();
                if around < ENERGY_MIN || score < SCORE_MIN {
                    continue;
                }
                let at = (first + k).saturating_sub(PAD_SAMPLES);
                keep_best(
                    &mut best[variant],
                    MarkHit { mark, at, score, gain: product / mark_energy },
                );
            }
        });
        let mut hits: Vec<MarkHit> = best.into_iter().flatten().collect();
        hits.sort_by_key(|hit| (hit.at, hit.mark));
        hits
    }
}

impl Default for MarkDetector {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds a hit of the same mark, unless a better one lies within a mark's length before it.
fn keep_best(hits: &mut Vec<MarkHit>, hit: MarkHit) {
    match hits.last_mut() {
        Some(last) if hit.at - last.at < MARK_SAMPLES => {
            if hit.score > last.score {
                *last = hit;
            }
        }
        _ => hits.push(hit),
    }
}

/// Applies a symmetric filter, keeping length and position.
fn filter(taps: &Correlator, signal: &[f32]) -> Vec<f32> {
    let mut padded = vec![0.0; signal.len() + TAPS - 1];
    padded[TAPS / 2..TAPS / 2 + signal.len()].copy_from_slice(signal);
    let mut filtered = Vec::with_capacity(signal.len());
    taps.correlate(&padded, |_, _, products| filtered.extend_from_slice(products));
    filtered
}

/// A windowed-sinc band-pass over the marks' band; odd and symmetric, so it delays by `TAPS / 2`.
fn band_pass_taps() -> Vec<f32> {
    let low_pass = |cut_hz: f32, t: f32| {
        let turn = TAU * cut_hz / SAMPLE_RATE_HZ as f32;
        if t == 0.0 { turn / (TAU / 2.0) } else { (turn * t).sin() / (TAU / 2.0 * t) }
    };
    (0..TAPS)
        .map(|i| {
            let t = i as f32 - (TAPS / 2) as f32;
            let window = 0.5 + 0.5 * (TAU * t / (TAPS + 1) as f32).cos();
            window * (low_pass(BAND_HIGH_HZ + EDGE_HZ, t) - low_pass(BAND_LOW_HZ - EDGE_HZ, t))
        })
        .collect()
}

/// The lowest score that counts as a mark.
///
/// Measured on eight clips of recorded and synthetic speech: what is no mark stays at or below
/// 0.37; marks in speech, after two Opus generations at 32 kbit/s, score at least 0.49 (in the
/// median of a clip 0.80 to 0.87) and are placed within 5 samples. Marks at half that level can
/// fall to 0.26, and are then missed.
pub const SCORE_MIN: f32 = 0.42;

/// A mark's least energy in its band: a -70 dBFS sine over its length; below is codec noise.
const ENERGY_MIN: f32 = 1e-7 * 0.5 * MARK_SAMPLES as f32;

/// Taps of the band-pass: 10.6 ms, for edges about 300 Hz wide.
const TAPS: usize = 511;

/// How far beyond the marks' band the filter is still open, in Hz.
const EDGE_HZ: f32 = 100.0;

/// Lags for each FFT block; with a mark's length just under 8,192.
const BLOCK_LAGS: usize = 6_000;

/// Silence put around a recording.
const PAD_SAMPLES: usize = MARK_SAMPLES / 2;
