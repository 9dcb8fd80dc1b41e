//! The CPU quota that the process runs under, if any, and how much of it is used.
//!
//! A cgroup with a quota stops all its threads once they have used it up, for the rest of the
//! period. Nothing in a thread's own time warns of that before it happens; so the quota is read
//! from the cgroup, of version 1 or 2, and compared with the CPU time used.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Reads the process' quota and its use of it.
#[derive(Debug)]
pub(crate) struct QuotaMeter {
    dirs: Vec<QuotaDir>,
    cores: Option<f64>,
    cores_read_at: Instant,
    last: Option<Used>,
}

/// CPU time used so far, by the whole process and by its media threads.
#[derive(Clone, Copy, Debug)]
struct Used {
    at: Instant,
    process: Duration,
    media: Duration,
}

/// What share of the quota was used since the last reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct QuotaShare {
    /// By the whole process.
    pub(crate) process: f64,
    /// By its media threads.
    pub(crate) media: f64,
}

/// A cgroup's folder, in which it keeps its quota.
#[derive(Clone, Debug, PartialEq, Eq)]
enum QuotaDir {
    /// Version 1: `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    V1(PathBuf),
    /// Version 2: `cpu.max`.
    V2(PathBuf),
}

impl QuotaMeter {
    /// Finds the process' cgroups, and the ones that they lie in.
    pub(crate) fn new(now: Instant) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let dirs = quota_dirs(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        let cores = cores(&dirs);
        if let Some(cores) = cores {
            tracing::info!(cores, "the process has a CPU quota");
        }
        Self { dirs, cores, cores_read_at: now, last: None }
    }

    /// Returns the shares used since the last call; `None` without a quota, and at first.
    pub(crate) fn read(&mut self, now: Instant, media: Duration) -> Option<QuotaShare> {
        if now.duration_since(self.cores_read_at) >= CORES_INTERVAL {
            (self.cores, self.cores_read_at) = (cores(&self.dirs), now);
        }
        let used = Used { at: now, process: process_cpu(), media };
        let last = self.last.replace(used)?;
        let quota = self.cores? * now.duration_since(last.at).as_secs_f64();
        if quota <= 0.0 {
            return None;
        }
        let share = |after: Duration, before| after.saturating_sub(before).as_secs_f64() / quota;
        Some(QuotaShare {
            process: share(used.process, last.process),
            media: share(used.media, last.media),
        })
    }
}

impl QuotaDir {
    /// Returns the quota in cores; `None` if there is none here.
    fn cores(&self) -> Option<f64> {
        let read = |dir: &Path, name| std::fs::read_to_string(dir.join(name)).ok();
        let (quota, period) = match self {
            Self::V1(dir) => (read(dir, "cpu.cfs_quota_us")?, read(dir, "cpu.cfs_period_us")?),
            Self::V2(dir) => {
                let max = read(dir, "cpu.max")?;
                let (quota, period) = max.trim().split_once(' ')?;
                (quota.to_owned(), period.to_owned())
            }
        };
        // Without a quota: -1 in version 1, "max" in version 2.
        let quota: u64 = quota.trim().parse().ok()?;
        let period: u64 = period.trim().parse().ok().filter(|period| *period > 0)?;
        Some(quota as f64 / period as f64)
    }
}

/// Returns the CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

fn process_cpu() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Returns the tightest quota of all; those inside lie within those outside.
fn cores(dirs: &[QuotaDir]) -> Option<f64> {
    dirs.iter().filter_map(QuotaDir::cores).min_by(f64::total_cmp)
}

/// Returns the folders of the process' cgroups for CPU, innermost first.
///
/// Source: proc(5), cgroups(7): lines of `cgroup` are `ID:CONTROLLERS:PATH`; fields 4 and 5 of
/// `mountinfo` are the mounted root and where, and the file system follows ` - `.
fn quota_dirs(cgroup: &str, mountinfo: &str) -> Vec<QuotaDir> {
    let mut dirs = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|controller| controller == "cpu") {
            continue;
        }
        for mount in mountinfo.lines() {
            let Some((root, place)) = cpu_mount(mount, is_v2) else { continue };
            // In a container the path may lie outside of what is mounted: then it is the root.
            let inside = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
            let found = inside.ancestors().take(DEPTH_MAX).map(|inside| place.join(inside));
            let dir = if is_v2 { QuotaDir::V2 } else { QuotaDir::V1 };
            dirs.extend(found.map(dir));
        }
    }
    dirs
}

