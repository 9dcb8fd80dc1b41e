//! Writes a recording to disk while it is heard.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    time::Duration,
};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::{DURATION_S_MAX, SAMPLE_RATE_HZ};

/// Writes 48 kHz mono 16-bit WAV, as it comes.
///
/// The header is brought up to date once a second of sound, on [`close`](Self::close) and on drop:
/// even a killed process leaves a file that plays.
pub struct WavRecorder {
    path: PathBuf,
    writer: WavWriter<BufWriter<File>>,
    samples_written: u64,
    samples_unflushed: usize,
}

impl WavRecorder {
    /// Creates the file, or empties the one that is there.
    ///
    /// # Errors
    /// `Unwritable` if the system refuses.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let writer =
            WavWriter::create(path, SPEC).map_err(|error| RecordError::unwritable(path, error))?;
        Ok(Self { path: path.to_owned(), writer, samples_written: 0, samples_unflushed: 0 })
    }

    /// Appends f32 mono PCM at 48 kHz; what is beyond full scale is clipped.
    ///
    /// # Errors
    /// `Unwritable` if the system refuses, `TooLong` if the recording would pass
    /// [`DURATION_S_MAX`]; then nothing of `pcm` is written.
    pub fn write(&mut self, pcm: &[f32]) -> Result<(), RecordError> {
        if self.samples_written + pcm.len() as u64 > SAMPLES_MAX {
            return Err(RecordError::TooLong { path: self.path.clone() });
        }
        for &sample in pcm {
            // `as` saturates, and turns what is not a number into silence.
            let sample = (sample * 32_768.0).round() as i16;
            self.writer.write_sample(sample).map_err(|e| RecordError::unwritable(&self.path, e))?;
        }
        self.samples_written += pcm.len() as u64;
        self.samples_unflushed += pcm.len();
        if self.samples_unflushed >= SAMPLE_RATE_HZ as usize {
            self.samples_unflushed = 0;
            self.writer.flush().map_err(|e| RecordError::unwritable(&self.path, e))?;
        }
        Ok(())
    }

    /// Finishes the file and returns how much sound it holds.
    ///
    /// Dropping finishes it too, but cannot report a failure.
    ///
    /// # Errors
    /// `Unwritable` if the system refuses the last bytes.
    pub fn close(self) -> Result<Duration, RecordError> {
        let duration = self.duration();
        self.writer.finalize().map_err(|error| RecordError::unwritable(&self.path, error))?;
        Ok(duration)
    }

    /// Returns how much sound was written.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.samples_written * 1_000_000 / u64::from(SAMPLE_RATE_HZ))
    }

    /// Returns where the recording goes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes one whole recording; see [`WavRecorder`].
///
/// # Errors
/// As [`WavRecorder::write`].
pub fn write_wav(path: &Path, pcm: &[f32]) -> Result<Duration, RecordError> {
    let mut recorder = WavRecorder::create(path)?;
    recorder.write(pcm)?;
    recorder.close()
}

/// Why a recording could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system refuses the file.
    #[error(
        "cannot write {}: {reason}; check that the folder exists, may be written and has room",
        path.display()
    )]
    Unwritable {
        /// The recording.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The recording has reached its greatest length.
    #[error(
        "the recording {} has reached {} hours; close it and begin another",
        path.display(), DURATION_S_MAX / 3_600
    )]
    TooLong {
        /// The recording.
        path: PathBuf,
    },
}

impl RecordError {
    fn unwritable(path: &Path, error: hound::Error) -> Self {
        let reason = match error {
            hound::Error::IoError(error) => error.to_string(),
            error => error.to_string(),
        };
        Self::Unwritable { path: path.to_owned(), reason }
    }
}

const SPEC: WavSpec = WavSpec {
    channels: 1,
    sample_rate: SAMPLE_RATE_HZ,
    bits_per_sample: 16,
    sample_format: SampleFormat::Int,
};

const SAMPLES_MAX: u64 = SAMPLE_RATE_HZ as u64 * DURATION_S_MAX as u64;
