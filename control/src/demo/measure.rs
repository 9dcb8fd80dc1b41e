//! What the recordings of a demonstration say, measured.

use std::time::Duration;

use sabha_client::sound::follow::{Followed, follow};
use sabha_client::sound::level::{active_level_dbfs, rms_dbfs};
use sabha_client::sound::{Alignment, MarkDetector, align};

use sabha_media::leg::Ssrc;

use super::cast::Recording;
use super::script::{Line, Script, SpokenMark};

/// Samples by which two encoders in a row delay a sound: 2 x 6.5 ms.
pub const LOOKAHEADS: u64 = 2 * 312;

/// Where and how well a line arrived at a member.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// First sample of the line in the member's recording.
    pub at: i64,
    /// How alike it is, 0 to 1.
    pub correlation: f32,
    /// The longest silence in it where there should be speech.
    pub gap: Duration,
    /// Its level against what was said, in dB.
    pub gain_db: f32,
}

/// Finds a line in a member's recording, and follows it where its delay changes meanwhile. With another
/// voice over it, parts of it are too unlike to be followed.
pub fn arrival(line: &Line, speaker: &Recording, listener: &Recording) -> Option<Arrival> {
    let expected = expected_at(line.start, speaker, listener);
    let latest = expected + LATENCY_MAX;
    let Alignment { lag, correlation, .. } =
        align(&line.samples, &listener.heard, expected..=latest).ok()?;
    let heard = window(&listener.heard, lag, line.samples.len())?;
    let followed = follow(&line.samples, &listener.heard, lag, DELAY_CHANGE_MAX);
    let Followed { correlation: in_parts, missing } = followed;
    Some(Arrival {
        at: lag,
        correlation: if line.alone { in_parts } else { correlation },
        gap: missing.longest,
        gain_db: active_level_dbfs(heard) - active_level_dbfs(&line.samples),
    })
}

/// Returns the delay that the node added to each mark that one member heard of others.
pub fn added_delays(
    script: &Script,
    recordings: &[Recording],
    listener: &Recording,
    detector: &MarkDetector,
) -> Marks {
    let from = expected_at(script.marked.start, listener, listener).max(0) as usize;
    let until = (script.marked.end as usize + LATENCY_MAX as usize).min(listener.heard.len());
    let hits = detector.detect(&listener.heard[from.min(until)..until]);
    let mut marks = Marks::default();
    for spoken in &script.marks {
        let speaker = &recordings[spoken.talker];
        if speaker.user == listener.user || speaker.impaired {
            continue;
        }
        let expected = expected_at(spoken.at, speaker, listener);
        let found = hits.iter().find(|hit| {
            let at = (from + hit.at) as i64;
            hit.mark == spoken.mark && (expected..expected + LATENCY_MAX).contains(&at)
        });
        let Some(found) = found else {
            marks.missed += 1;
            continue;
        };
        let heard = ((from + found.at) as u64).saturating_sub(LOOKAHEADS);
        match added_delay(spoken, speaker, listener, heard) {
            Some(delay) => marks.delays.push(delay),
            None => marks.missed += 1,
        }
    }
    marks
}

/// Marks that a member should have heard.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// The delay of each that was heard.
    pub delays: Vec<Duration>,
    /// How many were not, or in a concealed frame.
    pub missed: usize,
}

/// Returns the loudest 100 ms, in dBFS, of the pauses between the lines of a script.
pub fn loudest_pause(script: &Script, listener: &Recording) -> f32 {
    let mut ends: Vec<_> = script.lines.iter().map(Line::end).collect();
    ends.sort_unstable();
    let mut loudest = f32::NEG_INFINITY;
    for end in ends {
        let busy = |line: &Line| line.start < end + PAUSE_END && line.end() > end;
        if script.lines.iter().any(busy) || script.marked.start < end + PAUSE_END {
            continue;
        }
        let pause =
            window(&listener.heard, (end + PAUSE_BEGIN) as i64, (PAUSE_END - PAUSE_BEGIN) as usize);
        for part in pause.unwrap_or_default().chunks(4_800) {
            loudest = loudest.max(rms_dbfs(part));
        }
    }
    loudest
}

/// Counts packets in a stretch in which the schedule is known: three talkers who never pause, mixed.
///
/// Due is time by schedule, from the first packet after half a second of it, never the node's
/// count; those are received that came at most 60 ms after the last was due.
pub fn packets(script: &Script, listener: &Recording) -> (u64, u64) {
    packets_of(script, listener, None)
}

/// The same where talkers are forwarded: the sum over all others who talk and whose own network is
/// good.
pub fn packets_forwarded(
    script: &Script,
    recordings: &[Recording],
    listener: &Recording,
) -> (u64, u64) {
    let talkers = recordings.iter().take(script.markers());
    let others = talkers.filter(|talker| talker.ssrc != listener.ssrc && !talker.impaired);
    others.fold((0, 0), |(received, due), talker| {
        let (more, more_due) = packets_of(script, listener, Some(talker.ssrc));
        (received + more, due + more_due)
    })
}

fn packets_of(script: &Script, listener: &Recording, source: Option<Ssrc>) -> (u64, u64) {
    let due = (script.marked.end - script.marked.start - 48_000) / 960;
    let length = FRAME * u32::try_from(due - 1).unwrap_or(u32::MAX);
    let Some(begin) = listener.timing.sent_at(script.marked.start + 24_000) else {
        return (0, due);
    };
    let packets = listener.timing.arrived.iter();
    let arrived: Vec<_> = packets
        .filter(|packet| source.is_none() || packet.source == source)
        .map(|packet| packet.at)
        .collect();
    let first = arrived.partition_point(|at| *at < begin);
    let Some(first_at) = arrived.get(first) else { return (0, due) };
    let last = arrived.partition_point(|at| *at <= *first_at + length + LATE);
    (((last - first) as u64).min(due), due)
}

/// Returns a percentile of durations, in milliseconds.
pub fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    let place = ((sorted.len() as f64 - 1.0) * share).round();
    sorted.get(place.max(0.0) as usize).map_or(f64::NAN, |one| one.as_secs_f64() * 1_000.0)
}

fn added_delay(
    spoken: &SpokenMark,
    speaker: &Recording,
    listener: &Recording,
    heard: u64,
) -> Option<Duration> {
    listener.timing.added_delay(heard, &speaker.timing, spoken.at)
}

/// Returns the sample of the listener's clock that is as late as `sample` of the speaker's.
fn expected_at(sample: u64, speaker: &Recording, listener: &Recording) -> i64 {
    let ahead = speaker.offset.as_secs_f64() - listener.offset.as_secs_f64();
    sample as i64 + (ahead * 48_000.0) as i64 - DRIFT
}

fn window(pcm: &[f32], start: i64, length: usize) -> Option<&[f32]> {
    let start = usize::try_from(start).ok()?;
    pcm.get(start..start + length)
}

/// One frame.
const FRAME: Duration = Duration::from_millis(20);

/// Later than this after its due time a packet is late.
const LATE: Duration = Duration::from_millis(60);

/// The latest that a sound may be heard: 500 ms.
const LATENCY_MAX: i64 = 24_000;

/// By how much the delay may change while a line is said: 100 ms.
const DELAY_CHANGE_MAX: u32 = 4_800;

/// What clocks may drift apart in a demonstration: 100 ppm for 100 s.
const DRIFT: i64 = 480;

/// After a line's end, when silence must have come (hangover, closing frames, playout: 700 ms),
/// and until when.
const PAUSE_BEGIN: u64 = 33_600;
const PAUSE_END: u64 = 48_000;
