//! Whether a conference is mixed or forwarded, and to whom.

use sabha_core::message::{ConferenceSettings, Mode, PermitList};
use sabha_media::engine::RECEIVE_STREAMS_MAX;

use super::CoordinatorError;

/// How this node carries a conference; fixed for the conference's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// Mixed: one stream to each member.
    Mixed,
    /// Forwarded: so many streams to each member, who mixes them.
    Bridged {
        /// Talkers forwarded at once, 1 to `RECEIVE_STREAMS_MAX`.
        streams: u8,
    },
}

impl Carriage {
    /// Returns what a list asks for, or suits it if it leaves the choice to the node.
    ///
    /// # Errors
    /// `Mode` for one that this node does not know.
    pub fn of(list: &PermitList) -> Result<Self, CoordinatorError> {
        let bridged = Self::Bridged { streams: streams(&list.settings) };
        match &list.settings.mode {
            Mode::Mixer => Ok(Self::Mixed),
            Mode::Bridge => Ok(bridged),
            Mode::Auto if list.users.len() <= BRIDGED_USERS_MAX => Ok(bridged),
            Mode::Auto => Ok(Self::Mixed),
            Mode::Other(mode) => Err(CoordinatorError::Mode(mode.clone())),
        }
    }

    /// Returns the mode as members are told it.
    pub fn mode(self) -> Mode {
        match self {
            Self::Mixed => Mode::Mixer,
            Self::Bridged { .. } => Mode::Bridge,
        }
    }

    /// Checks that a client takes as many streams as it would be sent.
    ///
    /// # Errors
    /// `Streams` if it takes fewer.
    pub fn suits(self, streams_max: u8) -> Result<(), CoordinatorError> {
        match self {
            Self::Bridged { streams } if streams > streams_max => {
                Err(CoordinatorError::Streams { streams, streams_max })
            }
            _ => Ok(()),
        }
    }
}

fn streams(settings: &ConferenceSettings) -> u8 {
    (RECEIVE_STREAMS_MAX as u16).min(settings.talkers_max) as u8
}

/// Up to so many permitted users, a conference whose host leaves the choice is forwarded. Chosen:
/// a bridge costs no codec, keeps the original sound and sends each talker once to everybody; a mix
/// costs as much as sending some 200 packets each 20 ms, and one packet for each member.
const BRIDGED_USERS_MAX: usize = 100;
