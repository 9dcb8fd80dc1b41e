use super::super::{envelope::Envelope, model::Segment, timeline::Track};
use super::*;

/// A report with text that would be markup in every place that takes text.
fn hostile() -> (Report, Timeline) {
    let text = || "<script>alert('x')</script>\"&".to_owned();
    let segment = Segment { user: text(), clip: text(), start_ms: 0, end_ms: 900, alone: false };
    let member = Member {
        user: text(),
        wav: "a\"><script>.wav".into(),
        reference_wav: Some("javascript:alert(1)".into()),
        ..Member::default()
    };
    let mut conference = Conference { members: 2, ..Conference::default() };
    conference.more.insert(text(), text().into());
    let checks = vec![Check::new(text(), false, text(), text())];
    let track = Track { user: text(), envelope: Envelope { columns: vec![(-0.5, 0.5); 10] } };
    let timeline = Timeline { duration_ms: 1_000, said: vec![track.clone()], heard: Some(track) };
    (Report::new(checks, conference, vec![segment], vec![member]), timeline)
}

/// Returns the tags left open, and asserts that each is closed in turn.
fn open_tags(html: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("every tag ends");
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "in {tag}"),
            None if tag.ends_with('/') || ["!DOCTYPE", "meta"].contains(&name) => {}
            None => open.push(name.to_owned()),
        }
    }
    open
}

#[test]
fn every_tag_is_closed_in_turn() {
    let (report, timeline) = hostile();
    assert_eq!(open_tags(&html(&report, &timeline)), Vec::<String>::new());
    let empty = Report::new(Vec::new(), Conference::default(), Vec::new(), Vec::new());
    assert_eq!(open_tags(&html(&empty, &Timeline::default())), Vec::<String>::new());
}

#[test]
fn foreign_text_never_becomes_markup() {
    let (report, timeline) = hostile();
    let page = html(&report, &timeline);
    assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
    assert!(!page.contains("javascript:") && page.contains("./javascript%3Aalert%281%29"));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn page_needs_nothing_from_elsewhere() {
    let (report, timeline) = hostile();
    let page = html(&report, &timeline);
    for foreign in ["http://", "https://", "src=\"/", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn headline_counts_checks() {
    let report = |checks: &[bool]| {
        let checks = checks.iter().map(|&ok| Check::new("x", ok, 1, 1)).collect();
        headline(&Report::new(checks, Conference::default(), Vec::new(), Vec::new()))
    };
    assert_eq!(report(&[true, true]), "Passed: all 2 checks hold");
    assert_eq!(report(&[true, false, false]), "Failed: 2 of 3 checks do not hold");
    assert_eq!(report(&[]), "Failed: nothing was checked");
}

#[test]
fn silent_member_has_no_player_for_what_was_said() {
    let member = Member { user: "quiet".into(), wav: "quiet.wav".into(), ..Member::default() };
    let report = Report::new(Vec::new(), Conference::default(), Vec::new(), vec![member]);
    let page = html(&report, &Timeline::default());
    assert_eq!(page.matches("<audio").count(), 1);
    assert!(page.contains("src=\"./quiet.wav\"") && page.contains("<td>silent</td>"));
}
