//! Takes what the loudspeaker plays out of what the microphone hears.

use std::time::Duration;

use super::Block;
use super::echo_path::{EchoPath, PARTS};
use super::residual_echo::ResidualEcho;

/// An echo canceller for one loudspeaker and one microphone.
///
/// Delays the voice by a block. Allocates only when made.
pub struct EchoCanceller {
    path: EchoPath,
    residual: ResidualEcho,
}

impl EchoCanceller {
    /// Makes a canceller that knows nothing of the room.
    pub fn new() -> Self {
        Self { path: EchoPath::new(), residual: ResidualEcho::new() }
    }

    /// Returns the voice without echo, a block late.
    ///
    /// `far` is what the loudspeaker was given at the time of `capture`, or up to
    /// [`ECHO_DELAY_MAX`] before its echo is heard; never after.
    pub fn handle_block(&mut self, capture: &Block, far: &Block) -> Block {
        let echo = self.path.handle_far_end(far);
        let mut error = *capture;
        for (error, echo) in error.iter_mut().zip(&echo) {
            *error -= echo;
        }
        self.path.handle_error(capture, &error);
        self.residual.handle_block(&error, &echo, self.path.unknown_power())
    }
}

impl Default for EchoCanceller {
    fn default() -> Self {
        Self::new()
    }
}

/// The longest way from loudspeaker to microphone that is learnt: devices, air and reverberation.
pub const ECHO_DELAY_MAX: Duration = Duration::from_millis(10 * PARTS as u64);
