//! Finds where in a recording a known piece of sound is.

use std::ops::RangeInclusive;

use super::{
    SAMPLE_RATE_HZ,
    correlate::{Correlator, Energy},
};

/// Where and how a reference lies in a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// Samples by which the recording is later: reference sample i is recording sample `i + lag`.
    pub lag: i64,
    /// Normalised correlation there: 1 is the same waveform, below 0.3 there is hardly a match.
    pub correlation: f32,
    /// Factor that takes the reference closest to the recording (least squares).
    ///
    /// Other sound mixed in hardly changes it, but what a codec distorts is missing from it:
    /// measured a quarter, after two Opus generations at 32 kbit/s of speech with noise. For a
    /// level, compare those of [`level`](super::level).
    pub gain: f32,
}

/// Finds the lag in `lags` at which the recording correlates best with the reference.
///
/// The result does not depend on gain. What lies outside the recording counts as silence.
///
/// # Errors
/// `EmptyRange` if `lags` holds none, `SilentReference` if the reference has nothing to match,
/// `TooLong` if it has over [`REFERENCE_SAMPLES_MAX`] samples or the range over
/// [`LAGS_MAX`] lags.
pub fn align(
    reference: &[f32],
    recording: &[f32],
    lags: RangeInclusive<i64>,
) -> Result<Alignment, AlignError> {
    let (first, last) = (*lags.start(), *lags.end());
    if lags.is_empty() {
        return Err(AlignError::EmptyRange { first, last });
    }
    let searched = first.abs_diff(last).saturating_add(1);
    let searched = usize::try_from(searched).unwrap_or(usize::MAX);
    if reference.len() > REFERENCE_SAMPLES_MAX || searched > LAGS_MAX {
        return Err(AlignError::TooLong { reference: reference.len(), lags: searched });
    }
    let reference_energy = Energy::new(reference).of(0, reference.len());
    if reference_energy < ENERGY_MIN {
        return Err(AlignError::SilentReference);
    }

    let around = stretch(recording, first, reference.len() + searched - 1);
    let energy = Energy::new(&around);
    let mut best = Alignment { lag: first, correlation: 0.0, gain: 0.0 };
    let correlator = Correlator::new(&[reference], searched.min(reference.len().max(4_096)));
    correlator.correlate(&around, |_, start, products| {
        for (k, &product) in products.iter().enumerate() {
            let energy = energy.of(start + k, reference.len());
            if energy < ENERGY_MIN {
                continue;
            }
            let correlation = (f64::from(product) / (energy * reference_energy).sqrt()) as f32;
            if correlation > best.correlation {
                let lag = first + i64::try_from(start + k).expect("bounded by LAGS_MAX");
                let gain = (f64::from(product) / reference_energy) as f32;
                best = Alignment { lag, correlation, gain };
            }
        }
    });
    Ok(best)
}

/// Why an alignment cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlignError {
    /// The range of lags is empty.
    #[error("the lags {first} to {last} are an empty range; give the lower one first")]
    EmptyRange {
        /// First lag asked for.
        first: i64,
        /// Last lag asked for.
        last: i64,
    },
    /// The reference is silent or empty.
    #[error("the reference is silent; choose a stretch that holds sound")]
    SilentReference,
    /// The reference or the search is too long.
    #[error(
        "a reference of {reference} samples over {lags} lags is too long; the limits are \
         {REFERENCE_SAMPLES_MAX} and {LAGS_MAX}: align in pieces"
    )]
    TooLong {
        /// Samples of the reference.
        reference: usize,
        /// Lags to search.
        lags: usize,
    },
}

/// The longest reference: 2 minutes, in samples; chosen as its transform takes three buffers of
/// up to 134 MB.
pub const REFERENCE_SAMPLES_MAX: usize = 120 * SAMPLE_RATE_HZ as usize;

/// The widest search: 2 hours, in samples; as long as a recording may be.
pub const LAGS_MAX: usize = 7_200 * SAMPLE_RATE_HZ as usize;

/// Energy below which there is nothing to match: one sample at -80 dBFS.
const ENERGY_MIN: f64 = 1e-8;

/// `samples` samples of the recording from `first` on, silent where it has none.
fn stretch(recording: &[f32], first: i64, samples: usize) -> Vec<f32> {
    let lead = usize::try_from(first.saturating_neg()).unwrap_or(0).min(samples);
    let skip = usize::try_from(first).unwrap_or(0).min(recording.len());
    let mut around = vec![0.0; samples];
    for (to, from) in around[lead..].iter_mut().zip(&recording[skip..]) {
        *to = *from;
    }
    around
}
