//! Who is in a mix, and how loud: a packet's CSRC list and levels.

use sabha_media::codec::Codec;
use sabha_media::extension::LevelDbov;
use sabha_media::leg::Ssrc;
use sabha_media::outbox::{BodyId, Outbox};
use sabha_media::rtp::CSRC_MAX;

use crate::levels::{frame_db, to_dbov};
use crate::talker::Talker;

/// Who is in the mix, with levels, in the order of the talkers.
#[derive(Clone, Copy)]
pub(crate) struct Sources {
    ssrcs: [Ssrc; CSRC_MAX],
    levels_db: [f32; CSRC_MAX],
    count: usize,
}

impl Sources {
    /// Nobody.
    pub(crate) const NONE: Self =
        Self { ssrcs: [Ssrc(0); CSRC_MAX], levels_db: [0.0; CSRC_MAX], count: 0 };

    pub(crate) fn of<C: Codec>(talkers: &[Box<Talker<C>>], sounding: &[bool]) -> Self {
        let mut all = Self::NONE;
        let heard = talkers.iter().zip(sounding).filter(|(_, sounds)| **sounds);
        for (talker, _) in heard {
            all.add(talker.ssrc, frame_db(&talker.frame));
        }
        all
    }

    /// Adds the sources of another frame; each keeps its loudest level.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (ssrc, level_db) in other.ssrcs.iter().zip(other.levels_db).take(other.count) {
            self.add(*ssrc, level_db);
        }
    }

    /// Stores a body whose `own` source is reduced to `share`, and left out if that is nothing.
    pub(crate) fn store(
        &self,
        outbox: &mut Outbox,
        payload: &[u8],
        own: Option<Ssrc>,
        share: f32,
    ) -> Option<BodyId> {
        let (mut ssrcs, mut levels) = ([Ssrc(0); CSRC_MAX], [LevelDbov(127); CSRC_MAX]);
        let mut count = 0;
        for (ssrc, level_db) in self.ssrcs.iter().zip(self.levels_db).take(self.count) {
            let is_own = own == Some(*ssrc);
            if is_own && share <= 0.0 {
                continue;
            }
            let reduced_db = if is_own { -20.0 * share.log10() } else { 0.0 };
            ssrcs[count] = *ssrc;
            levels[count] = to_dbov(level_db + reduced_db);
            count += 1;
        }
        outbox.store(&ssrcs[..count], &levels[..count], payload)
    }

    /// Adds one source, as far as a header can name them.
    fn add(&mut self, ssrc: Ssrc, level_db: f32) {
        let known = self.ssrcs[..self.count].iter().position(|known| *known == ssrc);
        if let Some(place) = known {
            // Decibels below overload: the smaller, the louder.
            self.levels_db[place] = self.levels_db[place].min(level_db);
        } else if self.count < CSRC_MAX {
            self.ssrcs[self.count] = ssrc;
            self.levels_db[self.count] = level_db;
            self.count += 1;
        }
    }
}
