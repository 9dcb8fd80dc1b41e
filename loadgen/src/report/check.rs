//! One property of a run: what was measured, and what it may be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A measured value against its bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is measured, in a few words.
    pub name: String,
    /// What it must be.
    pub bound: Bound,
    /// What was measured; absent if nothing was, and then the check fails.
    pub value: Option<f64>,
    /// The unit of both, such as `ms`; empty for ratios and counts.
    pub unit: String,
    /// Whether the value is within the bound.
    pub ok: bool,
}

impl Check {
    /// Makes a check; a value that was not measured, or is not a number, fails it.
    pub fn new(name: &str, value: Option<f64>, bound: Bound, unit: &str) -> Self {
        let value = value.filter(|value| value.is_finite());
        let ok = value.is_some_and(|value| bound.allows(value));
        Self { name: name.to_owned(), bound, value, unit: unit.to_owned(), ok }
    }
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Below(f64),
    /// This and nothing else.
    Exactly(f64),
}

impl Bound {
    /// Returns the number of the bound.
    pub fn limit(self) -> f64 {
        match self {
            Self::AtLeast(limit) | Self::AtMost(limit) => limit,
            Self::Below(limit) | Self::Exactly(limit) => limit,
        }
    }

    fn allows(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
            Self::Exactly(limit) => value == limit,
        }
    }
}

/// For people: `at least 0.995`.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::AtLeast(_) => "at least",
            Self::AtMost(_) => "at most",
            Self::Below(_) => "below",
            Self::Exactly(_) => "exactly",
        };
        write!(f, "{words} {}", super::number::text(self.limit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_allow_their_side_only() {
        let ok = |bound, value| Check::new("x", Some(value), bound, "").ok;
        assert!(ok(Bound::AtLeast(0.98), 0.98) && !ok(Bound::AtLeast(0.98), 0.979));
        assert!(ok(Bound::AtMost(15.0), 15.0) && !ok(Bound::AtMost(15.0), 15.1));
        assert!(ok(Bound::Below(0.005), 0.004) && !ok(Bound::Below(0.005), 0.005));
        assert!(ok(Bound::Exactly(0.0), 0.0) && !ok(Bound::Exactly(0.0), 1.0));
    }

    #[test]
    fn what_was_not_measured_fails() {
        for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            let check = Check::new("x", value, Bound::AtLeast(0.0), "ms");
            assert!(!check.ok && check.value.is_none());
        }
    }
}
