//! The worker processes, as their parent sees them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::child::{Child, ChildError, Said};
use super::proc::Process;
use crate::worker::message::{Order, Progress, Span, Told, WorkerPlan, WorkerResult};

/// A worker does not do its part.
#[derive(Debug, Error)]
pub enum WorkersError {
    /// It does not run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// It cannot go on.
    #[error("a process with members cannot go on: {0}")]
    Failed(String),
    /// It ended, or took too long.
    #[error("a process with members did not say {0}; see its log, worker-*.log")]
    Silent(String),
    /// It said something else than expected.
    #[error("a process with members said {0:?}; this is a mistake in this program")]
    Unexpected(String),
}

/// All workers of a run.
pub struct Workers(Vec<Worker>);

struct Worker {
    child: Child,
    /// What it told last of how it goes.
    progress: Arc<Mutex<Progress>>,
    /// All else that it tells.
    told: mpsc::Receiver<Result<Told, WorkersError>>,
}

impl Workers {
    /// Starts a process for each plan, and waits until all are ready.
    ///
    /// # Errors
    /// `WorkersError`.
    pub async fn start(plans: &[WorkerPlan], out: &Path) -> Result<Self, WorkersError> {
        let mut workers = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            let mut worker = Worker::start(&out.join(format!("worker-{number}.log")))?;
            worker.child.tell(&json(plan)).await?;
            workers.push(worker);
        }
        for worker in &mut workers {
            match worker.next("that it is ready", READY_MAX).await? {
                Told::Ready => {}
                other => return Err(unexpected(&other)),
            }
        }
        Ok(Self(workers))
    }

    /// Returns the processes.
    pub fn processes(&self) -> Vec<Process> {
        self.0.iter().filter_map(|worker| worker.child.process()).collect()
    }

    /// Gives all the same order.
    ///
    /// # Errors
    /// `WorkersError` if one is gone.
    pub async fn order(&mut self, order: Order) -> Result<(), WorkersError> {
        for worker in &mut self.0 {
            worker.child.tell(&json(&order)).await?;
        }
        Ok(())
    }

    /// Lets members join until as many of each worker have as `until` says; tells how it goes.
    ///
    /// # Errors
    /// `WorkersError` if one is gone.
    pub async fn join(
        &mut self,
        until: &[usize],
        mut each: impl FnMut(Progress),
    ) -> Result<Span, WorkersError> {
        for (worker, until) in self.0.iter_mut().zip(until) {
            worker.child.tell(&json(&Order::Join(*until))).await?;
        }
        let mut sum: Option<Span> = None;
        for at in 0..self.0.len() {
            let told = loop {
                tokio::select! {
                    told = self.0[at].told.recv() => {
                        break told.ok_or_else(|| WorkersError::Silent("all joined".into()))??;
                    }
                    () = tokio::time::sleep(SECOND) => each(self.progress()),
                }
            };
            let Told::Joined(span) = told else { return Err(unexpected(&told)) };
            let before = sum.unwrap_or(span);
            sum = Some(Span { from: before.from.min(span.from), to: before.to.max(span.to) });
        }
        Ok(sum.unwrap_or_default())
    }

    /// Waits a second, and returns how all go.
    ///
    /// # Errors
    /// `WorkersError` if one is gone.
    pub async fn second(&mut self) -> Result<Progress, WorkersError> {
        tokio::time::sleep(SECOND).await;
        for worker in &mut self.0 {
            if let Ok(told) = worker.told.try_recv() {
                return Err(unexpected(&told?));
            }
        }
        Ok(self.progress())
    }

    /// Ends all and returns their results.
    ///
    /// # Errors
    /// `WorkersError` if one does not tell its result.
    pub async fn finish(mut self) -> Result<Vec<WorkerResult>, WorkersError> {
        self.order(Order::Finish).await?;
        let mut results = Vec::new();
        for mut worker in self.0 {
            match worker.next("its result", RESULT_MAX).await? {
                Told::Result(result) => results.push(*result),
                other => return Err(unexpected(&other)),
            }
            worker.child.wait(END_MAX).await?;
        }
        Ok(results)
    }

    fn progress(&self) -> Progress {
        let mut sum = Progress::default();
        for worker in &self.0 {
            let progress = *worker.progress.lock().unwrap_or_else(PoisonError::into_inner);
            sum.joined += progress.joined;
            sum.not_joined += progress.not_joined;
            sum.packets_in += progress.packets_in;
            sum.late60 += progress.late60;
        }
        sum
    }
}

impl Worker {
    fn start(log: &Path) -> Result<Self, WorkersError> {
        let program = std::env::current_exe()
            .map_err(|source| ChildError::Start { program: "a worker".to_owned(), source })?;
        let mut command = Command::new(program);
        command.arg(WORKER_COMMAND);
        let (child, said) = Child::start(command, "a worker", log)?;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let (sender, told) = mpsc::channel(TOLD_MAX);
        tokio::spawn(follow(said, progress.clone(), sender));
        Ok(Self { child, progress, told })
    }

    /// Waits for what it tells next, progress aside.
    async fn next(&mut self, wanted: &str, within: Duration) -> Result<Told, WorkersError> {
        match tokio::time::timeout(within, self.told.recv()).await {
            Ok(Some(told)) => told,
            _ => Err(WorkersError::Silent(wanted.to_owned())),
        }
    }
}

/// Reads what a worker says until it ends.
async fn follow(
    mut said: Said,
    progress: Arc<Mutex<Progress>>,
    told: mpsc::Sender<Result<Told, WorkersError>>,
) {
    loop {
        let heard = match said.line("how it goes", SILENCE_MAX).await {
            Ok(line) => serde_json::from_str(&line).map_err(|_| WorkersError::Unexpected(line)),
            Err(error) => Err(error.into()),
        };
        let heard = match heard {
            Ok(Told::Progress(now)) => {
                *progress.lock().unwrap_or_else(PoisonError::into_inner) = now;
                continue;
            }
            Ok(Told::Failed(why)) => Err(WorkersError::Failed(why)),
            other => other,
        };
        let is_last = !matches!(heard, Ok(Told::Ready | Told::Joined(_)));
        if told.send(heard).await.is_err() || is_last {
            return;
        }
    }
}

fn unexpected(told: &Told) -> WorkersError {
    let mut text = json(told);
    text.truncate(200);
    WorkersError::Unexpected(text)
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("messages are plain data with text keys")
}

/// The hidden command that makes a process a worker.
pub const WORKER_COMMAND: &str = "worker";

/// How long a worker may take to read identities and encode what is said.
const READY_MAX: Duration = Duration::from_secs(120);

/// A worker tells something every second; its result, and on a busy machine all, takes a while.
const SILENCE_MAX: Duration = RESULT_MAX;

/// What waits to be read of one worker; it tells little beside its progress.
const TOLD_MAX: usize = 16;

const SECOND: Duration = Duration::from_secs(1);

/// How long a worker may take to listen to what was recorded.
const RESULT_MAX: Duration = Duration::from_secs(300);

/// How long a worker that told its result may take to end.
const END_MAX: Duration = Duration::from_secs(30);
