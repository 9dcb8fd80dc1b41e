//! How a network is, and how it changes.

use std::str::FromStr;
use std::time::Duration;

use super::conditions::{DELAY_MS_MAX, NetworkConditions, NetworkError, milliseconds, number};

/// How a network is at first, and what happens to it when.
///
/// Written as conditions, then changes behind semicolons: `spike MS at SECOND` or other conditions
/// `at SECOND`, as in `"20 5 1; spike 300 at 10; 20 5 10 at 20"`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkPlan {
    /// From the beginning.
    pub conditions: NetworkConditions,
    /// Afterwards, in order of time; each with the time since the beginning.
    pub changes: Vec<(Duration, NetworkChange)>,
}

/// A change of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NetworkChange {
    /// From now on it is like this.
    Conditions(NetworkConditions),
    /// It stalls: what comes within this time leaves at its end, all at once.
    Spike(Duration),
}

impl FromStr for NetworkPlan {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let mut parts = text.split(';');
        let conditions = parts.next().unwrap_or_default().parse()?;
        let mut changes = parts.map(change).collect::<Result<Vec<_>, _>>()?;
        if changes.len() > CHANGES_MAX {
            return Err(NetworkError::Changes { count: changes.len(), max: CHANGES_MAX });
        }
        changes.sort_by_key(|(at, _)| *at);
        Ok(Self { conditions, changes })
    }
}

fn change(text: &str) -> Result<(Duration, NetworkChange), NetworkError> {
    let Some((change, at)) = text.split_once(" at ") else {
        return Err(NetworkError::NoTime(text.trim().into()));
    };
    let at = Duration::from_secs_f64(number(at.trim(), "time", SECONDS_MAX, "s")?);
    let change = match change.trim().strip_prefix("spike ") {
        Some(length) => {
            let length = number(length.trim(), "spike", DELAY_MS_MAX, "ms")?;
            NetworkChange::Spike(milliseconds(length))
        }
        None => NetworkChange::Conditions(change.parse()?),
    };
    Ok((at, change))
}

/// Changes of one network. Chosen: more than anybody writes on a command line.
const CHANGES_MAX: usize = 64;

/// The latest time of a change: a day.
const SECONDS_MAX: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_and_put_in_order() {
        let plan: NetworkPlan = "20 5; 0 0 10 at 20 ; spike 300 at 1.5".parse().unwrap();
        assert_eq!(plan.conditions, "20 5".parse().unwrap());
        let spike = NetworkChange::Spike(Duration::from_millis(300));
        let lossy = NetworkChange::Conditions("0 0 10".parse().unwrap());
        let wanted = [(Duration::from_millis(1_500), spike), (Duration::from_secs(20), lossy)];
        assert_eq!(plan.changes, wanted);
    }

    #[test]
    fn refusals_name_the_value_and_the_remedy() {
        for (text, told) in [
            ("0; spike 300", "the change \"spike 300\" has no time; write \"spike MS at SECOND\""),
            ("0; spike x at 3", "spike \"x\" is no number"),
            ("0; spike 300 at soon", "time \"soon\" is no number"),
            ("0; spike 300 at -1", "time of -1 is out of bounds; it may be 0 to 86400 s"),
            ("0; 1 2 300 at 4", "loss of 300 is out of bounds"),
        ] {
            let refusal = text.parse::<NetworkPlan>().unwrap_err().to_string();
            assert!(refusal.contains(told), "{text}: {refusal}");
        }
        let many = "0".to_owned() + &"; spike 1 at 1".repeat(65);
        let refusal = many.parse::<NetworkPlan>().unwrap_err();
        assert_eq!(refusal, NetworkError::Changes { count: 65, max: 64 });
    }
}
