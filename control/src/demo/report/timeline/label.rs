//! What stands above the bands of a row.

use super::super::model::Segment;

/// What a row of the picture shows.
#[derive(Clone, Copy)]
pub(super) enum Row {
    /// What its member said.
    Said,
    /// What its member heard.
    Heard,
}

/// What stands above a band, or above several that overlap.
#[derive(Debug, PartialEq)]
pub(super) struct Label {
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    pub(super) text: String,
}

/// Names the clip on the row of who said it, and the talkers, together if they overlap, on the
/// row of who heard them.
pub(super) fn labels(bands: &[&Segment], kind: Row) -> Vec<Label> {
    let mut bands = bands.to_vec();
    bands.sort_by_key(|segment| segment.start_ms);
    let mut labels: Vec<Label> = Vec::new();
    for Segment { user, clip, start_ms, end_ms, .. } in bands {
        let text = match kind {
            Row::Said => clip,
            Row::Heard => user.split('@').next().unwrap_or(user),
        };
        match labels.last_mut() {
            Some(last) if last.end_ms > *start_ms => {
                last.text = format!("{}, {text}", last.text);
                last.end_ms = last.end_ms.max(*end_ms);
            }
            _ => {
                labels.push(Label { start_ms: *start_ms, end_ms: *end_ms, text: text.to_owned() });
            }
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talkers_who_overlap_share_a_label() {
        let segment = |user: &str, start_ms, end_ms| Segment {
            user: format!("{user}@example.org"),
            clip: "clip".into(),
            start_ms,
            end_ms,
            alone: false,
        };
        let bands = [segment("c", 900, 950), segment("a", 0, 300), segment("b", 200, 500)];
        let bands: Vec<_> = bands.iter().collect();
        let label = |start_ms, end_ms, text: &str| Label { start_ms, end_ms, text: text.into() };
        assert_eq!(labels(&bands, Row::Heard), [label(0, 500, "a, b"), label(900, 950, "c")]);
        assert_eq!(labels(&bands[..1], Row::Said), [label(900, 950, "clip")]);
    }
}
