//! One picture: axes, grid, and what is drawn between them.

use std::fmt::Write;

use super::super::escape;
use super::axis::Axis;

/// A plot under construction.
#[derive(Clone, Debug)]
pub(in super::super) struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    band: Option<(f64, f64, String)>,
    curves: Vec<Curve>,
    bars: Vec<(f64, f64, f64)>,
    limits: Vec<Limit>,
}

#[derive(Clone, Debug)]
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
    has_dots: bool,
}

#[derive(Clone, Debug)]
struct Limit {
    text: String,
    at: f64,
    is_upright: bool,
}

impl Chart {
    /// Makes an empty plot.
    pub(in super::super) fn new(title: &str, x: Axis, y: Axis) -> Self {
        let (band, curves, bars, limits) = (None, Vec::new(), Vec::new(), Vec::new());
        Self { title: title.to_owned(), x, y, band, curves, bars, limits }
    }

    /// Draws a curve through points in the order of x; those that are not finite are left out.
    pub(in super::super) fn curve(&mut self, name: &str, points: Vec<(f64, f64)>) {
        self.add_curve(name, points, false);
    }

    /// Draws a curve with a dot at each point, for few points.
    pub(in super::super) fn dotted(&mut self, name: &str, points: Vec<(f64, f64)>) {
        self.add_curve(name, points, true);
    }

    /// Draws bars: from and to on the x axis, and height.
    pub(in super::super) fn bars(&mut self, bars: Vec<(f64, f64, f64)>) {
        for (_, to, height) in &bars {
            self.x.reach(*to);
            self.y.reach_past(*height);
        }
        self.bars = bars;
    }

    /// Shades a part of the x axis.
    pub(in super::super) fn band(&mut self, from: f64, to: f64, text: &str) {
        self.band = Some((from, to, text.to_owned()));
    }

    /// Draws a dashed line at a value of y.
    pub(in super::super) fn limit(&mut self, at: f64, text: &str) {
        self.y.reach_past(at);
        self.limits.push(Limit { text: text.to_owned(), at, is_upright: false });
    }

    /// Draws a dashed line at a value of x.
    pub(in super::super) fn mark(&mut self, at: f64, text: &str) {
        self.x.reach(at);
        self.limits.push(Limit { text: text.to_owned(), at, is_upright: true });
    }

