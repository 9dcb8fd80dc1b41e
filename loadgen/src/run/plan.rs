//! Which member does what, and in which process.
//!
//! Members are numbered through: those of the first conference first, and in each the talkers
//! first. A member's number is also its identity's place in the file.

use std::collections::BTreeMap;
use std::path::Path;

use super::args::{RunArgs, RunMode};
use crate::worker::message::{Assignment, WorkerPlan};

/// Makes the plan of each process; links are still to come.
///
/// Each process has all talkers' and a share of the listeners' assignments such that of every
/// conference it holds listeners of, one is the reference for the others.
pub fn worker_plans(args: &RunArgs, identities: &Path) -> Vec<WorkerPlan> {
    let processes = processes(args);
    let mut plans: Vec<_> = (0..processes)
        .map(|_| WorkerPlan {
            seed: args.seed,
            identities: identities.to_owned(),
            links: BTreeMap::new(),
            members: Vec::new(),
            talkers_each: args.talkers_each(),
            pattern: args.pattern,
            is_bridged: args.mode == RunMode::Bridge,
            loss: args.loss.clamp(0.0, 100.0) / 100.0,
            joins_max: (args.joins_max / processes).max(1) as usize,
            join_rate: args.join_rate.map(|rate| rate / f64::from(processes)),
        })
        .collect();
    let mut ears = args.sample.unwrap_or(args.conferences.saturating_mul(EARS_EACH).min(EARS_MAX));
    for conference in 0..args.conferences {
        for assignment in conference_members(args, conference, processes, &mut ears) {
            let process = process_of(args, assignment, processes);
            plans[process as usize].members.push(assignment);
        }
    }
    for plan in &mut plans {
        // Those who are listened with, and listened to, are there before the others.
        plan.members.sort_by_key(|one| (!is_first(one), one.member));
    }
    plans
}

/// Returns how many of a plan's members join first, of `early` of all.
pub fn early_of(args: &RunArgs, plan: &WorkerPlan) -> usize {
    let share = plan.members.len() as u64 * u64::from(args.early.min(args.members_all()));
    let share = share.div_ceil(u64::from(args.members_all().max(1))) as usize;
    let needed = plan.members.iter().filter(|one| is_first(one)).count();
    if args.early == 0 { 0 } else { share.max(needed).min(plan.members.len()) }
}

fn is_first(one: &Assignment) -> bool {
    one.talker.is_some() || one.is_reference || one.has_ear
}

fn processes(args: &RunArgs) -> u32 {
    let members = args.members_all();
    match args.processes {
        0 => members.div_ceil(MEMBERS_PER_PROCESS),
        processes => processes.min(members),
    }
    .clamp(1, PROCESSES_MAX)
}

/// Whole conferences where there are enough of them, else equal parts of each.
fn process_of(args: &RunArgs, one: Assignment, processes: u32) -> u32 {
    if args.conferences >= processes {
        return one.conference % processes;
    }
    (one.member % args.members) % processes
}

fn conference_members(
    args: &RunArgs,
    conference: u32,
    processes: u32,
    ears: &mut u32,
) -> Vec<Assignment> {
    let talkers = args.talkers_each();
    let mut has_reference = vec![false; processes as usize];
    let mut ears_here = 0;
    let mut members: Vec<_> = (0..args.members)
        .map(|place| Assignment {
            member: conference * args.members + place,
            conference,
            talker: (place < talkers).then_some(place),
            is_reference: false,
            has_ear: false,
            churns: false,
            is_noisy: false,
        })
        .collect();
    for one in members.iter_mut().filter(|one| one.talker.is_none()) {
        let process = process_of(args, *one, processes) as usize;
        one.is_reference = !std::mem::replace(&mut has_reference[process], true);
    }
    // First the references, then a talker, then other listeners.
    let order = |one: &Assignment| (!one.is_reference, one.talker != Some(0), one.talker.is_some());
    let mut by_use: Vec<_> = (0..members.len()).collect();
    by_use.sort_by_key(|at| order(&members[*at]));
    let wanted = match args.sample {
        Some(sample) => sample.div_ceil(args.conferences),
        None => EARS_EACH.max(processes + 1),
    };
    for at in by_use {
        if *ears > 0 && ears_here < wanted && talkers > 0 {
            members[at].has_ear = true;
            *ears -= 1;
            ears_here += 1;
        }
    }
    for one in members.iter_mut().rev().take(args.members as usize / CHURNERS_SHARE) {
        one.churns = args.churn > 0.0 && !is_first(one);
    }
    for one in members.iter_mut().rev().take(args.noisy as usize) {
        one.is_noisy = one.talker.is_none();
    }
    members
}

