//! Voices, noises and rooms for a microphone, and measures of what became of them.
#![allow(dead_code, clippy::unwrap_used)]

use sabha_client::processing::{BLOCK_SAMPLES, Block};
use sabha_client::sound::built_in::built_in_clips;
use sabha_client::sound::level::{active_frames, active_level_dbfs};

/// What one built-in voice says.
pub fn voice(name: &str) -> Vec<f32> {
    built_in_clips().into_iter().find(|clip| clip.name == name).unwrap().samples
}

/// A voice at a level of its speech, in dBFS, clipped as a device clips.
pub fn voice_at(name: &str, level_dbfs: f32) -> Vec<f32> {
    let voice = voice(name);
    let gain = 10f32.powf((level_dbfs - active_level_dbfs(&voice)) / 20.0);
    voice.iter().map(|sample| (sample * gain).clamp(-1.0, 1.0)).collect()
}

/// A generator of noise; the seed is fixed.
pub struct Noise(u64);

impl Noise {
    pub fn new() -> Self {
        Self(11)
    }

    /// White noise of this RMS in dBFS.
    pub fn white(&mut self, samples: usize, level_dbfs: f32) -> Vec<f32> {
        let factor = 12f32.sqrt() * 10f32.powf(level_dbfs / 20.0);
        (0..samples).map(|_| self.next() * factor).collect()
    }

    /// Pink noise of this RMS in dBFS, by P. Kellet's filter.
    pub fn pink(&mut self, samples: usize, level_dbfs: f32) -> Vec<f32> {
        let (mut slow, mut middle, mut fast) = (0.0, 0.0, 0.0);
        let mut filter = |white: f32| {
            slow = 0.997_65 * slow + white * 0.099_046;
            middle = 0.963 * middle + white * 0.296_516_4;
            fast = 0.57 * fast + white * 1.052_691_3;
            slow + middle + fast + white * 0.184_8
        };
        let pink: Vec<f32> = self.white(samples, 0.0).into_iter().map(&mut filter).collect();
        let rms = (energy(&pink) / samples as f32).sqrt();
        pink.iter().map(|sample| sample / rms * 10f32.powf(level_dbfs / 20.0)).collect()
    }

    /// Uniform between -1/2 and 1/2.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 40) as f32 / (1 << 24) as f32 - 0.5
    }
}

/// What a microphone hears of a loudspeaker 60 ms away at -10 dB.
pub fn echo(far: &[f32]) -> Vec<f32> {
    let mut echo = vec![0.0; 60 * 48];
    echo.extend(far.iter().map(|sample| sample * 10f32.powf(-10.0 / 20.0)));
    echo.truncate(far.len());
    echo
}

pub fn sum(one: &[f32], other: &[f32]) -> Vec<f32> {
    one.iter().zip(other).map(|(one, other)| one + other).collect()
}

/// Runs sound through a stage, block by block.
pub fn through(input: &[f32], mut stage: impl FnMut(usize, &Block) -> Block) -> Vec<f32> {
    let (blocks, _) = input.as_chunks::<BLOCK_SAMPLES>();
    blocks.iter().enumerate().flat_map(|(index, block)| stage(index, block)).collect()
}

/// One block of a sound.
pub fn block(sound: &[f32], index: usize) -> &Block {
    &sound.as_chunks::<BLOCK_SAMPLES>().0[index]
}

pub fn energy(sound: &[f32]) -> f32 {
    sound.iter().map(|sample| sample * sample).sum()
}

pub fn db(ratio: f32) -> f32 {
    10.0 * ratio.log10()
}

/// Segmental signal-to-noise ratio in dB, over the frames in which the voice is active, each
/// between -10 and 35.
pub fn segmental_snr(voice: &[f32], heard: &[f32]) -> f32 {
    let (voices, _) = voice.as_chunks::<BLOCK_SAMPLES>();
    let (heards, _) = heard.as_chunks::<BLOCK_SAMPLES>();
    let active = active_frames(voice);
    let ratio = |((voice, heard), _): ((&Block, &Block), bool)| {
        let noise: f32 = voice.iter().zip(heard).map(|(v, h)| (h - v) * (h - v)).sum();
        db(energy(voice) / (noise + 1e-12)).clamp(-10.0, 35.0)
    };
    let frames = voices.iter().zip(heards).zip(active).filter(|(_, active)| *active);
    let ratios: Vec<f32> = frames.map(ratio).collect();
    ratios.iter().sum::<f32>() / ratios.len() as f32
}
