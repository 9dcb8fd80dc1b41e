//! When which conference wants its tick, and when reports are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::{ConferenceKey, REPORT_TURNS};
use crate::rtcp::REPORT_INTERVAL;
use crate::time::Instant;

/// Deadlines of conferences, and the turn of reports.
pub(super) struct Timers {
    queue: BinaryHeap<Reverse<(Instant, ConferenceKey)>>,
    /// Each conference's deadline; an entry of the queue that differs from it is stale.
    deadlines: Vec<Option<Instant>>,
    reports_at: Option<Instant>,
    turn: usize,
    /// Turns that come faster, until every leg had one.
    hasty_turns: usize,
}

impl Timers {
    pub(super) fn new(conferences_max: usize) -> Self {
        Self {
            queue: BinaryHeap::with_capacity(
                STALE_SHARE_MAX * conferences_max.min(PREALLOCATED_MAX) + STALE_MIN + 1,
            ),
            deadlines: Vec::new(),
            reports_at: None,
            turn: 0,
            hasty_turns: 0,
        }
    }

    /// Sets a conference's deadline, or none.
    pub(super) fn set(&mut self, key: ConferenceKey, deadline: Option<Instant>) {
        let index = key.0 as usize;
        if index >= self.deadlines.len() {
            self.deadlines.resize(index + 1, None);
        }
        if self.deadlines[index] == deadline {
            return;
        }
        self.deadlines[index] = deadline;
        if let Some(deadline) = deadline {
            self.queue.push(Reverse((deadline, key)));
        }
        self.drop_stale();
        if self.queue.len() > STALE_SHARE_MAX * self.deadlines.len() + STALE_MIN {
            self.rebuild();
        }
    }

    /// Returns a conference's deadline.
    pub(super) fn deadline(&self, key: ConferenceKey) -> Option<Instant> {
        self.deadlines.get(key.0 as usize).copied().flatten()
    }

    pub(super) fn cancel(&mut self, key: ConferenceKey) {
        self.set(key, None);
    }

    /// Gives out the next conference that is due and when it was, and forgets its deadline.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(ConferenceKey, Instant)> {
        self.drop_stale();
        let Reverse((deadline, key)) = *self.queue.peek()?;
        if deadline > now {
            return None;
        }
        self.queue.pop();
        self.deadlines[key.0 as usize] = None;
        Some((key, deadline))
    }

    /// Begins to send reports, if nothing did before.
    pub(super) fn start_reports(&mut self, now: Instant) {
        self.reports_at.get_or_insert(now + REPORT_INTERVAL / REPORT_TURNS as u32);
    }

    /// Ends reports: there is no leg.
    pub(super) fn stop_reports(&mut self) {
        self.reports_at = None;
        self.hasty_turns = 0;
    }

    /// Lets every leg have its turn within `HASTE`, beginning at once; then all goes on as before.
    pub(super) fn hasten_reports(&mut self) {
        if let Some(due) = &mut self.reports_at {
            *due = Instant::ZERO;
            self.hasty_turns = REPORT_TURNS;
        }
    }

    /// Gives out the turn that is due, if one is.
    pub(super) fn pop_reports(&mut self, now: Instant) -> Option<usize> {
        let due = self.reports_at.filter(|due| *due <= now)?;
        self.hasty_turns = self.hasty_turns.saturating_sub(1);
        let interval = if self.hasty_turns > 0 { HASTE } else { REPORT_INTERVAL };
        let next = due + interval / REPORT_TURNS as u32;
        // After a stall, turns are passed over rather than made up for in a burst.
        self.reports_at = Some(next.max(now));
        self.turn = (self.turn + 1) % REPORT_TURNS;
        Some(self.turn)
    }

    /// Returns the next deadline of all.
    pub(super) fn next(&self) -> Option<Instant> {
        let conference = self.queue.peek().map(|Reverse((deadline, _))| *deadline);
        [conference, self.reports_at].into_iter().flatten().min()
    }

    /// Forgets stale entries that a valid one hides.
    fn rebuild(&mut self) {
        self.queue.clear();
        for (index, deadline) in self.deadlines.iter().enumerate() {
            if let Some(deadline) = deadline {
                self.queue.push(Reverse((*deadline, ConferenceKey(index as u32))));
            }
        }
    }

    fn drop_stale(&mut self) {
        while let Some(Reverse((deadline, key))) = self.queue.peek()
            && self.deadlines[key.0 as usize] != Some(*deadline)
        {
            self.queue.pop();
        }
    }
}

/// Within how long every member is told of a change.
const HASTE: Duration = Duration::from_secs(1);

/// Entries for each conference, of which all but one are stale, beyond which the queue is rebuilt.
const STALE_SHARE_MAX: usize = 2;

/// Entries that a queue may always hold, so that a small one is not rebuilt all the time.
const STALE_MIN: usize = 64;

/// Deadlines for which memory is taken at once.
const PREALLOCATED_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn moved_deadline_fires_once() {
        let mut timers = Timers::new(4);
        timers.set(ConferenceKey(1), Some(at(10)));
        timers.set(ConferenceKey(1), Some(at(20)));
        timers.set(ConferenceKey(0), Some(at(15)));
        assert_eq!(timers.next(), Some(at(15)));
        assert_eq!(timers.pop_due(at(30)), Some((ConferenceKey(0), at(15))));
        assert_eq!(timers.pop_due(at(30)), Some((ConferenceKey(1), at(20))));
        assert_eq!(timers.pop_due(at(30)), None);
    }

    #[test]
    fn deadline_moved_for_ever_takes_no_more_memory() {
        let mut timers = Timers::new(2);
        timers.set(ConferenceKey(0), Some(at(1)));
        for ms in 2..10_000 {
            timers.set(ConferenceKey(1), Some(at(ms)));
        }
        assert!(timers.queue.len() <= 70, "{}", timers.queue.len());
        assert_eq!(timers.pop_due(at(20_000)), Some((ConferenceKey(0), at(1))));
        assert_eq!(timers.pop_due(at(9_998)), None);
        assert_eq!(timers.pop_due(at(9_999)), Some((ConferenceKey(1), at(9_999))));
        assert_eq!((timers.pop_due(at(20_000)), timers.next()), (None, None));
    }

    #[test]
    fn each_leg_has_its_turn_once_in_an_interval() {
        let mut timers = Timers::new(4);
        timers.start_reports(at(0));
        let mut turns = Vec::new();
        for ms in 0..=5_000 {
            turns.extend(timers.pop_reports(at(ms)));
        }
        turns.sort_unstable();
        assert_eq!(turns, (0..REPORT_TURNS).collect::<Vec<_>>());
    }
    #[test]
    fn hastened_turns_reach_each_leg_once_within_a_second() {
        let mut timers = Timers::new(4);
        timers.start_reports(at(0));
        timers.pop_reports(at(100));
        timers.hasten_reports();
        let mut turns = Vec::new();
        for ms in 130..1_130 {
            turns.extend(timers.pop_reports(at(ms)));
        }
        turns.sort_unstable();
        assert_eq!(turns, (0..REPORT_TURNS).collect::<Vec<_>>());
        let after = timers.next().unwrap();
        assert!(after > at(1_090) && after < at(1_200), "as before: {after:?}");
        timers.pop_reports(after);
        assert_eq!(timers.next(), Some(after + REPORT_INTERVAL / REPORT_TURNS as u32));
    }
}
