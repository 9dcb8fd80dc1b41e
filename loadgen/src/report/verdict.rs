//! When a run is `held`, and which further goals apply to a run of its size.

use super::check::{Bound, Check};
use super::model::Record;

impl Record {
    /// Fills `checks`, `goals` and `held` from what was measured; called once all else is filled.
    pub fn judge(&mut self) {
        self.checks = self.held_checks();
        self.goals = self.goal_checks();
        self.held = !self.checks.is_empty() && self.checks.iter().all(|check| check.ok);
    }

    /// Everybody is there, and hears what is due in time; bounds: see the constants.
    fn held_checks(&self) -> Vec<Check> {
        let present = self.joined.map(|joined| joined + self.refused.unwrap_or(0));
        let mut checks = vec![
            Check::new(
                "members admitted or refused",
                present.map(|count| count as f64),
                Bound::Exactly(self.members.into()),
                "",
            ),
            Check::new("members lost", count(self.lost), Bound::Exactly(0.0), ""),
        ];
        if !self.parameters.expect_refusals {
            checks.push(Check::new("members refused", count(self.refused), NONE, ""));
        }
        if self.talkers > 0 {
            checks.extend(self.sound_checks());
        }
        checks
    }

    fn sound_checks(&self) -> Vec<Check> {
        let mut checks = vec![
            Check::new("packets received of those due", self.received_ratio, RECEIVED, ""),
            Check::new("the same, worst member", self.worst_member_ratio, WORST_MEMBER, ""),
            Check::new("packets later than 60 ms", self.late60_ratio, LATE60, ""),
            Check::new("drift of the delay", self.delay_drift_ms, DRIFT, "ms"),
            Check::new("payload mismatches", count(self.payload_mismatches), NONE, ""),
        ];
        if self.is_bridged() {
            checks.extend(self.bridge_checks());
            return checks;
        }
        // Two members who only listen are what a comparison needs; talkers hear mixes of their own.
        if self.parameters.members_each >= self.parameters.talkers_each + 2 {
            let compared = count(self.frames_compared);
            checks.push(Check::new("frames compared", compared, Bound::AtLeast(1.0), ""));
            let unmatched = share(self.frames_unmatched, self.frames_compared);
            checks.push(Check::new("frames that nobody else had", unmatched, UNMATCHED, ""));
        }
        checks
    }

    /// Everybody receives what was said, once, as from whom it was, and nothing else.
    fn bridge_checks(&self) -> Vec<Check> {
        let none = |name, value| Check::new(name, count(value), NONE, "");
        let mut checks = vec![
            Check::new("packets compared", count(self.frames_compared), Bound::AtLeast(1.0), ""),
            none("frames received twice, or own", self.doubled),
            none("packets of those who say nothing", self.noise_received),
            none("packets that name another talker", self.unsourced),
            none("sequence numbers that do not go on", self.sequence_breaks),
        ];
        let all_fit = self.parameters.talkers_each <= TALKERS_FORWARDED;
        if all_fit && self.turns.is_some_and(|turns| turns > 0) {
            let missing = self.onset_missing_ms_p99;
            checks.push(Check::new("missing of an onset, 99th percentile", missing, ONSET, "ms"));
            let turns = Bound::AtMost(self.turns.unwrap_or(0) as f64);
            checks.push(Check::new("switches of a listener", count(self.switches), turns, ""));
        }
        checks
    }

