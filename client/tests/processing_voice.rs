//! That noise goes and words stay whole, and that all voices come out equally loud.
#![allow(clippy::unwrap_used)]

use sabha_client::processing::{BLOCK_SAMPLES, GainControl, NoiseSuppressor, SPEECH_LEVEL_DBOV};
use sabha_client::sound::level::{active_level_dbfs, peak_dbfs, rms_dbfs};
use sabha_media::limiter::CEILING;

mod processing_support;
use processing_support::{Noise, db, energy, sum, through, voice, voice_at};

const SECOND: usize = 48_000;

fn suppress(input: &[f32]) -> Vec<f32> {
    let mut suppressor = NoiseSuppressor::new();
    let heard = through(input, |_, block| suppressor.handle_block(block).block);
    heard[BLOCK_SAMPLES..].to_vec()
}

#[test]
fn noise_of_30_dbfs_is_30_db_lower_in_pauses_and_the_voice_stays() {
    let clips = [voice("carla"), voice("dev"), voice("carla")].concat();
    let silence = vec![0.0; 2 * SECOND];
    let said = [silence.clone(), clips, silence].concat();
    for pink in [false, true] {
        let mut noise = Noise::new();
        let noise = match pink {
            true => noise.pink(said.len(), -30.0),
            false => noise.white(said.len(), -30.0),
        };
        let heard = suppress(&sum(&said, &noise));
        // After the last word there is noise alone, before it mostly speech.
        let rest = rms_dbfs(&heard[heard.len() - SECOND..]);
        let speech = &heard[2 * SECOND..heard.len() - 2 * SECOND];
        let gain = dot(speech, &said[2 * SECOND..]) / energy(&said);
        println!("pink {pink}: noise at {rest:.1} dBFS, voice at {:.2} dB", 2.0 * db(gain));
        assert!(rest - 2.0 * db(gain) <= -60.0, "{rest} dBFS of noise are left");
        assert!(2.0 * db(gain) > -1.5, "the voice is {:.1} dB lower", 2.0 * db(gain));
    }
}

#[test]
fn onset_after_a_pause_is_not_eaten() {
    let clip = voice("carla");
    let onset = clip.iter().position(|sample| sample.abs() > 0.02).unwrap();
    let start = 2 * SECOND;
    let said = [vec![0.0; start], clip].concat();
    let heard = suppress(&sum(&said, &Noise::new().pink(said.len(), -50.0)));
    let first = start + onset..start + onset + 100 * 48;
    let kept = dot(&heard[first.clone()], &said[first.clone()]) / energy(&said[first]);
    println!("{:.2} dB of the first 100 ms", 2.0 * db(kept));
    assert!(2.0 * db(kept) > -2.0, "{:.1} dB", 2.0 * db(kept));
}

#[test]
fn quiet_and_loud_voices_come_to_the_target_within_eight_seconds_and_never_clip() {
    for level_dbfs in [-40.0, -12.0] {
        let said = ["carla", "dev", "asha", "ben"].map(|name| voice_at(name, level_dbfs)).concat();
        let (mut suppressor, mut gain) = (NoiseSuppressor::new(), GainControl::new());
        let heard = through(&said, |_, block| {
            let voice = suppressor.handle_block(block).voice;
            let mut block = *block;
            gain.handle_block(&mut block, voice);
            block
        });
        let level = active_level_dbfs(&heard[8 * SECOND..]);
        println!("{level_dbfs} dBFS comes out at {level:.1}, peak {:.1}", peak_dbfs(&heard));
        assert!((level - SPEECH_LEVEL_DBOV).abs() <= 3.0, "{level} dBFS");
        let peak = heard.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!(peak <= CEILING * 1.000_01, "{peak}");
    }
}

#[test]
fn noise_alone_is_not_raised() {
    let noise = Noise::new().pink(8 * SECOND, -55.0);
    let (mut suppressor, mut gain) = (NoiseSuppressor::new(), GainControl::new());
    through(&noise, |_, block| {
        let voice = suppressor.handle_block(block).voice;
        let mut block = *block;
        gain.handle_block(&mut block, voice);
        block
    });
    assert!(gain.gain_db().abs() < 3.0, "{} dB", gain.gain_db());
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
