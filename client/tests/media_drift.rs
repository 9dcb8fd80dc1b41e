//! Half an hour of a talker who never pauses and whose clock is off, in virtual time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sabha_client::media::Source;
use sabha_client::sound::built_in::built_in_clips;
use sabha_client::sound::mark::{MARK_SAMPLES, Mark};
use sabha_client::sound::mark_detector::MarkDetector;
use sabha_media::codec::{EncoderSettings, FRAME_SAMPLES, Frame};
use sabha_mixer::MixerSettings;

mod media_support;

use media_support::Room;

const RATE_HZ: usize = 48_000;
const MARK_INTERVAL: usize = 15 * RATE_HZ;
const MARKS: usize = 120;

/// Speech without a pause, and a mark in every quarter of a minute.
struct Talker {
    speech: Vec<f32>,
    mark: Vec<f32>,
    position: usize,
}

impl Source for Talker {
    fn fill(&mut self, frame: &mut Frame) -> bool {
        for sample in frame.iter_mut() {
            let in_mark = self.position % MARK_INTERVAL;
            *sample = match self.mark.get(in_mark) {
                Some(mark) => *mark,
                None => self.speech[self.position % self.speech.len()],
            };
            self.position += 1;
        }
        true
    }
}

/// Returns the clips one after the other, without what is quiet in them.
fn speech() -> Vec<f32> {
    let is_loud = |frame: &&[f32]| frame.iter().any(|sample| sample.abs() > 0.03);
    let clips = built_in_clips();
    let frames = clips.iter().flat_map(|clip| clip.samples.chunks(FRAME_SAMPLES));
    frames.filter(is_loud).flatten().copied().collect()
}

/// Returns the delays of all marks, in ms, with a talker's and a listener's clock so far off.
fn delays(talker_ppm: i32, listener_ppm: i32) -> Vec<f64> {
    let encoder = EncoderSettings { bitrate: 32_000, complexity: 0 };
    let mut room = Room::new(MixerSettings { encoder, ..MixerSettings::default() });
    let mark = Mark::new(3).unwrap();
    let talker = Talker { speech: speech(), mark: mark.samples(), position: 0 };
    let talker = room.join_with_clock(3, talker_ppm, talker);
    let listener = room.join_with_clock(11, listener_ppm, Silence);
    room.run(Duration::from_secs(15) * MARKS as u32);

    let report = room.members[listener].report();
    let counters = room.shard.engine(room.conference).unwrap().counters().clone();
    let slips = (report.playout.skipped, report.playout.lost, report.playout.late);
    assert_eq!((slips, counters.concealments, counters.undecodable), ((0, 0, 0), 0, 0));
    assert_eq!(room.members[talker].report().lost, 0);

    let (heard, detector) = (room.members[listener].heard(), MarkDetector::new());
    let samples_a_ms = |ppm: i32| 48.0 * (1.0 + f64::from(ppm) * 1e-6);
    (1..MARKS - 1)
        .filter_map(|number| {
            let spoken_ms = 3.0 + (number * MARK_INTERVAL) as f64 / samples_a_ms(talker_ppm);
            let expected = ((spoken_ms - 11.0) * samples_a_ms(listener_ppm)) as usize;
            let around = &heard[expected..expected + RATE_HZ / 2];
            let hit = detector.detect(around).into_iter().find(|hit| hit.mark == mark)?;
            assert!(hit.at + MARK_SAMPLES < around.len());
            Some(11.0 + (expected + hit.at) as f64 / samples_a_ms(listener_ppm) - spoken_ms)
        })
        .collect()
}

struct Silence;

impl Source for Silence {
    fn fill(&mut self, frame: &mut Frame) -> bool {
        frame.fill(0.0);
        true
    }
}

/// Bears out that the delay is never further than 10 ms from its start.
fn check(talker_ppm: i32, listener_ppm: i32) {
    let delays = delays(talker_ppm, listener_ppm);
    assert!(delays.len() >= MARKS - 6, "{} marks were found", delays.len());
    let most = delays.iter().map(|delay| (delay - delays[0]).abs()).fold(0.0, f64::max);
    assert!(most <= 10.0, "by {most} ms: {delays:.1?}");
}

#[test]
fn delay_stays_with_a_talker_who_is_fast() {
    check(200, 0);
}

#[test]
fn delay_stays_with_a_talker_who_is_slow() {
    check(-200, 0);
}
