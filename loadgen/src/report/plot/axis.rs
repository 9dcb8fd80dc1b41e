//! An axis: from values to places in a picture, and the ticks between.

use super::super::number;

/// A linear or logarithmic axis with its label, unit included.
#[derive(Clone, Debug)]
pub(in super::super) struct Axis {
    /// What stands beside it, such as `delay, ms`.
    pub(in super::super) label: String,
    is_log: bool,
    /// The range that is shown at least; the data widen it.
    from: f64,
    to: f64,
}

impl Axis {
    /// Makes a linear axis that begins at 0.
    pub(in super::super) fn from_zero(label: &str) -> Self {
        Self { label: label.to_owned(), is_log: false, from: 0.0, to: 0.0 }
    }

    /// Makes a logarithmic axis that begins at `from`, which is above 0; less is drawn there.
    pub(in super::super) fn log(label: &str, from: f64) -> Self {
        Self { label: label.to_owned(), is_log: true, from, to: from * 10.0 }
    }

    /// Lets the axis reach at least to `value`.
    pub(in super::super) fn reach(&mut self, value: f64) {
        if value.is_finite() {
            self.to = self.to.max(value);
        }
    }

    /// Lets the axis reach past `value`, so that nothing runs along the edge and text has room.
    pub(super) fn reach_past(&mut self, value: f64) {
        self.reach(value * if self.is_log { ROOM_LOG } else { ROOM_LINEAR });
    }

    /// Rounds the end up to the next tick; called once all values were shown to `reach`.
    pub(super) fn settle(&mut self) {
        if self.is_log {
            let decade = 10_f64.powf(self.to.log10().floor());
            self.to = round_up(self.to / decade, &[1.0, 2.0, 5.0, 10.0]) * decade;
        } else {
            let to = if self.to > self.from { self.to } else { self.from + 1.0 };
            let step = step(to - self.from);
            self.to = self.from + ((to - self.from) / step - 1e-9).ceil() * step;
        }
    }

    /// Returns where a value lies: 0 at the beginning, 1 at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.from, self.to);
        if self.is_log {
            (value / self.from).log10() / (self.to / self.from).log10()
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }

    /// Returns the values that get a tick, with their text.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let values: Vec<f64> = if self.is_log { self.log_ticks() } else { self.linear_ticks() };
        values.into_iter().map(|value| (value, tick_text(value))).collect()
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let step = step(self.to - self.from);
        let count = ((self.to - self.from) / step).round() as u32;
        (0..=count.min(TICKS_MAX)).map(|nth| self.from + step * f64::from(nth)).collect()
    }

    /// Powers of ten; between them 2 and 5 as well where there is room.
    fn log_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        let factors: &[f64] = if last - first <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = 1 + (last - first).max(0).unsigned_abs() as usize / 8;
        (first..=last)
            .step_by(every)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)))
            .filter(|value| (self.from * 0.999..=self.to * 1.001).contains(value))
            .collect()
    }
}

/// A round step that cuts a span into three to six parts.
fn step(span: f64) -> f64 {
    let rough = span / 5.0;
    let decade = 10_f64.powf(rough.log10().floor());
    round_up(rough / decade - 1e-9, &[1.0, 2.0, 2.5, 5.0, 10.0]) * decade
}

fn round_up(value: f64, steps: &[f64]) -> f64 {
    steps.iter().copied().find(|step| value <= *step).unwrap_or(10.0)
}

fn tick_text(value: f64) -> String {
    match value.abs() {
        1e6.. => format!("{} M", number::text(value / 1e6)),
        _ => number::text(value),
    }
}

/// A twentieth of a linear axis; on a logarithmic one, most of a decade.
const ROOM_LINEAR: f64 = 1.05;
const ROOM_LOG: f64 = 6.0;

/// More would be a broken step, not an axis.
const TICKS_MAX: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn linear_ticks_are_few_and_round() {
        for (to, expected) in [
            (0.17, vec!["0", "0.05", "0.1", "0.15", "0.2"]),
            (46.0, vec!["0", "10", "20", "30", "40", "50"]),
            (50_000.0, vec!["0", "10,000", "20,000", "30,000", "40,000", "50,000"]),
            (0.0, vec!["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ] {
            let mut axis = Axis::from_zero("x");
            axis.reach(to);
            axis.settle();
            assert_eq!(texts(&axis), expected);
        }
    }

    #[test]
    fn log_ticks_are_powers_of_ten() {
        let mut axis = Axis::log("x", 0.1);
        axis.reach(800.0);
        axis.settle();
        assert_eq!(texts(&axis), ["0.1", "1", "10", "100", "1,000"]);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-9);
        assert_eq!((axis.place(0.0), axis.place(f64::MAX)), (0.0, 1.0));
    }

    #[test]
    fn values_lie_within_the_axis() {
        let mut axis = Axis::from_zero("x");
        axis.reach(f64::NAN);
        axis.reach(7.0);
        axis.settle();
        assert_eq!((axis.place(0.0), axis.place(4.0), axis.place(99.0)), (0.0, 0.5, 1.0));
    }
}
