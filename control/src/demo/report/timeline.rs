//! A picture of who spoke when, and of what a listener heard: one SVG on a shared time axis.

use std::fmt::Write;

use self::label::{Label, Row, labels};
use super::{envelope::Envelope, escape, figure::number_text, model::Segment};

mod label;

/// What the picture shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Length of the time axis, in ms; 0 is the beginning of the recordings.
    pub duration_ms: u64,
    /// What each member said; above [`ROWS_MAX`] rows the rest is left out and counted.
    pub said: Vec<Track>,
    /// What the chosen listener heard.
    pub heard: Option<Track>,
}

/// One row: a member and a sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Track {
    /// Who said or heard it.
    pub user: String,
    /// The sound's outline over the whole time axis; without columns for the silent.
    pub envelope: Envelope,
}

impl Timeline {
    /// Draws the picture, with the segments as labelled bands.
    #[must_use]
    pub fn svg(&self, segments: &[Segment]) -> String {
        let shown = &self.said[..self.said.len().min(ROWS_MAX)];
        let rows = shown.len() + usize::from(self.heard.is_some());
        let bottom = TOP + rows as f64 * ROW_HEIGHT;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"Who spoke when\">\n",
            bottom + 28.0
        );
        self.draw_axis(&mut svg, bottom);
        for (row, track) in shown.iter().enumerate() {
            let own: Vec<_> = segments.iter().filter(|s| s.user == track.user).collect();
            self.draw_row(&mut svg, row, track, Row::Said, &own);
        }
        if let Some(heard) = &self.heard {
            let all: Vec<_> = segments.iter().filter(|s| s.user != heard.user).collect();
            self.draw_row(&mut svg, shown.len(), heard, Row::Heard, &all);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Returns how many members are left out of the picture.
    #[must_use]
    pub fn rows_left_out(&self) -> usize {
        self.said.len().saturating_sub(ROWS_MAX)
    }

    fn draw_axis(&self, svg: &mut String, bottom: f64) {
        let step_ms = tick_ms(self.duration_ms);
        for at_ms in (0..=self.duration_ms).step_by(step_ms) {
            let (x, seconds) = (self.x(at_ms), number_text(at_ms as f64 / 1_000.0));
            add(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" \
                     y1=\"{TOP}\" y2=\"{bottom}\"/>"
                ),
            );
            let y = bottom + 18.0;
            add(
                svg,
                format_args!(
                    "<text class=\"soft\" x=\"{x:.1}\" y=\"{y}\" \
                     text-anchor=\"middle\">{seconds} s</text>"
                ),
            );
        }
    }

