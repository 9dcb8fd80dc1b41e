//! What a shard reports to control, until control takes it.

use std::collections::VecDeque;

use super::ConferenceKey;
use crate::engine::EngineOutput;
use crate::leg::LegId;

/// What a shard reports to control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardEvent {
    /// An engine's report.
    Engine(ConferenceKey, EngineOutput),
    /// The member said goodbye on the media path. Told once for each leg.
    Goodbye(LegId),
    /// Nothing authentic came from the member for `MEDIA_TIMEOUT`; nothing is sent to it any more.
    /// Told once, and again only if the member was heard in between.
    MediaLost(LegId),
}

/// Events that wait; bounded, and counts what it refuses.
pub(super) struct Events {
    queue: VecDeque<ShardEvent>,
    refused: u64,
}

impl Events {
    pub(super) fn new() -> Self {
        Self { queue: VecDeque::with_capacity(EVENTS_MAX), refused: 0 }
    }

    /// Queues an event; returns whether there was room.
    pub(super) fn push(&mut self, event: ShardEvent) -> bool {
        if self.queue.len() == EVENTS_MAX {
            self.refused += 1;
            return false;
        }
        self.queue.push_back(event);
        true
    }

    pub(super) fn pop(&mut self) -> Option<ShardEvent> {
        self.queue.pop_front()
    }

    /// Forgets what a removed conference reported: its key may name another from now on.
    pub(super) fn forget(&mut self, key: ConferenceKey) {
        let is_other =
            |event: &ShardEvent| !matches!(event, ShardEvent::Engine(of, _) if *of == key);
        self.queue.retain(is_other);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

/// Events that wait for control. Chosen: a second of everybody talking at once.
const EVENTS_MAX: usize = 4_096;