    /// Says whether there is anything to see.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.bars.is_empty() && self.curves.iter().all(|curve| curve.points.is_empty())
    }

    /// Draws the picture with its title and, above one curve, a legend.
    pub(in super::super) fn html(mut self) -> String {
        self.x.settle();
        self.y.settle();
        let title = escape::html(&self.title);
        let mut svg = format!(
            "<figure>\n<figcaption>{title}{}</figcaption>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n",
            self.legend()
        );
        self.draw_band(&mut svg);
        self.draw_axes(&mut svg);
        self.draw_bars(&mut svg);
        for (nth, curve) in self.curves.iter().enumerate() {
            self.draw_curve(&mut svg, nth, curve);
        }
        self.draw_limits(&mut svg);
        svg.push_str("</svg>\n</figure>\n");
        svg
    }

    fn add_curve(&mut self, name: &str, mut points: Vec<(f64, f64)>, has_dots: bool) {
        points.retain(|(x, y)| x.is_finite() && y.is_finite());
        for (x, y) in &points {
            self.x.reach(*x);
            self.y.reach_past(*y);
        }
        self.curves.push(Curve { name: name.to_owned(), points, has_dots });
    }

    fn legend(&self) -> String {
        if self.curves.len() < 2 {
            return String::new();
        }
        let entries = self.curves.iter().enumerate().map(|(nth, curve)| {
            let name = escape::html(&curve.name);
            format!("<span class=\"c{}\"><i></i>{name}</span>", nth % COLOURS)
        });
        format!("<span class=\"legend\">{}</span>", entries.collect::<String>())
    }

    fn draw_band(&self, svg: &mut String) {
        let Some((from, to, text)) = &self.band else { return };
        let (left, right) = (self.x(*from), self.x(*to));
        let (width, text) = ((right - left).max(0.0), escape::html(text));
        let y = TOP - 14.0;
        add(
            svg,
            format_args!(
                "<rect class=\"band\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{PLOT_HEIGHT}\"/>\
                 <text class=\"soft\" x=\"{right:.1}\" y=\"{y}\" text-anchor=\"end\">{text}</text>\n"
            ),
        );
    }

    fn draw_axes(&self, svg: &mut String) {
        let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + PLOT_HEIGHT);
        for (value, text) in self.y.ticks() {
            let (y, x) = (self.y(value), LEFT - 8.0);
            add(
                svg,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" \
                     y2=\"{y:.1}\"/><text class=\"soft\" x=\"{x}\" y=\"{y:.1}\" dy=\"0.35em\" \
                     text-anchor=\"end\">{text}</text>\n"
                ),
            );
        }
        for (value, text) in self.x.ticks() {
            let (x, y, end) = (self.x(value), bottom + 18.0, bottom + 4.0);
            add(
                svg,
                format_args!(
                    "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{end}\"\
                     /><text class=\"soft\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}\
                     </text>\n"
                ),
            );
        }
        let (x_label, y_label) = (escape::html(&self.x.label), escape::html(&self.y.label));
        let (middle, below, above) = (LEFT + PLOT_WIDTH / 2.0, HEIGHT - 4.0, TOP - 14.0);
        add(
            svg,
            format_args!(
                "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" \
                 y2=\"{bottom}\"/><text class=\"soft\" x=\"{middle}\" y=\"{below}\" \
                 text-anchor=\"middle\">{x_label}</text><text class=\"soft\" x=\"4\" \
                 y=\"{above}\">{y_label}</text>\n"
            ),
        );
    }

    fn draw_bars(&self, svg: &mut String) {
        let mut path = String::new();
        for (from, to, height) in &self.bars {
            let (left, right, top) = (self.x(*from), self.x(*to), self.y(*height));
            let bottom = TOP + PLOT_HEIGHT;
            add(&mut path, format_args!("M{left:.1} {bottom}V{top:.1}H{right:.1}V{bottom}"));
        }
        if !path.is_empty() {
            add(svg, format_args!("<path class=\"bars\" d=\"{path}Z\"/>\n"));
        }
    }

    fn draw_curve(&self, svg: &mut String, nth: usize, curve: &Curve) {
        let (mut path, mut dots, colour) = (String::new(), String::new(), nth % COLOURS);
        for (x, y) in &curve.points {
            let verb = if path.is_empty() { 'M' } else { 'L' };
            let (x, y) = (self.x(*x), self.y(*y));
            add(&mut path, format_args!("{verb}{x:.1} {y:.1}"));
            if curve.has_dots {
                add(&mut dots, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"));
            }
        }
        let name = escape::html(&curve.name);
        add(
            svg,
            format_args!(
                "<g class=\"curve c{colour}\"><title>{name}</title><path d=\"{path}\"/>{dots}</g>\n"
            ),
        );
    }

    fn draw_limits(&self, svg: &mut String) {
        for (nth, limit) in self.limits.iter().enumerate() {
            let text = escape::html(&limit.text);
            let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + PLOT_HEIGHT);
            let (line, x, y, anchor) = if limit.is_upright {
                let x = self.x(limit.at);
                let (anchor, beside) = if x > WIDTH / 2.0 { ("end", -5.0) } else { ("start", 5.0) };
                // One below the other, as neighbours' texts would overlap.
                let y = TOP + 11.0 + nth as f64 * LINE_HEIGHT;
                (format!("M{x:.1} {TOP}V{bottom}"), x + beside, y, anchor)
            } else {
                let y = self.y(limit.at);
                (format!("M{LEFT} {y:.1}H{right}"), right, y - 5.0, "end")
            };
            add(
                svg,
                format_args!(
                    "<path class=\"limit\" d=\"{line}\"/><text class=\"limit\" x=\"{x:.1}\" \
                     y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"
                ),
            );
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * PLOT_WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - self.y.place(value)) * PLOT_HEIGHT
    }
}

fn add(svg: &mut String, line: std::fmt::Arguments<'_>) {
    svg.write_fmt(line).expect("writing to a string never fails");
}

/// Colours that the page's style has for curves, `c0` and on.
const COLOURS: usize = 6;

// Lengths in the picture's own units, one for each CSS pixel at half the page's width.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - 28.0;
const TOP: f64 = 32.0;
const LINE_HEIGHT: f64 = 15.0;
const PLOT_HEIGHT: f64 = HEIGHT - TOP - 46.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        Chart::new("a <title>", Axis::from_zero("x & s"), Axis::from_zero("y"))
    }

    #[test]
    fn nothing_is_drawn_outside_the_picture() {
        let mut chart = chart();
        chart.curve("a", vec![(0.0, 1.0), (f64::NAN, 2.0), (10.0, 5_000_000.0)]);
        chart.dotted("b", vec![(3.0, f64::INFINITY), (3.0, 9.0)]);
        chart.limit(7_000_000.0, "most");
        let svg = chart.html();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("=\"-"), "{svg}");
        assert!(svg.contains("8 M"), "the axis reaches past the limit: {svg}");
    }

    #[test]
    fn texts_are_escaped_and_curves_are_named() {
        let mut chart = chart();
        chart.curve("<a>", vec![(0.0, 1.0)]);
        chart.curve("b", vec![(0.0, 2.0)]);
        let svg = chart.html();
        assert!(svg.contains("a &lt;title&gt;") && svg.contains("x &amp; s"));
        assert!(svg.contains("<span class=\"c0\"><i></i>&lt;a&gt;</span>"));
    }

    #[test]
    fn plot_of_nothing_is_known() {
        let mut nothing = chart();
        nothing.curve("a", vec![(f64::NAN, 0.0)]);
        assert!(nothing.is_empty() && nothing.html().ends_with("</figure>\n"));
        let mut something = chart();
        something.bars(vec![(0.0, 1.0, 2.0)]);
        assert!(!something.is_empty());
    }
}