    fn draw_row(&self, svg: &mut String, row: usize, track: &Track, kind: Row, bands: &[&Segment]) {
        let top = TOP + row as f64 * ROW_HEIGHT;
        let middle = top + BAND_TOP + BAND_HEIGHT / 2.0;
        let (class, verb) = match kind {
            Row::Said => {
                ("said", if track.envelope.columns.is_empty() { "silent" } else { "said" })
            }
            Row::Heard => ("heard", "heard"),
        };
        for segment in bands {
            self.draw_band(svg, top, segment);
        }
        for label in labels(bands, kind) {
            self.draw_label(svg, top, &label);
        }
        let right = WIDTH - RIGHT;
        add(
            svg,
            format_args!(
                "<line class=\"zero\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{middle}\" \
                 y2=\"{middle}\"/>"
            ),
        );
        let user = escape::html(&short(&track.user, USER_CHARS));
        let title = escape::html(&track.user);
        add(svg, format_args!("<text x=\"14\" y=\"{middle}\"><title>{title}</title>{user}</text>"));
        let y = middle + 14.0;
        add(svg, format_args!("<text class=\"soft\" x=\"14\" y=\"{y}\">{verb}</text>"));
        let path = waveform(&track.envelope, middle);
        if !path.is_empty() {
            add(svg, format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
        }
    }

    fn draw_band(&self, svg: &mut String, top: f64, segment: &Segment) {
        let (x, end) = (self.x(segment.start_ms), self.x(segment.end_ms));
        let (width, y) = ((end - x).max(1.0), top + BAND_TOP);
        let class = if segment.alone { "alone" } else { "together" };
        let (user, clip) = (escape::html(&segment.user), escape::html(&segment.clip));
        let (from, to) = (segment.start_ms, segment.end_ms);
        add(
            svg,
            format_args!(
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" \
                 height=\"{BAND_HEIGHT}\" rx=\"3\"><title>{user}: {clip}, {from} to {to} ms\
                 </title></rect>"
            ),
        );
    }

    fn draw_label(&self, svg: &mut String, top: f64, label: &Label) {
        let (x, end) = (self.x(label.start_ms), self.x(label.end_ms));
        // A label wider than its band would run into the next one.
        let text = short(&label.text, ((end - x) / CHAR_WIDTH) as usize);
        if text.chars().count() > 1 {
            let (x, y, text) = (x + 3.0, top + BAND_TOP - 3.0, escape::html(&text));
            add(svg, format_args!("<text class=\"soft\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"));
        }
    }

    fn x(&self, at_ms: u64) -> f64 {
        let part = at_ms.min(self.duration_ms) as f64 / self.duration_ms.max(1) as f64;
        LEFT + part * PLOT_WIDTH
    }
}

/// One vertical line a column, from its least to its greatest sample.
fn waveform(envelope: &Envelope, middle: f64) -> String {
    let step = PLOT_WIDTH / envelope.columns.len().max(1) as f64;
    let mut path = String::new();
    for (column, &(low, high)) in envelope.columns.iter().enumerate() {
        if high - low < 0.002 {
            continue;
        }
        let x = LEFT + (column as f64 + 0.5) * step;
        let y =
            |sample: f32| middle - (f64::from(sample) * GAIN).clamp(-1.0, 1.0) * BAND_HEIGHT / 2.0;
        add(&mut path, format_args!("M{x:.1} {:.1}V{:.1}", y(high), y(low)));
    }
    path
}

/// The smallest round step that gives at most 13 ticks, in ms.
fn tick_ms(duration_ms: u64) -> usize {
    let fits = |step: &u64| duration_ms / step <= 12;
    let step = TICKS_MS.into_iter().find(fits).unwrap_or_else(|| duration_ms.div_ceil(12));
    usize::try_from(step).unwrap_or(usize::MAX)
}

/// Cuts text to so many characters.
fn short(text: &str, width_max: usize) -> String {
    match text.chars().count() <= width_max {
        true => text.to_owned(),
        false => text.chars().take(width_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

fn add(svg: &mut String, line: std::fmt::Arguments<'_>) {
    svg.write_fmt(line).expect("writing to a string never fails");
}

/// The most members drawn; chosen so that a page stays under 3 MB.
pub const ROWS_MAX: usize = 32;

const TICKS_MS: [u64; 12] =
    [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000];

// Lengths in the picture's own units, one for each CSS pixel at full width.
const WIDTH: f64 = 1_118.0;
const LEFT: f64 = 148.0;
const RIGHT: f64 = 20.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - RIGHT;
const TOP: f64 = 4.0;
const ROW_HEIGHT: f64 = 64.0;
const BAND_TOP: f64 = 18.0;
const BAND_HEIGHT: f64 = 42.0;
/// Mean width of a character of a band's label.
const CHAR_WIDTH: f64 = 6.4;
const USER_CHARS: usize = 19;
/// Speech peaks at about a third of full scale; drawn larger, and cut at the band's edge.
const GAIN: f64 = 1.6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_has_few_round_ticks() {
        for (duration_ms, step) in
            [(900, 100), (15_000, 2_000), (60_000, 5_000), (7_200_000, 600_000)]
        {
            assert_eq!(tick_ms(duration_ms), step);
        }
        assert_eq!(tick_ms(0), 100);
        assert!(tick_ms(u64::MAX) > 1_800_000);
    }

    #[test]
    fn picture_of_nothing_is_still_a_picture() {
        let svg = Timeline::default().svg(&[]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn rows_beyond_the_limit_are_counted() {
        let said = vec![Track::default(); ROWS_MAX + 3];
        let timeline = Timeline { duration_ms: 1_000, said, heard: None };
        assert_eq!(timeline.rows_left_out(), 3);
        assert_eq!(timeline.svg(&[]).matches("class=\"zero\"").count(), ROWS_MAX);
    }
}
