//! Where a member's sound comes from and goes to.

use std::sync::{Arc, Mutex, PoisonError};

use sabha_media::codec::{FRAME_SAMPLES, Frame};

use crate::sound::WavRecorder;

/// Gives a member's voice, frame by frame. Called on the media thread: must not block.
pub trait Source: Send {
    /// Fills the next frame; false once there is nothing more to say, and silence was filled in.
    fn fill(&mut self, frame: &mut Frame) -> bool;
}

/// Takes what a member hears, a few milliseconds at a time. Called on the media thread.
pub trait Sink: Send {
    /// Takes the next samples.
    fn play(&mut self, samples: &[f32]);

    /// Completes whatever was being written.
    ///
    /// # Errors
    /// What went wrong, in `play` or now, with the file's name.
    fn finish(self: Box<Self>) -> std::io::Result<()>;
}

/// Something to be said at a certain time.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// The sample at which it begins.
    pub start: u64,
    /// What is said, at 48 kHz.
    pub samples: Arc<[f32]>,
}

/// A voice that says utterances at their times, over faint noise, as a microphone would hear it.
pub struct Schedule {
    utterances: Vec<Utterance>,
    noise_rms: f32,
    random: u64,
    position: u64,
    end: u64,
}

impl Schedule {
    /// Says all of `utterances`, overlapping ones summed, over noise of this RMS (0 is none).
    pub fn new(utterances: Vec<Utterance>, noise_rms: f32, seed: u64) -> Self {
        let ends = utterances.iter().map(|said| said.start + said.samples.len() as u64);
        let end = ends.max().unwrap_or(0);
        Self { utterances, noise_rms, random: seed, position: 0, end }
    }

    /// Returns all that is said from the beginning to the last utterance's end, without noise.
    pub fn reference(&self) -> Vec<f32> {
        let mut all = vec![0.0; usize::try_from(self.end).unwrap_or(0)];
        for said in &self.utterances {
            let start = usize::try_from(said.start).unwrap_or(0);
            for (sample, spoken) in all[start..].iter_mut().zip(&said.samples[..]) {
                *sample += spoken;
            }
        }
        all
    }

    fn noise(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(LCG_FACTOR).wrapping_add(LCG_TERM);
        let unit = (self.random >> 40) as f32 / (1 << 24) as f32;
        // A uniform variable between -1/2 and 1/2 has an RMS of 1 / sqrt(12).
        (unit - 0.5) * 12f32.sqrt() * self.noise_rms
    }
}

impl Source for Schedule {
    fn fill(&mut self, frame: &mut Frame) -> bool {
        for sample in frame.iter_mut() {
            *sample = self.noise();
        }
        let (begin, end) = (self.position, self.position + FRAME_SAMPLES as u64);
        for said in &self.utterances {
            let said_end = said.start + said.samples.len() as u64;
            for at in begin.max(said.start)..end.min(said_end) {
                frame[(at - begin) as usize] += said.samples[(at - said.start) as usize];
            }
        }
        self.position = end;
        end < self.end
    }
}

/// Keeps what was heard in memory; clones share it.
#[derive(Clone, Default)]
pub struct BufferSink(Arc<Mutex<Vec<f32>>>);

impl BufferSink {
    /// Returns what was heard so far.
    pub fn samples(&self) -> Vec<f32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for BufferSink {
    fn play(&mut self, samples: &[f32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(samples);
    }

    fn finish(self: Box<Self>) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes a WAV file; after a failed write the rest is dropped and the failure told at the end.
pub struct WavSink {
    recorder: WavRecorder,
    failure: Option<std::io::Error>,
}

impl WavSink {
    /// Writes to a recorder.
    pub fn new(recorder: WavRecorder) -> Self {
        Self { recorder, failure: None }
    }
}

impl Sink for WavSink {
    fn play(&mut self, samples: &[f32]) {
        if self.failure.is_none()
            && let Err(error) = self.recorder.write(samples)
        {
            self.failure = Some(std::io::Error::other(error));
        }
    }

    fn finish(self: Box<Self>) -> std::io::Result<()> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.recorder.close().map(|_| ()).map_err(std::io::Error::other)
    }
}

/// Multiplier and increment of Knuth's MMIX generator; only for noise.
const LCG_FACTOR: u64 = 6_364_136_223_846_793_005;
const LCG_TERM: u64 = 1_442_695_040_888_963_407;
