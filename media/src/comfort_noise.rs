//! Noise that stands for a room in which nobody is heard: silence sounds like a dead line.
//!
//! As loud as the quietest that was heard of late, as the appendix of RFC 3389 suggests.

/// Measures the noise of what is heard, and makes its like.
pub struct ComfortNoise {
    /// RMS of the room's noise.
    floor: f32,
    /// Whether any of it was heard.
    is_known: bool,
    /// RMS of what is made now; follows the floor slowly, so that nothing begins or ends suddenly.
    rms: f32,
    random: u64,
    smoothed: f32,
}

impl ComfortNoise {
    /// Makes a generator that knows no room yet, and makes the quietest noise until it does; equal
    /// seeds make equal noise.
    pub fn new(seed: u64) -> Self {
        Self { floor: RMS_MAX, is_known: false, rms: 0.0, random: seed, smoothed: 0.0 }
    }

    /// Learns from a stretch that was decoded from packets; at least 5 ms.
    pub fn hear(&mut self, heard: &[f32]) {
        let seconds = heard.len() as f32 / crate::codec::SAMPLE_RATE_HZ as f32;
        let energy: f32 = heard.iter().map(|sample| sample * sample).sum();
        let rms = (energy / heard.len().max(1) as f32).sqrt();
        self.floor = rms.min(self.floor * (1.0 + RISE * seconds)).clamp(RMS_MIN, RMS_MAX);
        self.is_known = true;
        self.rms = 0.0;
    }

    /// Fills a stretch with noise.
    pub fn fill(&mut self, silent: &mut [f32]) {
        let floor = if self.is_known { self.floor } else { RMS_MIN };
        for sample in silent {
            self.rms += (floor - self.rms) * ONSET_SHARE;
            *sample = self.next() * self.rms;
        }
    }

    /// Returns the RMS of the room's noise as it is known now.
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Returns the next sample of noise with an RMS of 1, low as that of a room.
    fn next(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let white = ((self.random >> 40) as f32 / (1 << 24) as f32 - 0.5) * WHITE_GAIN;
        self.smoothed += (white - self.smoothed) * LOW_PASS_SHARE;
        self.smoothed
    }
}

/// The quietest noise: -80 dBFS, under that of a quiet headset.
const RMS_MIN: f32 = 0.000_1;

/// The loudest: -55 dBFS. What is louder is a sound, not a room.
const RMS_MAX: f32 = 0.001_8;

/// How fast the floor rises, in each second: 3 dB, so that a sentence is not taken for a room.
const RISE: f32 = 0.41;

/// How fast the noise comes up in silence: in about 20 ms.
const ONSET_SHARE: f32 = 0.001;

/// A low-pass of the first order at 1.5 kHz.
const LOW_PASS_SHARE: f32 = 0.178;

/// Makes the RMS 1 behind the low-pass, whose output has the share a / (2 - a) of white noise's
/// power; that of a uniform variable between -1/2 and 1/2 is 1/12.
const WHITE_GAIN: f32 = 11.083;

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn noise_is_as_loud_as_the_room_was_between_words() {
        let mut source = ComfortNoise::new(7);
        let mut comfort = ComfortNoise::new(3);
        // A room at -60 dBFS, in which somebody speaks for two of three seconds.
        for block in 0..1_200 {
            let gain = if block % 600 < 400 { 0.1 } else { 0.001 };
            let heard: Vec<f32> = (0..240).map(|_| source.next() * gain).collect();
            comfort.hear(&heard);
        }
        let mut silent = [0.0; 48_000];
        comfort.fill(&mut silent);
        let ratio = rms(&silent[4_800..]) / 0.001;
        assert!((0.6..=1.2).contains(&ratio), "{ratio} of the room's");
        assert!(silent[0].abs() < 0.000_01, "it begins softly");
    }

    #[test]
    fn noise_is_bounded_whatever_was_heard() {
        for gain in [0.0, 1.0, f32::MAX] {
            let mut comfort = ComfortNoise::new(1);
            for _ in 0..4_000 {
                comfort.hear(&[gain; 240]);
            }
            let mut silent = [0.0; 9_600];
            comfort.fill(&mut silent);
            let rms = rms(&silent[4_800..]);
            assert!((RMS_MIN * 0.8..=RMS_MAX * 1.2).contains(&rms), "{gain}: {rms}");
        }
    }
}
