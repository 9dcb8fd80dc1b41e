//! Reads WAV files of any common shape as f32 mono at 48 kHz.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::RangeInclusive,
    path::Path,
};

use hound::{SampleFormat, WavReader, WavSpec};

use super::{DURATION_S_MAX, clip::ReadError, resample};

/// Reads a WAV file: 8, 16, 24 or 32-bit integers or 32-bit floats, 8 to 192 kHz, any number of
/// channels (averaged into one), resampled to 48 kHz with sample 0 staying sample 0.
///
/// # Errors
/// `Unreadable`, `Malformed`, `UnsupportedRate`, `Truncated`, `TooLong` or `Empty`.
pub fn read_wav(path: &Path) -> Result<Vec<f32>, ReadError> {
    let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let size_bytes = file.metadata().map_err(unreadable)?.len();
    let mut reader =
        WavReader::new(BufReader::new(file)).map_err(|error| read_error(path, error))?;
    check(path, &reader, size_bytes)?;

    let spec = reader.spec();
    let mono = match spec.sample_format {
        SampleFormat::Float => mono(reader.samples::<f32>(), spec, |sample| sample),
        SampleFormat::Int => {
            let scale = 1.0 / (1u64 << (spec.bits_per_sample - 1)) as f32;
            mono(reader.samples::<i32>(), spec, |sample| sample as f32 * scale)
        }
    }
    .map_err(|error| read_error(path, error))?;
    if let Some(frame) = mono.iter().position(|sample| !sample.is_finite()) {
        let reason = format!("sample {frame} is not a number");
        return Err(ReadError::Malformed { path: path.to_owned(), reason });
    }
    Ok(resample::to_48_khz(mono, spec.sample_rate))
}

/// Refuses, before any sound is read, what cannot be read or held.
fn check<R: Read>(path: &Path, reader: &WavReader<R>, size_bytes: u64) -> Result<(), ReadError> {
    let path = path.to_owned();
    let (spec, frames) = (reader.spec(), u64::from(reader.duration()));
    let rate_hz = spec.sample_rate;
    if !RATES_HZ.contains(&rate_hz) {
        return Err(ReadError::UnsupportedRate { path, rate_hz });
    }
    if !(1..=32).contains(&spec.bits_per_sample) {
        let reason = format!("{} bits a sample", spec.bits_per_sample);
        return Err(ReadError::Malformed { path, reason });
    }
    if frames == 0 {
        return Err(ReadError::Empty { path });
    }
    let promised_bytes = u64::from(reader.len()) * u64::from(spec.bits_per_sample / 8);
    if promised_bytes > size_bytes {
        return Err(ReadError::Truncated {
            path,
            promised_ms: frames * 1_000 / u64::from(rate_hz),
        });
    }
    if frames > u64::from(rate_hz) * u64::from(DURATION_S_MAX) {
        return Err(ReadError::TooLong { path });
    }
    Ok(())
}

/// Averages the channels of each frame.
fn mono<S>(
    samples: impl ExactSizeIterator<Item = hound::Result<S>>,
    spec: WavSpec,
    to_f32: impl Fn(S) -> f32,
) -> hound::Result<Vec<f32>> {
    let channels = usize::from(spec.channels);
    let mut mono = Vec::with_capacity(samples.len() / channels);
    let (mut sum, mut channel) = (0.0, 0);
    for sample in samples {
        sum += to_f32(sample?);
        channel += 1;
        if channel == channels {
            mono.push(sum / channels as f32);
            (sum, channel) = (0.0, 0);
        }
    }
    Ok(mono)
}

fn read_error(path: &Path, error: hound::Error) -> ReadError {
    let path = path.to_owned();
    match error {
        // hound reports a file that is too short as an error of no particular kind.
        hound::Error::IoError(source) if source.kind() == io::ErrorKind::Other => {
            ReadError::Malformed { path, reason: "it ends too early".to_owned() }
        }
        hound::Error::IoError(source) => ReadError::Unreadable { path, source },
        error => ReadError::Malformed { path, reason: error.to_string() },
    }
}

/// Rates that are read, in Hz: from telephony's up to the highest that recorders offer.
const RATES_HZ: RangeInclusive<u32> = 8_000..=192_000;
