//! A named piece of sound, and the folders it comes from.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{DURATION_S_MAX, SAMPLE_RATE_HZ, ogg_opus, wav};

/// A piece of sound that a member plays.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// What reports call it: the file's name without its ending.
    pub name: String,
    /// f32 mono PCM at 48 kHz, full scale 1.0.
    pub samples: Vec<f32>,
}

impl Clip {
    /// Reads a `.wav` or `.opus` file, by its ending.
    ///
    /// # Errors
    /// Every variant of [`ReadError`] but `EmptyFolder`; `UnknownEnding` for any other file.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let samples = match SoundFile::of(path) {
            Some(SoundFile::Wav) => wav::read_wav(path)?,
            Some(SoundFile::Opus) => ogg_opus::read_opus(path)?,
            None => return Err(ReadError::UnknownEnding { path: path.to_owned() }),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, samples })
    }

    /// Returns the clip's length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE_HZ)
    }
}

/// Reads every `.wav` and `.opus` file of a folder, sorted by file name.
///
/// Other files, and folders within, are passed over.
///
/// # Errors
/// `EmptyFolder` if there is none, `TooManyClips` above [`CLIPS_MAX`], otherwise as [`Clip::read`].
pub fn read_speech_dir(dir: &Path) -> Result<Vec<Clip>, ReadError> {
    let unreadable = |source| ReadError::Unreadable { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if SoundFile::of(&path).is_some() && path.is_file() {
            paths.push(path);
        }
        if paths.len() > CLIPS_MAX {
            return Err(ReadError::TooManyClips { path: dir.to_owned() });
        }
    }
    if paths.is_empty() {
        return Err(ReadError::EmptyFolder { path: dir.to_owned() });
    }
    paths.sort();
    paths.iter().map(|path| Clip::read(path)).collect()
}

/// Why sound could not be read. Each message names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file or folder cannot be opened or read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder holds no sound.
    #[error("{} holds no .wav or .opus file; put at least one there", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds more sound than is read.
    #[error(
        "{} holds more than {CLIPS_MAX} sound files; move some elsewhere or name a smaller folder",
        path.display()
    )]
    TooManyClips {
        /// The folder.
        path: PathBuf,
    },
    /// The name ends neither in `.wav` nor in `.opus`.
    #[error(
        "{} ends neither in .wav nor in .opus; convert it, for example with: sox IN OUT.wav",
        path.display()
    )]
    UnknownEnding {
        /// The file.
        path: PathBuf,
    },
    /// The content is not what the ending says, or is damaged.
    #[error(
        "{} is not a sound file that can be read: {reason}; convert it again, for example with: \
         sox IN -b 16 OUT.wav",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong inside.
        reason: String,
    },
    /// The sound is sampled outside 8 to 192 kHz.
    #[error(
        "{} is sampled at {rate_hz} Hz, outside 8000 to 192000; convert it, for example with: \
         sox IN -r 48000 OUT.wav",
        path.display()
    )]
    UnsupportedRate {
        /// The file.
        path: PathBuf,
        /// Its rate.
        rate_hz: u32,
    },
    /// The file ends before the length that its header states.
    #[error(
        "{} ends early: its header promises {promised_ms} ms of sound; copy or export it again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Length by the header, in ms.
        promised_ms: u64,
    },
    /// The sound is longer than [`DURATION_S_MAX`].
    #[error(
        "{} is longer than {} hours; cut it, for example with: sox IN OUT trim 0 3600",
        path.display(), DURATION_S_MAX / 3_600
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The sound has no samples.
    #[error("{} holds no sound at all; choose another file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The most sound files that one folder may hold; chosen because each is held in memory.
pub const CLIPS_MAX: usize = 1_000;

enum SoundFile {
    Wav,
    Opus,
}

impl SoundFile {
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "wav" => Some(Self::Wav),
            "opus" => Some(Self::Opus),
            _ => None,
        }
    }
}
