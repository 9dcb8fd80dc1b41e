//! Chooses who is summed, by what was decoded rather than by what headers claim.

use sabha_media::codec::Codec;

use crate::talker::Talker;

/// Marks the loudest `talkers_max` of those who are not leaving as ranked.
///
/// One who is ranked stays until another is clearly louder, so equals do not take turns.
pub(crate) fn rank<C: Codec>(talkers: &mut [Box<Talker<C>>], talkers_max: usize) {
    let staying = talkers.iter().filter(|talker| !talker.leaving).count();
    if staying <= talkers_max {
        for talker in talkers {
            talker.ranked = !talker.leaving;
        }
        return;
    }
    talkers.sort_unstable_by(|one, other| score(one).total_cmp(&score(other)));
    for (place, talker) in talkers.iter_mut().enumerate() {
        talker.ranked = place < talkers_max && !talker.leaving;
    }
}

/// Decibels below overload, with the bonus of those already heard; the smaller, the better.
fn score<C: Codec>(talker: &Talker<C>) -> f32 {
    if talker.leaving {
        return f32::INFINITY;
    }
    talker.decoded_db - if talker.ranked { HYSTERESIS_DB } else { 0.0 }
}

/// How much louder a challenger must be. Chosen: the smallest step that listeners call louder.
pub(crate) const HYSTERESIS_DB: f32 = 3.0;
