//! What the kernel tells of a process. Source: proc(5).

use std::time::Duration;

/// A running process, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// User and system time of all its threads so far.
    pub cpu: Duration,
    /// Resident memory, in KiB.
    pub rss_kib: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Process {
    /// Returns this very process.
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// Reads everything; `None` if the process is gone.
    pub fn read(self) -> Option<Reading> {
        let status = self.file("status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.0)).ok();
        Some(Reading {
            cpu: self.cpu()?,
            rss_kib: field("VmRSS:"),
            descriptors: descriptors.map(|entries| entries.count() as u64),
            threads: field("Threads:"),
        })
    }

    /// Returns user and system time of all threads so far; `None` if the process is gone.
    pub fn cpu(self) -> Option<Duration> {
        cpu_of(&self.file("stat")?)
    }

    /// Returns the process that does the work of a wrapper: the last in the line of only children
    /// that runs `program`, or this one.
    pub fn behind_wrapper(self, program: &str) -> Self {
        let mut process = self;
        for _ in 0..WRAPPERS_MAX {
            if process.file("comm").is_some_and(|name| name.trim() == program) {
                return process;
            }
            let children = process.file(&format!("task/{}/children", process.0));
            let child = children.and_then(|list| list.split_whitespace().next()?.parse().ok());
            let Some(child) = child else { return self };
            process = Self(child);
        }
        self
    }

    fn file(self, name: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.0)).ok()
    }
}

/// Reads fields 14 and 15 of `stat`; the kernel scales them so that their sum is exact.
fn cpu_of(stat: &str) -> Option<Duration> {
    // The name may hold spaces, but ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(TICK * u32::try_from(ticks).ok()?)
}

/// The kernel's unit of time for programs: USER_HZ is 100 on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// Wrappers around one command, such as `nice` in a script.
const WRAPPERS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_behind_a_name_with_parentheses() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(3_000)));
        assert_eq!(cpu_of("42 (short) S 1"), None);
    }

    #[test]
    fn own_process_is_readable_and_a_missing_one_is_not() {
        let own = Process::own().read().unwrap();
        assert!(own.rss_kib.unwrap() > 0 && own.threads.unwrap() > 0);
        assert!(own.descriptors.unwrap() > 0);
        assert_eq!(Process(u32::MAX).read(), None);
    }
}
