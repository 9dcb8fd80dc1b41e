//! The report as data; serialises to `report.json`, whose field names others rely on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::figure::Figure;

/// The outcome of one demo run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether every check holds, and there is at least one.
    pub ok: bool,
    /// What was checked, in order of importance.
    pub checks: Vec<Check>,
    /// Figures of the conference as a whole.
    pub conference: Conference,
    /// Who was to speak when.
    pub segments: Vec<Segment>,
    /// Every member, talking or silent.
    pub members: Vec<Member>,
}

impl Report {
    /// Makes a report; `ok` follows from the checks.
    #[must_use]
    pub fn new(
        checks: Vec<Check>,
        conference: Conference,
        segments: Vec<Segment>,
        members: Vec<Member>,
    ) -> Self {
        let ok = !checks.is_empty() && checks.iter().all(|check| check.ok);
        Self { ok, checks, conference, segments, members }
    }

    /// Returns how many checks hold.
    #[must_use]
    pub fn checks_held(&self) -> usize {
        self.checks.iter().filter(|check| check.ok).count()
    }

    /// Returns the report as the text of `report.json`.
    ///
    /// # Errors
    /// Never for reports made here; serde's error otherwise.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

/// One property of the run that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is claimed, in a few words.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was measured.
    pub value: Figure,
    /// What it may be, such as `at most 40 ms`.
    pub bound: Figure,
}

impl Check {
    /// Makes a check.
    pub fn new(
        name: impl Into<String>,
        ok: bool,
        value: impl Into<Figure>,
        bound: impl Into<Figure>,
    ) -> Self {
        Self { name: name.into(), ok, value: value.into(), bound: bound.into() }
    }
}

/// Figures of the conference; a number that is not finite becomes `null` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conference {
    /// Members that joined.
    pub members: u32,
    /// Most members that are mixed at once.
    pub talkers_max: u32,
    /// Delay that the node adds, median, in ms, without the encoder's look-ahead.
    pub added_delay_ms_p50: f64,
    /// The same, 99th percentile, in ms.
    pub added_delay_ms_p99: f64,
    /// The encoder's look-ahead, in ms.
    pub lookahead_ms: f64,
    /// Ticks of 20 ms that the conference ran.
    pub ticks: u64,
    /// Ticks that encoded more often than talkers + 1.
    pub ticks_over_encode_bound: u64,
    /// Ticks that decoded more often than the candidates allow.
    pub ticks_over_decode_bound: u64,
    /// Encodes in a tick, median.
    pub encodes_per_tick_median: f64,
    /// Decodes in a tick, median.
    pub decodes_per_tick_median: f64,
    /// CPU of the node's process in ms, for each member and second.
    pub node_cpu_ms_per_member_second: f64,
    /// Further figures, by field name; serialised beside the ones above.
    #[serde(flatten)]
    pub more: BTreeMap<String, Figure>,
}

/// A stretch of speech as scheduled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Who speaks.
    pub user: String,
    /// Name of the clip.
    pub clip: String,
    /// Start, in ms from the beginning of the recordings.
    pub start_ms: u64,
    /// End, in ms from the beginning of the recordings.
    pub end_ms: u64,
    /// Whether nobody else speaks meanwhile.
    pub alone: bool,
}

/// One member, and what reached it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: String,
    /// Recording of what was heard: a path relative to the report.
    pub wav: String,
    /// What the member said, likewise; absent for the silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_wav: Option<String>,
    /// Packets received.
    pub packets_in: u64,
    /// Packets due by the schedule.
    pub packets_due: u64,
    /// Packets lost on the way.
    pub lost: u64,
    /// Frames concealed by the decoder.
    pub concealed: u64,
    /// Interarrival jitter (RFC 3550 section 6.4.1), in ms.
    pub jitter_ms: f64,
    /// How long packets waited to be played, median, in ms.
    pub buffer_ms_p50: f64,
    /// The same, 99th percentile, in ms.
    pub buffer_ms_p99: f64,
    /// The median of each second since the beginning, in ms; null where nothing was heard.
    #[serde(default)]
    pub buffer_timeline_ms: Vec<Option<f64>>,
    /// How good it sounded, 1 to 4.5, estimated from loss and delay (ITU-T G.107.1).
    pub mos: f64,
    /// Whether the member was behind a bad network; absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub impaired: bool,
    /// The largest number of copies that a packet carried (RFC 2198), 0 to 2.
    #[serde(default)]
    pub red_copies: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: &serde_json::Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    fn sorted<const N: usize>(mut names: [&str; N]) -> [&str; N] {
        names.sort_unstable();
        names
    }

    #[test]
    fn json_has_exactly_the_published_fields() {
        let check = Check::new("nobody hears themselves", true, 0, "at most 0.1");
        let segment =
            Segment { user: "a".into(), clip: "b".into(), start_ms: 0, end_ms: 9, alone: true };
        let talker = Member { reference_wav: Some("r.wav".into()), ..Member::default() };
        let report = Report::new(
            vec![check],
            Conference::default(),
            vec![segment],
            vec![talker, Member::default()],
        );
        let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(fields(&json), sorted(["ok", "checks", "conference", "segments", "members"]));
        assert_eq!(fields(&json["checks"][0]), sorted(["name", "ok", "value", "bound"]));
        let segment = ["user", "clip", "start_ms", "end_ms", "alone"];
        assert_eq!(fields(&json["segments"][0]), sorted(segment));
        let conference = [
            "members",
            "talkers_max",
            "added_delay_ms_p50",
            "added_delay_ms_p99",
            "lookahead_ms",
            "ticks",
            "ticks_over_encode_bound",
            "ticks_over_decode_bound",
            "encodes_per_tick_median",
            "decodes_per_tick_median",
            "node_cpu_ms_per_member_second",
        ];
        assert_eq!(fields(&json["conference"]), sorted(conference));
        let silent = [
            "user",
            "wav",
            "packets_in",
            "packets_due",
            "lost",
            "concealed",
            "jitter_ms",
            "buffer_ms_p50",
            "buffer_ms_p99",
            "buffer_timeline_ms",
            "mos",
            "red_copies",
        ];
        assert_eq!(fields(&json["members"][1]), sorted(silent));
        assert_eq!(json["members"][0]["reference_wav"], "r.wav");
        assert_eq!((&json["checks"][0]["value"], &json["ok"]), (&0.into(), &true.into()));
        assert_eq!(json["checks"][0]["bound"], "at most 0.1");
    }

    #[test]
    fn further_figures_stand_beside_the_others_and_are_read_back() {
        let more = BTreeMap::from([("node_rss_mib".to_owned(), Figure::from(12.5))]);
        let conference = Conference { members: 6, more, ..Conference::default() };
        let report = Report::new(Vec::new(), conference, Vec::new(), Vec::new());
        let json = report.to_json().unwrap();
        assert!(json.contains("\"node_rss_mib\": 12.5"), "{json}");
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn report_is_ok_only_if_all_checks_hold_and_there_is_one() {
        let report = |checks| Report::new(checks, Conference::default(), Vec::new(), Vec::new());
        let check = |ok| Check::new("x", ok, 1, 1);
        assert!(report(vec![check(true)]).ok);
        assert!(!report(vec![check(true), check(false)]).ok);
        assert!(!report(Vec::new()).ok);
    }
}
