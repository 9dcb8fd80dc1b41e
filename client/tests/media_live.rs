//! A live microphone's way to the packets: what is processed is what is announced and sent, under
//! the node's orders; and whose voice comes back from where.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_client::media::{SIDETONE_GAIN, Schedule, Utterance};
use sabha_client::processing::MicrophoneSettings;
use sabha_client::sound::built_in::built_in_clips;
use sabha_media::codec::Decoder;
use sabha_media::codec::opus::OpusDecoder;
use sabha_media::extension::LevelDbov;
use sabha_media::shard::OwnVoice;
use sabha_mixer::MixerSettings;

mod media_support;
use media_support::{Alone, Live, Room, SentRtp};

const SECOND: Duration = Duration::from_secs(1);
const VOICE: u8 = 1;
const PROBES: u8 = 2;

const GAIN_ONLY: MicrophoneSettings =
    MicrophoneSettings { echo_cancellation: false, noise_suppression: false, gain_control: true };

/// All built-in clips one after the other, attenuated.
fn voices(gain: f32) -> Schedule {
    let said: Vec<f32> = built_in_clips().into_iter().flat_map(|clip| clip.samples).collect();
    let samples = said.iter().map(|sample| sample * gain).collect();
    Schedule::new(vec![Utterance { start: 0, samples }], 0.000_1, 5)
}

fn voice_packets(alone: &Alone) -> Vec<&SentRtp> {
    alone.sent.iter().filter(|packet| !packet.payload.is_empty()).collect()
}

#[test]
fn level_that_is_announced_is_that_of_the_processed_sound() {
    let live = Live { microphone: Some(GAIN_ONLY), sidetone: false };
    let mut alone = Alone::live(voices(0.05), live);
    alone.run(SECOND * 15);
    let (mut decoder, mut frame) = (OpusDecoder::new(), [0.0; 960]);
    let (mut loudest, mut off) = (127, 0);
    for packet in &alone.sent {
        decoder.decode(Some(&packet.payload), &mut frame).unwrap();
        let heard = LevelDbov::from_samples(&frame).0;
        off += usize::from(packet.level < 50 && heard.abs_diff(packet.level) > 6);
        loudest = loudest.min(packet.level);
    }
    // 26 dB less than the clips: their loudest frames are at -12 dBov, so here at -38.
    assert!(loudest < 30, "the gain is in the level: -{loudest} dBov");
    assert!(off < alone.sent.len() / 20, "{off} levels are not those of the sound");
}

#[test]
fn recorded_sound_goes_through_unchanged() {
    let mut plain = Alone::new(voices(0.05));
    plain.run(SECOND * 2);
    let mut live = Alone::live(
        voices(0.05),
        Live {
            microphone: Some(MicrophoneSettings {
                echo_cancellation: false,
                noise_suppression: false,
                gain_control: false,
            }),
            sidetone: false,
        },
    );
    live.run(SECOND * 2);
    assert_eq!(plain.sent, live.sent, "nothing is done where nothing is switched on");
}

#[test]
fn live_microphone_obeys_the_nodes_orders() {
    let live = Live { microphone: Some(MicrophoneSettings::default()), sidetone: true };
    for order in [VOICE, PROBES] {
        let mut alone = Alone::live(Schedule::new(Vec::new(), 0.001, 3), live);
        alone.order(order);
        alone.run(SECOND * 6);
        assert_eq!(voice_packets(&alone).len(), 0, "noise is not sent");
        assert!(alone.sent.len() >= 2, "but its level is");
    }
    let mut alone = Alone::live(voices(1.0), live);
    alone.order(PROBES);
    alone.run(SECOND * 4);
    assert_eq!(voice_packets(&alone).len(), 0);
    alone.order(VOICE);
    alone.run(SECOND * 4);
    assert!(voice_packets(&alone).len() > 100);
}

#[test]
fn own_voice_comes_from_the_device_where_the_node_is_far_away() {
    for (sidetone, way_ms, expected) in [
        (true, 30, OwnVoice::LeftOut),
        (true, 1, OwnVoice::Returned),
        (false, 30, OwnVoice::Returned),
    ] {
        let mut room = Room::new(MixerSettings::default());
        let live = Live { microphone: None, sidetone };
        let talker = room.join_live(3, voices(1.0), live);
        room.join(11, Schedule::new(Vec::new(), 0.000_1, 4));
        room.way = Duration::from_millis(way_ms);
        room.run(SECOND * 14);
        assert_eq!(room.members[talker].report().own_voice, expected, "{sidetone} {way_ms}");
        let heard = room.members[talker].heard();
        // In the last seconds the own voice is heard once: at a tenth, wherever it comes from.
        let part = 12 * 48_000..14 * 48_000;
        let said: Vec<f32> = built_in_clips().into_iter().flat_map(|clip| clip.samples).collect();
        let said = &said[part.clone()];
        let energy = |sound: &[f32]| sound.iter().map(|sample| sample * sample).sum::<f32>();
        let share = (energy(&heard[part]) / energy(said)).sqrt();
        println!("{expected:?} share {share:.3}");
        assert!((share / SIDETONE_GAIN - 1.0).abs() < 0.35, "{share}");
    }
}
