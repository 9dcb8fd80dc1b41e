//! What the kernel says of this process.
//!
//! Names and units: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo};

/// This process at one moment, from /proc.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ProcessFigures {
    /// User and system time of all threads.
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) threads: u64,
    pub(super) open_fds: u64,
    /// `None` if there is no limit.
    pub(super) max_fds: Option<u64>,
    /// Since the beginning of 1970.
    pub(super) start_time_seconds: f64,
}

impl ProcessFigures {
    /// Reads them.
    ///
    /// # Errors
    /// If /proc is not mounted, or hides this process from itself.
    pub(super) fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let tick_hz = procfs::ticks_per_second() as f64;
        let max_fds = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(max) => Some(max),
            LimitValue::Unlimited => None,
        };
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / tick_hz,
            resident_bytes: stat.rss_bytes().get(),
            virtual_bytes: stat.vsize,
            threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            open_fds: process.fd_count()? as u64,
            max_fds,
            start_time_seconds: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / tick_hz,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_descriptors_and_a_past() {
        let figures = ProcessFigures::read().expect("/proc is mounted where tests run");
        assert!(figures.resident_bytes > 1 << 20, "{figures:?}");
        assert!(figures.virtual_bytes > figures.resident_bytes, "{figures:?}");
        assert!(figures.threads >= 1 && figures.open_fds >= 3, "{figures:?}");
        // Any time in this century, and a start before now.
        assert!((1e9..1e10).contains(&figures.start_time_seconds), "{figures:?}");
    }
}
