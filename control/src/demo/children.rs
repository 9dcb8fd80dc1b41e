//! CA and node as child processes of the demonstration.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use thiserror::Error;

/// A child did not do as expected.
#[derive(Debug, Error)]
pub enum ChildError {
    /// It could not be started.
    #[error("cannot start `sabha {command}`: {source}")]
    Start {
        /// What it was to do.
        command: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended, or did not say where it listens.
    #[error("`sabha {command}` did not say {wanted:?} within {seconds} s; see {log}")]
    Silent {
        /// What it was to do.
        command: String,
        /// The word that was waited for.
        wanted: String,
        /// How long was waited.
        seconds: u64,
        /// Where its log is.
        log: String,
    },
    /// It did not end in order.
    #[error("`sabha {command}` did not end in order: {how}; see {log}")]
    End {
        /// What it was to do.
        command: String,
        /// What happened instead.
        how: String,
        /// Where its log is.
        log: String,
    },
}

/// A running child. Dropped before `end`, it is killed.
pub struct ChildProcess {
    command: String,
    log: String,
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl ChildProcess {
    /// Starts this very program with `arguments`; its log goes to `log`.
    ///
    /// # Errors
    /// `ChildError::Start`.
    pub fn start(arguments: &[&str], log: &Path) -> Result<Self, ChildError> {
        let command = arguments.first().copied().unwrap_or_default().to_owned();
        let failed = |source| ChildError::Start { command: command.clone(), source };
        let program = std::env::current_exe().map_err(failed)?;
        let errors = std::fs::File::create(log).map_err(failed)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { command, log: log.display().to_string(), child, lines })
    }

    /// Waits for a line that begins with `word`, and returns the rest of it.
    ///
    /// # Errors
    /// `ChildError::Silent` if it does not come, or the child ends.
    pub fn wait_for(&mut self, word: &str) -> Result<String, ChildError> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|_| ChildError::Silent {
                command: self.command.clone(),
                wanted: word.to_owned(),
                seconds: START_MAX.as_secs(),
                log: self.log.clone(),
            })?;
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    /// Returns the CPU time of all the child's threads so far.
    ///
    /// Source: proc(5), `/proc/[pid]/stat` fields 14 and 15, in ticks of 10 ms.
    pub fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name may hold spaces, but ends with the last parenthesis.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 =
            fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 10))
    }

    /// Asks the child to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// `ChildError::End` if it takes too long or reports failure.
    pub fn end(mut self) -> Result<(), ChildError> {
        let failed = |how: String, this: &Self| ChildError::End {
            command: this.command.clone(),
            how,
            log: this.log.clone(),
        };
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        if !told.as_ref().is_ok_and(ExitStatus::success) {
            return Err(failed(format!("it could not be told to ({told:?})"), &self));
        }
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(failed(status.to_string(), &self)),
                Ok(None) => std::thread::sleep(END_PAUSE),
                Err(error) => return Err(failed(error.to_string(), &self)),
            }
        }
        Err(failed(format!("it still ran after {} s", END_MAX.as_secs()), &self))
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Nothing is left to do if it cannot be killed.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How long a child may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// How long a child may take to end.
const END_MAX: Duration = Duration::from_secs(10);

/// How often an ending child is looked at.
const END_PAUSE: Duration = Duration::from_millis(20);
