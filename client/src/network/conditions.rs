//! What a network does to datagrams, as five numbers.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// What a network does to each datagram, each way.
///
/// Written `"DELAY JITTER LOSS DUPLICATES BURST"` in ms, ms, %, % and packets; numbers left out at
/// the end are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetworkConditions {
    /// Mean delay.
    pub delay: Duration,
    /// Standard deviation of the delay, a normal variable that is never below 0; each datagram has
    /// its own, so they overtake each other.
    pub jitter: Duration,
    /// Share that is lost, 0 to 1.
    pub loss: f64,
    /// Share that comes twice, 0 to 1.
    pub duplicates: f64,
    /// Mean run of losses, in packets; up to 1 is independent losses.
    pub burst: f64,
}

/// A text describes no network.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum NetworkError {
    /// Not a number.
    #[error(
        "{what} {text:?} is no number; write \"DELAY JITTER LOSS DUPLICATES BURST\", such as \"50 10 5 0 1\""
    )]
    NoNumber {
        /// Which of them.
        what: &'static str,
        /// What stands there.
        text: String,
    },
    /// Out of bounds.
    #[error("{what} of {value} is out of bounds; it may be 0 to {max} {unit}")]
    OutOfBounds {
        /// Which of them.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The largest.
        max: f64,
        /// Its unit.
        unit: &'static str,
    },
    /// Too many or no numbers.
    #[error("{text:?} has {count} numbers; write 1 to 5: \"DELAY JITTER LOSS DUPLICATES BURST\"")]
    Count {
        /// What was written.
        text: String,
        /// How many numbers that is.
        count: usize,
    },
    /// So much cannot be lost in runs that short.
    #[error(
        "{loss} % cannot be lost in runs of {burst}; make the burst at least {burst_min}, or 0"
    )]
    ShortBurst {
        /// The loss in percent.
        loss: f64,
        /// The mean run.
        burst: f64,
        /// The shortest mean run.
        burst_min: f64,
    },
    /// A change without a time.
    #[error(
        "the change {0:?} has no time; write \"spike MS at SECOND\" or \"DELAY JITTER LOSS DUPLICATES BURST at SECOND\""
    )]
    NoTime(String),
    /// Too many changes.
    #[error("there are {count} changes, at most {max} are taken; leave some out")]
    Changes {
        /// How many.
        count: usize,
        /// How many are taken.
        max: usize,
    },
}

impl FromStr for NetworkConditions {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let words: Vec<_> = text.split_whitespace().collect();
        if !(1..=NAMES.len()).contains(&words.len()) {
            return Err(NetworkError::Count { text: text.trim().into(), count: words.len() });
        }
        let mut values = [0.0; NAMES.len()];
        for ((value, word), (what, max, unit)) in values.iter_mut().zip(words).zip(NAMES) {
            *value = number(word, what, max, unit)?;
        }
        let [delay, jitter, loss, duplicates, burst] = values;
        let (loss, duplicates) = (loss / 100.0, duplicates / 100.0);
        // Gilbert's model: between two runs at least one packet arrives.
        let burst_min = loss / (1.0 - loss);
        if burst > 1.0 && loss < 1.0 && burst < burst_min {
            return Err(NetworkError::ShortBurst { loss: loss * 100.0, burst, burst_min });
        }
        let (delay, jitter) = (milliseconds(delay), milliseconds(jitter));
        Ok(Self { delay, jitter, loss, duplicates, burst })
    }
}

pub(super) fn number(
    text: &str,
    what: &'static str,
    max: f64,
    unit: &'static str,
) -> Result<f64, NetworkError> {
    let value: f64 =
        text.parse().map_err(|_| NetworkError::NoNumber { what, text: text.into() })?;
    if !(0.0..=max).contains(&value) {
        return Err(NetworkError::OutOfBounds { what, value, max, unit });
    }
    Ok(value)
}

pub(super) fn milliseconds(value: f64) -> Duration {
    Duration::from_secs_f64(value / 1_000.0)
}

/// The longest delay, jitter or spike, in ms. Chosen: longer than any call survives.
pub(super) const DELAY_MS_MAX: f64 = 10_000.0;

/// Name, upper bound and unit of each number. Chosen: what 20 s of packets can show.
const NAMES: [(&str, f64, &str); 5] = [
    ("delay", DELAY_MS_MAX, "ms"),
    ("jitter", DELAY_MS_MAX, "ms"),
    ("loss", 100.0, "%"),
    ("duplicates", 100.0, "%"),
    ("burst", 1_000.0, "packets"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<NetworkConditions>().unwrap_err().to_string()
    }

    #[test]
    fn five_numbers_are_read_in_their_units() {
        let wanted = NetworkConditions {
            delay: Duration::from_millis(50),
            jitter: Duration::from_micros(7_500),
            loss: 0.1,
            duplicates: 0.02,
            burst: 3.0,
        };
        assert_eq!("50 7.5 10 2 3".parse(), Ok(wanted));
        let only_delay = NetworkConditions { delay: wanted.delay, ..Default::default() };
        assert_eq!(" 50 ".parse(), Ok(only_delay));
    }

    #[test]
    fn refusals_name_the_value_and_the_remedy() {
        for (text, told) in [
            ("50 x", "jitter \"x\" is no number; write \"DELAY JITTER LOSS DUPLICATES BURST\""),
            ("50 5 -3", "loss of -3 is out of bounds; it may be 0 to 100 %"),
            ("50 5 NaN", "loss of NaN is out of bounds; it may be 0 to 100 %"),
            ("1 2 3 4 5 6", "\"1 2 3 4 5 6\" has 6 numbers; write 1 to 5"),
            ("", "\"\" has 0 numbers; write 1 to 5"),
            ("0 0 75 0 2", "75 % cannot be lost in runs of 2; make the burst at least 3, or 0"),
        ] {
            assert!(refusal(text).contains(told), "{text}: {}", refusal(text));
        }
    }
}
