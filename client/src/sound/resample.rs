//! Brings whole clips to 48 kHz, offline.

use rubato::{
    Fft, FixedSync, Resampler, WindowFunction, audioadapter_buffers::direct::InterleavedSlice,
};

use super::SAMPLE_RATE_HZ;

/// Resamples mono PCM from `rate_hz` to 48 kHz; sample 0 stays sample 0.
///
/// The filter's delay is cut off, so an event at t seconds stays at t seconds; the length becomes
/// `samples.len() * 48000 / rate_hz`, rounded up. `rate_hz` must be 8,000 to 192,000.
pub(super) fn to_48_khz(samples: Vec<f32>, rate_hz: u32) -> Vec<f32> {
    if rate_hz == SAMPLE_RATE_HZ || samples.is_empty() {
        return samples;
    }
    let mut resampler = Fft::<f32>::new_custom(
        rate_hz as usize,
        SAMPLE_RATE_HZ as usize,
        chunk_samples(rate_hz),
        1,
        1,
        WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )
    .expect("both rates and the chunk size are above 0");
    let frames = samples.len();
    let input = InterleavedSlice::new(&samples, 1, frames)
        .expect("one channel of all samples fits the slice");
    let length = frames * SAMPLE_RATE_HZ as usize;
    let mut resampled = resampler
        .process_all(&input, frames, None)
        .expect("the resampler sizes its own output")
        .take_data();
    // rubato rounds in floating point, and may give one sample more.
    resampled.resize(length.div_ceil(rate_hz as usize), 0.0);
    resampled
}

/// Input samples filtered at once: a multiple of the smallest block that is whole at both rates,
/// and even, since the filter's centre is at half of it and must be a sample.
fn chunk_samples(rate_hz: u32) -> usize {
    let (mut divisor, mut rest) = (SAMPLE_RATE_HZ, rate_hz);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    let block = (rate_hz / divisor) as usize;
    CHUNK_SAMPLES.div_ceil(block).next_multiple_of(2) * block
}

/// Samples filtered at once, at least. Chosen because rubato asks for 100 to 1,000; more costs only
/// delay, which is cut off here, and makes the filter sharper.
const CHUNK_SAMPLES: usize = 1_024;