/// Returns the mounted root and its place, if this is a mount of cgroups for CPU.
fn cpu_mount(line: &str, is_v2: bool) -> Option<(&Path, &Path)> {
    let (place, file_system) = line.split_once(" - ")?;
    let mut fields = file_system.split(' ');
    let (kind, options) = (fields.next()?, fields.nth(1)?);
    let is_cpu = match is_v2 {
        true => kind == "cgroup2",
        false => kind == "cgroup" && options.split(',').any(|option| option == "cpu"),
    };
    let mut fields = place.split(' ').skip(3);
    is_cpu.then_some((Path::new(fields.next()?), Path::new(fields.next()?)))
}

/// How often the quota itself is read: it is changed by hand, if ever.
const CORES_INTERVAL: Duration = Duration::from_secs(10);

/// Cgroups that lie in one another; the kernel's own limit is higher, nobody goes near it.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "9:name=systemd:/\n2:cpuacct:/\n1:cpu:/outer/inner\n0::/elsewhere\n";
    const V1_MOUNTS: &str = "\
30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
31 29 0:27 / /sys/fs/cgroup/cpuacct rw,relatime shared:10 - cgroup cgroup rw,cpuacct
32 29 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn cgroups_of_both_versions_are_found_with_those_around_them() {
        let v1 = |path: &str| QuotaDir::V1(Path::new("/sys/fs/cgroup/cpu").join(path));
        let v2 = |path: &str| QuotaDir::V2(Path::new("/sys/fs/cgroup/unified").join(path));
        let dirs = quota_dirs(V1, V1_MOUNTS);
        assert_eq!(dirs, [v1("outer/inner"), v1("outer"), v1(""), v2("elsewhere"), v2("")]);
    }

    #[test]
    fn container_that_sees_only_its_own_cgroup_finds_it() {
        let mounts = "40 39 0:29 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let own = [QuotaDir::V2("/sys/fs/cgroup".into())];
        assert_eq!(quota_dirs("0::/docker/abc\n", mounts), own);
        assert_eq!(quota_dirs("0::/\n", mounts), own);
    }

    #[test]
    fn nonsense_has_no_quota() {
        assert!(quota_dirs("", "").is_empty());
        assert!(quota_dirs("::::\n1:cpu\n", "- - -\n 1 2 - cgroup2\n").is_empty());
        assert_eq!(cores(&[QuotaDir::V2("/nowhere".into())]), None);
    }

    #[test]
    fn tightest_quota_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
        };
        let v1 = QuotaDir::V1(dir.path().into());
        let v2 = QuotaDir::V2(dir.path().into());
        write("cpu.cfs_period_us", "100000\n");
        write("cpu.cfs_quota_us", "-1\n");
        write("cpu.max", "max 100000\n");
        assert_eq!(cores(&[v1.clone(), v2.clone()]), None);
        write("cpu.cfs_quota_us", "50000\n");
        assert_eq!(cores(&[v1.clone(), v2.clone()]), Some(0.5));
        write("cpu.max", "20000 100000\n");
        assert_eq!(cores(&[v1, v2]), Some(0.2));
    }

    #[test]
    fn share_is_of_the_time_since_the_last_reading() {
        let now = Instant::now();
        let dirs = Vec::new();
        let mut meter = QuotaMeter { dirs, cores: Some(0.5), cores_read_at: now, last: None };
        assert_eq!(meter.read(now, Duration::ZERO), None);
        let later = now + Duration::from_secs(1);
        let share = meter.read(later, Duration::from_millis(200)).unwrap();
        assert!((share.media - 0.4).abs() < 1e-9);
        meter.cores = None;
        assert_eq!(meter.read(later + Duration::from_secs(1), Duration::ZERO), None);
    }
}
