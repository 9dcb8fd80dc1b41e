//! How loud a member wants to hear whom.

use std::collections::BTreeMap;

use sabha_media::leg::Ssrc;

/// How loud one talker is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TalkerVolume {
    /// Factor, 0 to `VOLUME_MAX`; 1 is as it came.
    pub volume: f32,
    /// Whether the talker is not heard at all, whatever the volume.
    pub is_muted: bool,
}

/// The volumes that are not 1, of talkers present or not.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    set: BTreeMap<Ssrc, TalkerVolume>,
    refused: u64,
}

impl TalkerVolume {
    /// Returns the factor that the talker's samples are multiplied with.
    pub(super) fn gain(self) -> f32 {
        if self.is_muted { 0.0 } else { self.volume }
    }
}

impl Default for TalkerVolume {
    fn default() -> Self {
        Self { volume: 1.0, is_muted: false }
    }
}

impl Volumes {
    /// Remembers a talker's volume, brought within its bounds. One volume too many is refused and
    /// counted, as is what is no number.
    pub(super) fn set(&mut self, talker: Ssrc, wanted: TalkerVolume) {
        let volume = wanted.volume.clamp(0.0, VOLUME_MAX);
        let is_full = self.set.len() >= VOLUMES_MAX && !self.set.contains_key(&talker);
        if wanted == TalkerVolume::default() {
            self.set.remove(&talker);
        } else if is_full || volume.is_nan() {
            self.refused += 1;
        } else {
            self.set.insert(talker, TalkerVolume { volume, ..wanted });
        }
    }

    /// Returns the factor for a talker's samples.
    pub(super) fn gain(&self, talker: Ssrc) -> f32 {
        self.set.get(&talker).map_or(1.0, |volume| volume.gain())
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

/// The largest volume: +12 dB. Chosen: brings a whisper up; the limiter takes what is too much.
pub const VOLUME_MAX: f32 = 4.0;

/// Talkers with a volume of their own. Chosen: more than anybody sets by hand.
const VOLUMES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn loud(volume: f32) -> TalkerVolume {
        TalkerVolume { volume, is_muted: false }
    }

    #[test]
    fn volume_is_bounded_and_no_number_is_refused() {
        let mut volumes = Volumes::default();
        for (set, gain) in [(0.5, 0.5), (9.0, VOLUME_MAX), (f32::NAN, VOLUME_MAX), (-1.0, 0.0)] {
            volumes.set(Ssrc(1), loud(set));
            assert_eq!(volumes.gain(Ssrc(1)), gain, "{set}");
        }
        assert_eq!((volumes.gain(Ssrc(2)), volumes.refused()), (1.0, 1));
        volumes.set(Ssrc(1), TalkerVolume { volume: 2.0, is_muted: true });
        assert_eq!(volumes.gain(Ssrc(1)), 0.0);
    }

    #[test]
    fn one_too_many_is_refused_until_another_is_as_it_came() {
        let mut volumes = Volumes::default();
        for talker in 0..=VOLUMES_MAX as u32 {
            volumes.set(Ssrc(talker), loud(0.5));
        }
        let last = Ssrc(VOLUMES_MAX as u32);
        assert_eq!((volumes.gain(last), volumes.refused()), (1.0, 1));
        volumes.set(Ssrc(0), TalkerVolume::default());
        volumes.set(last, loud(0.5));
        assert_eq!((volumes.gain(last), volumes.refused()), (0.5, 1));
    }
}