/// Members decoded in each conference, and in all: a listener, a talker, and another listener.
const EARS_EACH: u32 = 3;
const EARS_MAX: u32 = 24;

/// Members in one process: two sockets' worth of descriptors under a limit of 20,000.
const MEMBERS_PER_PROCESS: u32 = 8_000;

/// Processes: more than any machine here has use for.
const PROCESSES_MAX: u32 = 64;

/// Of this many members one may leave and join again: the last ones of each conference.
const CHURNERS_SHARE: usize = 4;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: RunArgs,
    }

    fn plans(line: &str) -> (RunArgs, Vec<WorkerPlan>) {
        let words = std::iter::once("run").chain(line.split_whitespace());
        let args = Cli::parse_from(words).args;
        let plans = worker_plans(&args, Path::new("identities"));
        (args, plans)
    }

    #[test]
    fn every_member_is_in_one_process_with_a_reference_beside_it() {
        for line in [
            "--members 1",
            "--members 20 --talkers 3",
            "--members 10000 --talkers 3",
            "--members 100 --processes 3",
            "--conferences 40 --members 10 --talkers 1 --processes 2",
            "--conferences 10 --members 1 --talkers 0",
        ] {
            let (args, plans) = plans(line);
            let mut numbers = Vec::new();
            for plan in &plans {
                numbers.extend(plan.members.iter().map(|one| one.member));
                for conference in 0..args.conferences {
                    let listeners = plan
                        .members
                        .iter()
                        .filter(|one| one.conference == conference && one.talker.is_none());
                    let (references, all) = listeners.fold((0, 0), |(references, all), one| {
                        (references + u32::from(one.is_reference), all + 1)
                    });
                    assert_eq!(references, u32::from(all > 0), "{line}");
                }
            }
            numbers.sort_unstable();
            let wanted: Vec<_> = (0..args.members_all()).collect();
            assert_eq!(numbers, wanted, "{line}");
        }
    }

    #[test]
    fn ears_are_few_and_hear_talkers_and_listeners() {
        let ears = |line| {
            let (_, plans) = plans(line);
            let all: Vec<_> = plans.iter().flat_map(|plan| plan.members.clone()).collect();
            let ears = all.iter().filter(|one| one.has_ear);
            (ears.clone().count(), ears.filter(|one| one.talker.is_some()).count())
        };
        assert_eq!(ears("--members 1000 --talkers 3"), (3, 1));
        assert_eq!(ears("--conferences 40 --members 10 --talkers 1"), (24, 8));
        assert_eq!(ears("--members 10000 --talkers 3 --sample 10"), (10, 1));
        assert_eq!(ears("--conferences 100 --members 1 --talkers 0"), (0, 0));
    }

    #[test]
    fn early_members_include_all_who_are_needed_to_listen() {
        let (args, plans) = plans("--members 100 --talkers 3 --early 2");
        assert_eq!(early_of(&args, &plans[0]), 5);
        assert!(plans[0].members[..5].iter().all(is_first));
        let (args, plans) = self::plans("--members 100 --early 50");
        assert_eq!(early_of(&args, &plans[0]), 50);
        let (args, plans) = self::plans("--members 100");
        assert_eq!(early_of(&args, &plans[0]), 0);
    }

    #[test]
    fn noisy_members_are_so_many_of_each_conference_and_none_talks() {
        let (_, plans) = plans("--conferences 2 --members 10 --talkers 3 --noisy 7");
        let noisy: Vec<_> = plans[0].members.iter().filter(|one| one.is_noisy).collect();
        assert_eq!(noisy.len(), 14);
        assert!(noisy.iter().all(|one| one.talker.is_none()));
    }

    #[test]
    fn those_who_leave_and_return_are_needed_by_nobody() {
        let (_, plans) = plans("--members 100 --churn 5");
        let churners = plans[0].members.iter().filter(|one| one.churns);
        assert_eq!(churners.clone().count(), 25);
        assert!(churners.clone().all(|one| !is_first(one)));
    }
}
