//! A program that is started, says things line by line, and is ended.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child as TokioChild, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::proc::Process;

/// A program did not do as expected.
#[derive(Debug, Error)]
pub enum ChildError {
    /// It could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// What was to be started.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended or took too long instead of saying something.
    #[error("{program} did not say {wanted:?} within {} s; see {log}", .within.as_secs())]
    Silent {
        /// Who.
        program: String,
        /// What was waited for.
        wanted: String,
        /// How long.
        within: Duration,
        /// Where its log is.
        log: String,
    },
    /// It did not take what it was told.
    #[error("{program} is gone ({source}); see {log}")]
    Gone {
        /// Who.
        program: String,
        /// The system's reason.
        source: io::Error,
        /// Where its log is.
        log: String,
    },
    /// It did not end in order.
    #[error("{program} did not end in order: {how}; see {log}")]
    End {
        /// Who.
        program: String,
        /// What happened instead.
        how: String,
        /// Where its log is.
        log: String,
    },
}

/// A running program; killed if dropped before its end.
pub struct Child {
    program: String,
    log: String,
    child: TokioChild,
    stdin: Option<ChildStdin>,
}

/// What a program says, line by line.
pub struct Said {
    program: String,
    log: String,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts a command; its log goes to `log`.
    ///
    /// # Errors
    /// `ChildError::Start`.
    pub fn start(
        mut command: Command,
        program: &str,
        log: &Path,
    ) -> Result<(Self, Said), ChildError> {
        let failed = |source| ChildError::Start { program: program.to_owned(), source };
        let errors = std::fs::File::create(log).map_err(failed)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed(io::Error::other("no stdout")))?;
        let lines = BufReader::new(stdout).lines();
        let (program, log) = (program.to_owned(), log.display().to_string());
        let said = Said { program: program.clone(), log: log.clone(), lines };
        Ok((Self { program, log, child, stdin }, said))
    }

    /// Returns the process, while it runs.
    pub fn process(&self) -> Option<Process> {
        self.child.id().map(Process)
    }

    /// Writes a line to it.
    ///
    /// # Errors
    /// `ChildError::Gone`.
    pub async fn tell(&mut self, line: &str) -> Result<(), ChildError> {
        let gone = |source| ChildError::Gone {
            program: self.program.clone(),
            source,
            log: self.log.clone(),
        };
        let stdin = self.stdin.as_mut().ok_or_else(|| gone(io::ErrorKind::BrokenPipe.into()))?;
        stdin.write_all(line.as_bytes()).await.map_err(gone)?;
        stdin.write_all(b"\n").await.map_err(gone)?;
        stdin.flush().await.map_err(gone)
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// `ChildError::End` if it takes longer than `within`, or reports failure.
    pub async fn wait(mut self, within: Duration) -> Result<(), ChildError> {
        self.stdin = None;
        let how = match timeout(within, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it still ran after {} s", within.as_secs()),
        };
        Err(ChildError::End { program: self.program.clone(), how, log: self.log.clone() })
    }
}

impl Said {
    /// Waits for the next line that it says; `wanted` names it for people. Cancelling loses nothing.
    ///
    /// # Errors
    /// `ChildError::Silent` if none comes in time.
    pub async fn line(&mut self, wanted: &str, within: Duration) -> Result<String, ChildError> {
        match timeout(within, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            _ => Err(ChildError::Silent {
                program: self.program.clone(),
                wanted: wanted.to_owned(),
                within,
                log: self.log.clone(),
            }),
        }
    }
}

/// Asks a process to end (SIGTERM).
///
/// # Errors
/// The system's, if it cannot be asked.
pub async fn terminate(process: Process) -> io::Result<()> {
    let status = Command::new("kill").args(["-TERM", &process.0.to_string()]).status().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}
