//! Tones: easy to say, and easy to find in what was heard.

use std::sync::Arc;

use sabha_client::media::{Schedule, Source, Utterance};

/// A voice that holds a tone for a quarter of an hour: longer than any test.
pub fn tone(hz: f32, amplitude: f32) -> Box<dyn Source> {
    let turn = std::f32::consts::TAU * hz / RATE_HZ;
    // One second, begun again each second: whole periods for every whole number of hertz.
    let samples: Arc<[f32]> =
        (0..RATE_HZ as usize).map(|at| amplitude * (turn * at as f32).sin()).collect();
    let again =
        |second: u64| Utterance { start: second * RATE_HZ as u64, samples: samples.clone() };
    Box::new(Schedule::new((0..900).map(again).collect(), 0.0, 1))
}

/// A microphone in a room: noise of this RMS, and nobody speaks.
pub fn noise(rms: f32, seed: u64) -> Box<dyn Source> {
    Box::new(Schedule::new(Vec::new(), rms, seed))
}

/// The amplitude of a tone in a piece of sound. Source: Goertzel's algorithm.
pub fn amplitude(samples: &[f32], hz: f32) -> f32 {
    let turn = f64::from(std::f32::consts::TAU * hz / RATE_HZ);
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let (sin, cos) = (turn * at as f64).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
    }
    ((re * re + im * im).sqrt() * 2.0 / samples.len().max(1) as f64) as f32
}

/// The amplitudes of a tone in each fifth of a second of the last second; none before that.
pub fn last_second(samples: &[f32], hz: f32) -> Option<Vec<f32>> {
    let second = RATE_HZ as usize;
    let last = samples.get(samples.len().checked_sub(second)?..)?;
    Some(last.chunks(second / 5).map(|part| amplitude(part, hz)).collect())
}

/// Whether all of these are near a value, by a share of it.
pub fn all_near(values: &[f32], wanted: f32, share: f32) -> bool {
    values.iter().all(|value| (value / wanted - 1.0).abs() <= share)
}

const RATE_HZ: f32 = 48_000.0;