    /// The project's goals for runs of certain sizes; see ARCHITECTURE.md.
    fn goal_checks(&self) -> Vec<Check> {
        let mut goals = Vec::new();
        let mut goal = |name, value, bound, unit| goals.push(Check::new(name, value, bound, unit));
        let one = self.conferences == 1;
        if self.is_bridged() && self.talkers > 0 {
            if one && self.members <= 50 {
                let delay = self.forward_delay_ms_p99;
                goal("delay of forwarding, 99th percentile", delay, FORWARD_P99, "ms");
            }
            if one && self.members == 1_000 && self.talkers == 3 {
                let cpu = self.node_cpu_ms_per_member_second;
                goal("node CPU for a member-second", cpu, CPU_BRIDGED, "ms");
            }
        } else if self.talkers > 0 && self.parameters.listener_packet == "20" {
            goal("added delay, median", self.added_delay_ms_p50, DELAY_P50, "ms");
            goal("added delay, 99th percentile", self.added_delay_ms_p99, DELAY_P99, "ms");
            if one && self.members == 1_000 && self.talkers == 3 {
                let cpu = self.node_cpu_ms_per_member_second;
                goal("node CPU for a member-second", cpu, CPU_PER_MEMBER_SECOND, "ms");
            }
        }
        let is_20_ms = self.listener_packet_ms == Some(20);
        if self.talkers > 0 && one && is_20_ms && self.members >= 3_000 {
            let over = self.node_cpu_us_per_packet_out.zip(self.floor_cpu_us_per_packet);
            let over = over.map(|(node, floor)| node / floor);
            goal("node CPU for a packet, over the floor", over, OVER_FLOOR, "times");
        }
        if one && self.members >= 10_000 {
            goal("node memory for a member", self.node_rss_kib_per_member, RSS, "KiB");
            if self.talkers > 0 {
                goal("RTCP of all packets", self.rtcp_ratio, RTCP, "");
            }
        }
        if self.members == 1_000 && self.parameters.join_rate.is_none() {
            goal("time until all had joined", self.join_seconds, JOIN, "s");
        }
        if self.talkers == 0 && self.conferences >= 10_000 {
            goal("node CPU of silent conferences", self.node_cpu_cores, IDLE, "cores");
        }
        if (self.parameters.members_each, self.parameters.talkers_each) == (10, 1)
            && self.parameters.complexity == Some(5)
        {
            let rooms = self.node_cpu_cores.map(|cores| f64::from(self.conferences) / cores);
            goal("rooms for each core of the node", rooms, ROOMS, "");
        }
        if self.parameters.expect_refusals && self.talkers > 0 {
            goal("latest packet of the admitted", self.lateness.quantile_ms(1.0), LATEST, "ms");
        }
        if self.parameters.churn > 0.0 {
            goal("descriptors that remained", self.descriptors_left(), DESCRIPTORS, "");
            let growth = self.node_rss_growth_ratio.map(|ratio| (ratio - 1.0) * 100.0);
            goal("growth of the node's memory", growth, GROWTH, "%");
        }
        goals
    }

    /// Descriptors of the node at the end that it had not when the steady part began.
    fn descriptors_left(&self) -> Option<f64> {
        let from_s = self.steady?.from_s;
        let first = self.series.iter().find(|point| point.at_s >= from_s)?.node_descriptors?;
        let last = self.series.last()?.node_descriptors?;
        Some(last as f64 - first as f64)
    }
}

/// Returns which part of all these are.
fn share(these: Option<u64>, others: Option<u64>) -> Option<f64> {
    let (these, others) = (these? as f64, others? as f64);
    Some(these / (these + others).max(1.0))
}

