//! What a node does four times a second: tells rosters, ends what is over, watches its load.

use std::time::{Duration, Instant};

use sabha_core::message::Event;

use super::Inner;
use super::load::board::LoadBoard;
use super::load::pace::Pace;
use super::load::quota::QuotaMeter;
use crate::coordinator::RosterNews;

/// What housekeeping remembers from turn to turn.
pub(super) struct Housekeeping {
    quota: QuotaMeter,
    pace: Pace,
    /// The step of each shard's ladder that was last told in the log.
    steps: Vec<u8>,
}

impl Housekeeping {
    pub(super) fn new(inner: &Inner) -> Self {
        let steps = inner.shards.boards().map(|_| 0).collect();
        Self { quota: QuotaMeter::new(Instant::now()), pace: Pace::default(), steps }
    }

    /// Does all of it once.
    pub(super) async fn keep_house(&mut self, inner: &Inner) {
        self.watch_load(inner);
        tell_rosters(inner).await;
        end_expired(inner).await;
    }

    /// Returns how long to wait after a caller before the next one is let in.
    pub(super) fn pause(&self) -> Duration {
        self.pace.pause()
    }

    /// Tells the shards what of the quota they use, and the log how far they are.
    fn watch_load(&mut self, inner: &Inner) {
        let media = inner.shards.boards().map(LoadBoard::cpu).sum();
        let share = self.quota.read(Instant::now(), media);
        self.pace.handle_share(share.map(|share| share.process));
        let media = share.map_or(0.0, |share| share.media / MEDIA_PART);
        for (shard, (board, told)) in inner.shards.boards().zip(&mut self.steps).enumerate() {
            board.set_quota_share(media);
            let step = board.step();
            if step != *told {
                let busy_percent = (board.busy_share() * 100.0).round();
                let is_full = board.is_full();
                tracing::info!(shard, step, busy_percent, is_full, "the load moved the effort");
                *told = step;
            }
        }
    }
}

/// Tells members of rosters that changed.
async fn tell_rosters(inner: &Inner) {
    let rosters = inner.coordinator().poll_roster();
    for (conference, RosterNews { mut complete, changes, sessions }) in rosters {
        for part in changes.chunks(Event::ROSTER_CHANGES_MAX) {
            let event = Event::Roster { conference, complete, changes: part.to_vec() };
            inner.notify(sessions.iter().copied(), &event).await;
            complete = false;
        }
    }
}

/// Ends conferences whose time is over.
async fn end_expired(inner: &Inner) {
    let expired = inner.coordinator().expired(inner.clock.now());
    for id in expired {
        let conference = inner.coordinator().remove(id);
        if let Some(conference) = conference {
            inner.end_conference(id, conference, "its time is over").await;
        }
    }
}

/// How often. Chosen: nobody waits long to see who came, and a crowd that comes makes few messages.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// The part of a CPU quota that media may use before it counts as used up: the rest is for
/// signalling, which must be able to tell newcomers why they are refused, and for a machine that
/// slows down by a third after they were let in: at the limit of 85 % they use 68 % of the quota.
/// Who is over it stands still for the rest of the kernel's period, and all that time is late.
const MEDIA_PART: f64 = 0.8;
