//! When within 20 ms the tick comes: whom it suits.
//!
//! A talker's packets wait for the tick from 4 ms, where it suits them, to 24. Whoever is made to
//! wait a frame more lets the tick come earlier than their packets, nearer after others'.

use std::time::Duration;

use crate::output::TICK;

/// Returns by how much earlier the tick would make all talkers' waits shortest in sum, given by how
/// much it could come earlier for each; who could not are to wait a frame more.
///
/// `None` if it is not worth it.
pub(crate) fn best_step(excesses: &(impl Iterator<Item = Duration> + Clone)) -> Option<Duration> {
    let talkers = excesses.clone().count() as u32;
    let longer = |step: Duration| {
        let waiting = excesses.clone().filter(|excess| *excess < step).count() as u32;
        (TICK * waiting).as_nanos() as i128 - (step * talkers).as_nanos() as i128
    };
    let step = excesses.clone().filter(|excess| *excess < TICK).min_by_key(|step| longer(*step))?;
    let is_worth_it = longer(step) <= -((GAIN_MIN * talkers).as_nanos() as i128);
    let none_is_made_to_wait = excesses.clone().all(|excess| excess >= step);
    (is_worth_it && !none_is_made_to_wait).then_some(step)
}

/// What each talker must gain on average.
const GAIN_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn best(excesses_ms: &[u64]) -> Option<u64> {
        let step = best_step(&excesses_ms.iter().map(|ms| Duration::from_millis(*ms)));
        step.map(|step| step.as_millis() as u64)
    }

    #[test]
    fn tick_suits_those_who_come_just_before_it_at_best() {
        assert_eq!(best(&[0]), None);
        assert_eq!(best(&[0, 5, 6]), None, "the present one is best");
        assert_eq!(best(&[0, 17, 19]), Some(17), "one waits 3 ms more, two 17 less");
        assert_eq!(best(&[0, 2, 18]), Some(18));
        assert_eq!(best(&[0, 10]), None, "one would gain what the other loses");
        assert_eq!(best(&[0, 15]), Some(15));
        assert_eq!(best(&[3, 9, 9]), None, "all of it can be had without anybody waiting");
    }

    #[test]
    fn the_middle_one_of_three_waits_a_third_of_a_tick_at_most() {
        for one in 0..20 {
            for other in one..20 {
                let step = best(&[0, one, other]).unwrap_or(0);
                let mut waits =
                    [0, one, other].map(|ms| if ms < step { ms + 20 - step } else { ms - step });
                waits.sort_unstable();
                assert!(waits[1] <= 8, "{one} and {other}: {waits:?}");
            }
        }
    }
}
