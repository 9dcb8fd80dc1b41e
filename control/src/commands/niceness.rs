//! Lets media threads go first where the system gives them no real time.

use procfs::process::{Process, Task};
use rustix::process::{Pid, setpriority_process};

/// Makes every thread of this process but the media threads nice, unless those run in real time
/// and go first anyway. Threads that these start are as nice.
///
/// Media threads are known by their names, which begin with `prefix`.
pub(super) fn yield_to_media(prefix: &str) {
    let Ok(tasks) = Process::myself().and_then(|process| process.tasks()) else { return };
    let tasks: Vec<_> =
        tasks.flatten().filter_map(|task| Some((name_and_policy(&task)?, task.tid))).collect();
    let is_media = |name: &str| name.starts_with(prefix);
    let all_real_time = tasks
        .iter()
        .filter(|((name, _), _)| is_media(name))
        .all(|((_, policy), _)| *policy == POLICY_RR);
    if all_real_time {
        return;
    }
    for ((name, _), tid) in &tasks {
        if !is_media(name) {
            // A thread may be gone by now, and nobody is kept from being nicer.
            let _ = setpriority_process(Pid::from_raw(*tid), NICENESS);
        }
    }
    tracing::info!(niceness = NICENESS, "signalling yields to media threads without real time");
}

fn name_and_policy(task: &Task) -> Option<(String, u32)> {
    let stat = task.stat().ok()?;
    Some((stat.comm, stat.policy?))
}

/// SCHED_RR, as sched_setscheduler(2) numbers it.
const POLICY_RR: u32 = 2;

/// How much nicer signalling is than media: it gets a tenth of a core that both want. Source:
/// sched(7), a factor of 1.25 for each step. Chosen: signalling that waits a little is not heard.
const NICENESS: i32 = 10;