fn count(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

// What `held` means: all that were admitted hear what was due, in time and as it was sent.
const RECEIVED: Bound = Bound::AtLeast(0.995);
const WORST_MEMBER: Bound = Bound::AtLeast(0.98);
const LATE60: Bound = Bound::Below(0.005);
const DRIFT: Bound = Bound::AtMost(20.0);
const NONE: Bound = Bound::Exactly(0.0);
/// One packet: what opens a gate is forwarded with what was kept before it.
const ONSET: Bound = Bound::AtMost(20.0);
/// Talkers that any bridge of a run forwards at once. Source: the run's least `talkers_max`.
const TALKERS_FORWARDED: u32 = 3;
/// Frames around losses, and of those who come and go.
const UNMATCHED: Bound = Bound::Below(0.01);

// Goals, for two cores of which the load generator takes its part.
/// For 20 ms packets: a talker's packet waits half a tick on average, and the tick takes time.
const DELAY_P50: Bound = Bound::AtMost(15.0);
/// A whole tick, and the jitter buffer's worst.
const DELAY_P99: Bound = Bound::AtMost(35.0);
/// 1,000 members, 3 talkers, 20 ms: 50 sends of 3 µs, and what the mixer takes.
const CPU_PER_MEMBER_SECOND: Bound = Bound::AtMost(0.22);
/// The same from a bridge: 150 packets, several in a send.
const CPU_BRIDGED: Bound = Bound::AtMost(0.40);
/// Forwarding in a small room: a packet goes on at once.
const FORWARD_P99: Bound = Bound::AtMost(1.0);
/// Everything that the node does, against bare sending.
const OVER_FLOOR: Bound = Bound::AtMost(1.25);
const RSS: Bound = Bound::AtMost(100.0);

/// RTCP of all packets, both ways, at most: 1 %.
const RTCP: Bound = Bound::AtMost(0.01);
const JOIN: Bound = Bound::AtMost(10.0);
const IDLE: Bound = Bound::Below(0.1);
const GROWTH: Bound = Bound::Below(1.0);
/// Somebody may be reading the metrics at that moment.
const DESCRIPTORS: Bound = Bound::AtMost(2.0);
/// Rooms of 10 with one talker each, at complexity 5.
const ROOMS: Bound = Bound::AtLeast(40.0);
/// Under overload, for those who were let in.
const LATEST: Bound = Bound::AtMost(150.0);

#[cfg(test)]
mod tests {
    use super::super::sample;

    #[test]
    fn good_run_is_held() {
        let record = sample::judged(|_| {});
        assert!(record.held, "{:?}", record.checks);
        assert!(record.goals.iter().all(|goal| goal.ok), "{:?}", record.goals);
    }

    #[test]
    fn each_figure_out_of_bounds_fails_its_check_alone() {
        let failed = |change: fn(&mut _)| -> Vec<String> {
            let record = sample::judged(change);
            assert!(!record.held);
            record.checks.into_iter().filter(|check| !check.ok).map(|check| check.name).collect()
        };
        assert_eq!(failed(|r| r.received_ratio = Some(0.994)), ["packets received of those due"]);
        assert_eq!(failed(|r| r.worst_member_ratio = Some(0.97)), ["the same, worst member"]);
        assert_eq!(failed(|r| r.late60_ratio = Some(0.005)), ["packets later than 60 ms"]);
        assert_eq!(failed(|r| r.delay_drift_ms = Some(21.0)), ["drift of the delay"]);
        assert_eq!(failed(|r| r.payload_mismatches = Some(1)), ["payload mismatches"]);
        let unmatched = failed(|r| r.frames_unmatched = Some(20_000));
        assert_eq!(unmatched, ["frames that nobody else had"]);
        assert_eq!(failed(|r| r.lost = Some(1)), ["members lost"]);
        assert_eq!(failed(|r| r.joined = Some(999)), ["members admitted or refused"]);
    }

    #[test]
    fn what_was_not_measured_is_not_held() {
        assert!(!sample::judged(|record| record.received_ratio = None).held);
        assert!(!sample::judged(|record| record.frames_compared = None).held);
        assert!(!sample::judged(|record| record.joined = None).held);
    }

    #[test]
    fn refusals_are_a_failure_unless_expected() {
        let refuse = |record: &mut super::Record| {
            (record.joined, record.refused) = (Some(900), Some(100));
        };
        assert!(!sample::judged(refuse).held);
        let record = sample::judged(|record| {
            refuse(record);
            record.parameters.expect_refusals = true;
        });
        assert!(record.held);
    }

    #[test]
    fn silent_run_needs_no_packets() {
        let record = sample::judged(|record| {
            (record.talkers, record.parameters.talkers_each) = (0, 0);
            record.received_ratio = None;
            record.late60_ratio = None;
        });
        assert!(record.held);
    }

    #[test]
    fn goals_are_for_their_sizes() {
        let names = |change: fn(&mut super::Record)| -> Vec<String> {
            sample::judged(change).goals.into_iter().map(|goal| goal.name).collect()
        };
        assert!(names(|_| {}).contains(&"node CPU for a member-second".to_owned()));
        assert!(!names(|r| r.members = 999).contains(&"node CPU for a member-second".to_owned()));
        let floor = "node CPU for a packet, over the floor".to_owned();
        assert!(names(|r| r.members = 3_000).contains(&floor) && !names(|_| {}).contains(&floor));
        let rooms = "rooms for each core of the node".to_owned();
        let small = |record: &mut super::Record| {
            (record.parameters.members_each, record.parameters.talkers_each) = (10, 1);
            record.parameters.complexity = Some(5);
        };
        assert!(names(small).contains(&rooms) && !names(|_| {}).contains(&rooms));
    }

    #[test]
    fn each_fault_of_a_bridge_fails_its_check_alone() {
        let failed = |change: fn(&mut super::Record)| -> Vec<String> {
            let record = sample::judged(|record| {
                sample::bridge(record);
                change(record);
            });
            record.checks.into_iter().filter(|check| !check.ok).map(|check| check.name).collect()
        };
        assert_eq!(failed(|_| {}), Vec::<String>::new());
        assert_eq!(failed(|r| r.doubled = Some(1)), ["frames received twice, or own"]);
        assert_eq!(failed(|r| r.noise_received = Some(1)), ["packets of those who say nothing"]);
        assert_eq!(failed(|r| r.unsourced = Some(1)), ["packets that name another talker"]);
        let breaks = failed(|r| r.sequence_breaks = Some(1));
        assert_eq!(breaks, ["sequence numbers that do not go on"]);
        let onset = failed(|r| r.onset_missing_ms_p99 = Some(40.0));
        assert_eq!(onset, ["missing of an onset, 99th percentile"]);
        assert_eq!(failed(|r| r.switches = Some(31)), ["switches of a listener"]);
        assert_eq!(failed(|r| r.frames_compared = Some(0)), ["packets compared"]);
        assert_eq!(failed(|r| r.payload_mismatches = Some(1)), ["payload mismatches"]);
        assert_eq!(failed(|r| r.onset_missing_ms_p99 = None).len(), 1, "not measured");
    }

    #[test]
    fn bridge_has_goals_of_its_own() {
        let goals = |change: fn(&mut super::Record)| -> Vec<(String, bool)> {
            let record = sample::judged(|record| {
                sample::bridge(record);
                change(record);
            });
            record.goals.into_iter().map(|goal| (goal.name, goal.ok)).collect()
        };
        let cpu = "node CPU for a member-second".to_owned();
        assert!(goals(|_| {}).contains(&(cpu.clone(), true)));
        let busy = goals(|r| r.node_cpu_ms_per_member_second = Some(0.41));
        assert!(busy.contains(&(cpu, false)));
        let forward = "delay of forwarding, 99th percentile".to_owned();
        let small = goals(|r| (r.members, r.forward_delay_ms_p99) = (50, Some(1.1)));
        assert!(small.contains(&(forward, false)));
        assert!(!goals(|_| {}).iter().any(|(name, _)| name.starts_with("added delay")));
    }

    #[test]
    fn what_churn_leaves_behind_is_found() {
        let failed = |change: fn(&mut super::Record)| -> Vec<String> {
            let record = sample::judged(|record| {
                record.parameters.churn = 5.0;
                record.node_rss_growth_ratio = Some(1.005);
                change(record);
            });
            record.goals.into_iter().filter(|goal| !goal.ok).map(|goal| goal.name).collect()
        };
        assert_eq!(failed(|_| {}), Vec::<String>::new());
        assert_eq!(
            failed(|r| r.node_rss_growth_ratio = Some(1.01)),
            ["growth of the node's memory"]
        );
        let leak = |record: &mut super::Record| {
            record.series.last_mut().unwrap().node_descriptors = Some(40);
        };
        assert_eq!(failed(leak), ["descriptors that remained"]);
    }
}
