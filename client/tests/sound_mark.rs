//! Marks are found where they were put, and nowhere else.

use sabha_client::sound::{Mark, MarkDetector, MarkHit, SAMPLES_PER_MS, mark_detector::SCORE_MIN};

mod sound_support;
use sound_support::{GENERATION_DELAY, noise, opus_generations, speech};

/// Puts the 16 marks into `pcm`, one every 300 ms, and returns where each begins.
fn put_marks(pcm: &mut [f32], gain: f32) -> Vec<(Mark, usize)> {
    let places = Mark::all()
        .map(|mark| (mark, (usize::from(mark.variant()) * 300 + 137) * SAMPLES_PER_MS + 11));
    let places: Vec<_> = places.collect();
    for &(mark, at) in &places {
        for (sample, mark) in pcm[at..].iter_mut().zip(mark.samples()) {
            *sample += gain * mark;
        }
    }
    places
}

/// Asserts that exactly these marks are found, each within `tolerance` samples.
#[track_caller]
fn assert_found(hits: &[MarkHit], places: &[(Mark, usize)], delay: usize, tolerance: usize) {
    let found: Vec<_> = hits.iter().map(|hit| (hit.mark.variant(), hit.at, hit.score)).collect();
    assert_eq!(hits.len(), places.len(), "{found:?}");
    for (hit, (mark, at)) in hits.iter().zip(places) {
        assert_eq!(hit.mark, *mark);
        assert!(hit.at.abs_diff(at + delay) <= tolerance, "{hit:?} is not at {}", at + delay);
    }
}

#[test]
fn marks_in_silence_are_found_to_the_sample_with_their_gain() {
    for gain in [1.0, 0.1] {
        let mut pcm = vec![0.0; 5 * 48_000];
        let places = put_marks(&mut pcm, gain);
        let hits = MarkDetector::new().detect(&pcm);
        assert_found(&hits, &places, 0, 0);
        for hit in &hits {
            assert!((hit.gain / gain - 1.0).abs() < 0.01 && hit.score > 0.99, "{hit:?}");
        }
    }
}

#[test]
fn marks_at_both_ends_are_found() {
    let mark = Mark::new(3).unwrap();
    let mut pcm = mark.samples();
    pcm.extend(vec![0.0; 4_800]);
    pcm.extend(mark.samples());
    let hits = MarkDetector::new().detect(&pcm);
    assert_eq!(hits.iter().map(|hit| hit.at).collect::<Vec<_>>(), [0, 1_920 + 4_800]);
    assert_eq!(MarkDetector::new().detect(&[]), []);
}

#[test]
fn marks_in_noise_as_loud_as_themselves_are_found() {
    // A mark's RMS is about 0.17; its band is an eighth of the noise's.
    let mut pcm = noise(5 * 48_000, 0.17, 1);
    let places = put_marks(&mut pcm, 1.0);
    assert_found(&MarkDetector::new().detect(&pcm), &places, 0, 2);
}

#[test]
fn marks_in_speech_after_two_opus_generations_are_found_at_any_gain() {
    for gain in [1.0, 0.1] {
        let mut pcm = speech();
        let places = put_marks(&mut pcm, 1.0);
        pcm.iter_mut().for_each(|sample| *sample *= gain);
        let heard = opus_generations(&pcm, 2);
        let hits = MarkDetector::new().detect(&heard);
        assert_found(&hits, &places, 2 * GENERATION_DELAY, SAMPLES_PER_MS / 4);
    }
}

#[test]
fn marks_of_several_talkers_may_overlap() {
    let mut pcm = vec![0.0; 48_000];
    let places = [(2, 10_000), (9, 10_000), (14, 10_700)];
    let places = places.map(|(variant, at)| (Mark::new(variant).unwrap(), at));
    for (mark, at) in places {
        mark.mix_into(&mut pcm, at);
    }
    let hits = MarkDetector::new().detect(&opus_generations(&pcm, 2));
    assert_found(&hits, &places, 2 * GENERATION_DELAY, SAMPLES_PER_MS / 4);
}

#[test]
fn speech_and_noise_hold_no_marks() {
    let detector = MarkDetector::new();
    assert_eq!(detector.detect(&speech()), []);
    assert_eq!(detector.detect(&opus_generations(&speech(), 2)), []);
    assert_eq!(detector.detect(&noise(60 * 48_000, 0.1, 2)), []);
    assert_eq!(detector.detect(&vec![0.0; 48_000]), []);
    const { assert!(SCORE_MIN > 0.37) };
}

#[test]
fn one_mark_a_second_is_told_from_the_next() {
    let mark = Mark::new(7).unwrap();
    let mut pcm = vec![0.0; 10 * 48_000];
    for second in 0..10 {
        mark.mix_into(&mut pcm, second * 48_000 + 5_000);
    }
    let hits = MarkDetector::new().detect(&pcm);
    let expected: Vec<_> = (0..10).map(|second| second * 48_000 + 5_000).collect();
    assert_eq!(hits.iter().map(|hit| hit.at).collect::<Vec<_>>(), expected);
}
