//! A worker: a process with part of the members.
//!
//! Told by its parent on stdin what to do, tells on stdout how it goes. Members are real: each has
//! a certificate, sessions, keys and a media socket of its own. Talkers have a driver's thread for
//! themselves, so that they are in time however much the listeners receive.

pub mod hall;
pub mod message;
pub mod speech;
pub mod tally;

mod analysis;
mod contact;
mod ear;
mod forwarded;
mod joining;
mod ledger;
mod member;
mod opus_frames;
mod programme;
mod scene;
mod schedule;
mod voice;
mod wall;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sabha_client::sound::MarkDetector;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use analysis::Analysis;
use member::LoadMember;
use message::{Order, Progress, Span, Told, WorkerPlan, WorkerResult};
use scene::{Drivers, Scene, SceneError};

/// A worker cannot do its part.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// What the parent said cannot be read.
    #[error("the parent said something unexpected: {0}; workers are started by `run` only")]
    Order(String),
    /// The parent is gone.
    #[error("the parent is gone")]
    Gone,
    /// The members cannot be prepared.
    #[error(transparent)]
    Scene(#[from] SceneError),
    /// The system refused something.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Does a parent's orders until it is told to finish.
///
/// # Errors
/// `WorkerError`, which the parent is told too.
pub fn run() -> Result<(), WorkerError> {
    sabha_transport::raise_descriptor_limit()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve());
    if let Err(error) = &outcome {
        tell(&Told::Failed(error.to_string()));
    }
    // Sessions' tasks that are still there are of no more use.
    runtime.shutdown_background();
    outcome
}

async fn serve() -> Result<(), WorkerError> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let plan: WorkerPlan = read(&mut lines).await?;
    let (scene, drivers) = Scene::build(plan)?;
    let scene = Arc::new(scene);
    tell(&Told::Ready);
    let progress = tokio::spawn(tell_progress(scene.clone()));
    let mut churning: Option<JoinHandle<()>> = None;
    let mut next = 0;
    loop {
        match read(&mut lines).await? {
            Order::Join(until) => {
                let span = join(&scene, next, until).await;
                next = until;
                tell(&Told::Joined(span));
            }
            Order::Joining(span) => scene.set_joining(span),
            Order::Steady(span) => scene.set_steady(span),
            Order::Churn(rate) => churning = Some(tokio::spawn(churn(scene.clone(), rate))),
            Order::Finish => break,
        }
    }
    progress.abort();
    if let Some(churning) = churning {
        churning.abort();
    }
    let result = finish(&scene, drivers).await;
    tell(&Told::Result(Box::new(result)));
    Ok(())
}

async fn read<T: serde::de::DeserializeOwned>(
    lines: &mut Lines<BufReader<Stdin>>,
) -> Result<T, WorkerError> {
    let line = lines.next_line().await?.ok_or(WorkerError::Gone)?;
    serde_json::from_str(&line).map_err(|error| WorkerError::Order(error.to_string()))
}

/// Writes one line; a parent that is gone is noticed when the next order is read.
fn tell(told: &Told) {
    if let Ok(line) = serde_json::to_string(told) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

async fn tell_progress(scene: Arc<Scene>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let (packets_in, late60) = scene.received();
        tell(&Told::Progress(Progress {
            joined: scene.counts.joined.load(Ordering::Relaxed),
            not_joined: scene.counts.not_joined.load(Ordering::Relaxed),
            packets_in,
            late60,
        }));
    }
}

/// Lets the members from `next` to `until` join, some at once; returns how long it took.
async fn join(scene: &Arc<Scene>, next: usize, until: usize) -> Span {
    let from = scene.now();
    let places = Arc::new(Semaphore::new(scene.plan.joins_max.max(1)));
    let mut pace = scene
        .plan
        .join_rate
        .map(|rate| tokio::time::interval(Duration::from_secs_f64(1.0 / rate.max(RATE_MIN))));
    let mut tasks = JoinSet::new();
    for index in next..until.min(scene.plan.members.len()) {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        // Never closed, so there always is a place in the end.
        let place = places.clone().acquire_owned().await;
        let scene = scene.clone();
        tasks.spawn(async move {
            scene.admit(index).await;
            drop(place);
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
    Span { from, to: scene.now() }
}

/// Lets members leave and join again, one after the other, at a rate.
async fn churn(scene: Arc<Scene>, rate: f64) {
    let churners: Vec<_> =
        (0..scene.plan.members.len()).filter(|index| scene.plan.members[*index].churns).collect();
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / rate.max(RATE_MIN)));
    for index in churners.into_iter().cycle() {
        pace.tick().await;
        tokio::spawn(scene.clone().replace(index));
    }
}

/// Ends everything and makes the result.
async fn finish(scene: &Arc<Scene>, drivers: Drivers) -> WorkerResult {
    scene.end();
    let mut result = scene.result();
    for counters in [drivers.crowd.counters(), drivers.voices.counters()] {
        result.receive_overflows += counters.dropped_receive_full;
        result.send_failures += counters.dropped_send_full + counters.dropped_send_other;
    }
    let mut members: Vec<LoadMember> = Vec::new();
    members.extend(drivers.crowd.shutdown().into_iter().map(|(_, member)| member));
    members.extend(drivers.voices.shutdown().into_iter().map(|(_, member)| member));
    scene.endpoints.close().await;
    for member in &members {
        result.tallies.push(scene.tally_of(member));
        result.turns += scene.turns_of(member);
        result.marks_sent.extend(scene.marks_of(member));
    }
    result.ears = listen(scene, &members);
    result
}

/// Analyses what the ears recorded, on all cores.
fn listen(scene: &Scene, members: &[LoadMember]) -> Vec<message::EarResult> {
    let detector = MarkDetector::new();
    let analysis = Analysis {
        wall: scene.wall,
        said: scene.plan.pattern.never_pauses().then_some(&scene.repertoire),
        shift: scene::shift,
        talkers_each: scene.plan.talkers_each,
        has_marks: scene.plan.pattern.has_marks(),
        is_bridged: scene.plan.is_bridged,
        detector: &detector,
    };
    let ears: Vec<_> = members.iter().filter(|member| member.ear().is_some()).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let parts = ears.chunks(ears.len().div_ceil(cores).max(1)).map(|part| {
            let analysis = &analysis;
            scope.spawn(move || {
                let heard = part.iter().filter_map(|member| {
                    let talker = scene.talker_of(member.tally().member);
                    Some(analysis.of(member.tally(), talker, member.ear()?))
                });
                heard.collect::<Vec<_>>()
            })
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

/// The slowest pace: one in a thousand seconds; keeps a pace of 0 from being a division by it.
const RATE_MIN: f64 = 0.001;
