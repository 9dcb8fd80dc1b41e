//! The command `run`: a node, conferences, and what their members heard.
//!
//! This process holds the conferences and watches; the members are in worker processes.

mod args;
mod child;
mod findings;
mod hosts;
mod machine;
mod node_metrics;
mod plan;
mod proc;
mod progress;
mod stage;
mod table;
mod watch;
mod workers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sabha_client::sound::mark::MARKS;
use sabha_core::identity::bundle::{self, BundleError};
use sabha_core::message::Mode;
use sabha_core::{Clock, NodeId};
use thiserror::Error;

pub use self::{args::RunArgs, workers::WORKER_COMMAND};

use self::args::RunMode;
use self::findings::{Gathered, Traffic};
use self::hosts::{ConferencePlan, HostError, Hosts};
use self::node_metrics::Sending;
use self::proc::Process;
use self::progress::Display;
use self::stage::{Stage, StageError, parse_node};
use self::watch::{Usage, Watch};
use self::workers::{Workers, WorkersError};
use crate::floor::{self, FloorPlan};
use crate::report::{self, Floor, Record, ReportError, Steady};
use crate::worker::message::{Order, Span, WorkerPlan, WorkerResult};
use crate::worker::speech::Pattern;

/// A run cannot be done, or is not held.
#[derive(Debug, Error)]
pub enum RunError {
    /// CA or node.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The conferences.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The members.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The identities given.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There are too few of them.
    #[error("{wanted} identities are needed (one is the host's), and the file holds {there}")]
    TooFew {
        /// Members and a host.
        wanted: usize,
        /// In the file.
        there: usize,
    },
    /// Arguments that do not fit each other.
    #[error("{0}")]
    Usage(String),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The system.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// The bounds.
    #[error("the run is not held: {0} of its checks failed; see {1}")]
    NotHeld(usize, String),
}

/// Where the members go.
struct Target {
    identities: PathBuf,
    place: Place,
    process: Option<Process>,
    metrics: Option<SocketAddr>,
}

enum Place {
    Node(NodeId, SocketAddr),
    Conference(String),
}

/// What the measured run itself gave.
struct Measured {
    results: Vec<WorkerResult>,
    joining: Span,
    steady: Span,
    steady_seconds: Steady,
    usage: Usage,
    sending: Option<Sending>,
    points: Vec<report::Point>,
}

/// The measured part, as the parent process saw it.
struct Listened {
    steady: Span,
    steady_seconds: Steady,
    usage: Usage,
    sending: Option<Sending>,
}

/// Does a run, writes its report, prints its table.
///
/// # Errors
/// `RunError`, also if the run is not held.
pub fn run(args: &RunArgs) -> Result<(), RunError> {
    check(args)?;
    sabha_transport::raise_descriptor_limit()?;
    std::fs::create_dir_all(&args.out)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let record = runtime.block_on(perform(args))?;
    report::write(&record, &args.out)?;
    table::print(&record, args)?;
    let failed = record.checks.iter().filter(|check| !check.ok).count();
    if !record.held && !args.no_verdict {
        let page = args.out.join("report.html").display().to_string();
        return Err(RunError::NotHeld(failed, page));
    }
    Ok(())
}

fn check(args: &RunArgs) -> Result<(), RunError> {
    let members = u64::from(args.conferences) * u64::from(args.members);
    if members >= MEMBERS_MAX {
        let text = format!("{members} members are more than one machine's ports allow; take fewer");
        return Err(RunError::Usage(text));
    }
    if args.talkers > args.members {
        let text = format!("{} of {} members cannot talk", args.talkers, args.members);
        return Err(RunError::Usage(text));
    }
    if args.noisy > args.members - args.talkers {
        let text = format!(
            "of {} members who do not talk, {} cannot be noisy",
            args.members - args.talkers,
            args.noisy
        );
        return Err(RunError::Usage(text));
    }
    if args.pattern == Pattern::Alternate && args.talkers < 2 {
        return Err(RunError::Usage("to alternate takes two talkers".to_owned()));
    }
    if args.mode == RunMode::Bridge {
        check_bridge(args)?;
    }
    if !(0.0..=100.0).contains(&args.loss) || args.churn < 0.0 {
        return Err(RunError::Usage("a loss is from 0 to 100 %, a churn not below 0".to_owned()));
    }
    Ok(())
}

fn check_bridge(args: &RunArgs) -> Result<(), RunError> {
    if args.talkers > MARKS.into() {
        let text = format!(
            "{} talkers of a bridge cannot be told apart; take up to {MARKS}",
            args.talkers
        );
        return Err(RunError::Usage(text));
    }
    if args.listener_packet.frames().is_some_and(|frames| frames > 1) {
        let text = "a bridge sends packets as they come, of 20 ms; leave out --listener-packet";
        return Err(RunError::Usage(text.to_owned()));
    }
    Ok(())
}

async fn perform(args: &RunArgs) -> Result<Record, RunError> {
    let mut display = Display::new();
    let mut record = new_record(args);
    // How a bridge gathers is known only after the run.
    if args.talkers > 0 && !args.no_floor && args.mode == RunMode::Mixer {
        display.step("measuring what bare sending costs");
        let frames = args.listener_packet.frames().unwrap_or(1);
        let bytes_mean = BYTES_PER_PACKET + BYTES_PER_FRAME * f64::from(frames);
        record.floor_before = measure_floor(args, Traffic::mixed(bytes_mean, frames)).await;
    }
    display.step("making identities and starting the node");
    let stage = match args.target {
        Some(_) => None,
        None => Some(Stage::build(args).await?),
    };
    let target = match &stage {
        Some(stage) => {
            record.driver = stage.driver.clone();
            record.node.version = stage.version.clone();
            record.node.shards = Some(args.shards);
            let place = Place::Node(stage.node_id, stage.node_address);
            Target {
                identities: stage.identities.clone(),
                place,
                process: stage.process,
                metrics: stage.metrics,
            }
        }
        None => given_target(args)?,
    };
    let measured = measure(args, &target, &mut display).await;
    let cleared = match stage {
        Some(stage) => stage.clear().await,
        None => Ok(()),
    };
    let measured = measured?;
    cleared?;
    let traffic = fill(args, measured, &mut record);
    if let (Some(traffic), false) = (traffic, args.no_floor || args.talkers == 0) {
        display.step("measuring what bare sending costs");
        record.floor_after = measure_floor(args, traffic).await;
    }
    let floors = [&record.floor_before, &record.floor_after].into_iter().flatten();
    let floors: Vec<_> = floors.map(|floor| floor.cpu_us_per_packet).collect();
    record.floor_cpu_us_per_packet =
        (!floors.is_empty()).then(|| floors.iter().sum::<f64>() / floors.len() as f64);
    record.judge();
    Ok(record)
}

fn new_record(args: &RunArgs) -> Record {
    Record {
        members: args.members_all(),
        talkers: args.conferences * args.talkers_each(),
        mode: args.mode.name().to_owned(),
        conferences: args.conferences,
        seconds: f64::from(args.seconds),
        parameters: machine::parameters(args),
        machine: machine::machine(),
        ..Record::default()
    }
}

fn given_target(args: &RunArgs) -> Result<Target, RunError> {
    let (Some(target), Some(identities)) = (&args.target, &args.identities) else {
        return Err(RunError::Usage("a --target needs --identities".to_owned()));
    };
    let is_link = target.starts_with("sabha:");
    if is_link && args.conferences > 1 {
        return Err(RunError::Usage("a join link is of one conference".to_owned()));
    }
    let place = if is_link {
        Place::Conference(target.clone())
    } else {
        let (node, address) = parse_node(target)?;
        Place::Node(node, address)
    };
    let process = args.target_pid.map(Process);
    Ok(Target { identities: identities.clone(), place, process, metrics: None })
}

/// Lets everybody join, measures, and ends.
async fn measure(
    args: &RunArgs,
    target: &Target,
    display: &mut Display,
) -> Result<Measured, RunError> {
    display.step("creating conferences");
    let (hosts, links) = open_conferences(args, target).await?;
    let mut plans = plan::worker_plans(args, &target.identities);
    for plan in &mut plans {
        let conferences = plan.members.iter().map(|one| one.conference);
        plan.links = conferences.map(|number| (number, links[number as usize].clone())).collect();
    }
    display.step("preparing members");
    let mut workers = Workers::start(&plans, &args.out).await?;
    let mut processes = workers.processes();
    processes.push(Process::own());
    let mut watch = Watch::new(target.process, processes);
    let joining = join(args, &plans, &mut workers, &mut watch, display).await?;
    let listened = listen(args, &mut workers, &mut watch, target.metrics, display).await?;
    display.step("listening to what was recorded");
    let results = workers.finish().await?;
    if let Some(hosts) = hosts {
        hosts.close();
    }
    let Listened { steady, steady_seconds, usage, sending } = listened;
    let points = watch.into_points();
    Ok(Measured { results, joining, steady, steady_seconds, usage, sending, points })
}

async fn open_conferences(
    args: &RunArgs,
    target: &Target,
) -> Result<(Option<Hosts>, Vec<String>), RunError> {
    let (node, address) = match &target.place {
        Place::Conference(link) => return Ok((None, vec![link.clone()])),
        Place::Node(node, address) => (*node, *address),
    };
    let identities = bundle::load(Clock::system().now(), &target.identities)?;
    let members = args.members_all() as usize;
    let Some(host) = identities.get(members).cloned() else {
        return Err(RunError::TooFew { wanted: members + 1, there: identities.len() });
    };
    let users: Vec<_> = identities[..members].iter().map(|one| one.user().clone()).collect();
    let talkers = u16::try_from(args.talkers_each()).unwrap_or(u16::MAX);
    let plan = ConferencePlan {
        conferences: args.conferences,
        members_each: args.members,
        talkers_max: talkers.clamp(TALKERS_MIN, stage::TALKERS_MAX),
        mode: match args.mode {
            RunMode::Mixer => Mode::Mixer,
            RunMode::Bridge => Mode::Bridge,
        },
    };
    let hosts = Hosts::open(host, (node, address), plan, &users).await?;
    let links = hosts.links().iter().map(ToString::to_string).collect();
    Ok((Some(hosts), links))
}

/// Lets the early ones join, then the others; returns how long the others, or all, took.
async fn join(
    args: &RunArgs,
    plans: &[WorkerPlan],
    workers: &mut Workers,
    watch: &mut Watch,
    display: &mut Display,
) -> Result<Span, RunError> {
    let all: Vec<_> = plans.iter().map(|plan| plan.members.len()).collect();
    if args.early > 0 {
        let early: Vec<_> = plans.iter().map(|plan| plan::early_of(args, plan)).collect();
        workers.join(&early, |progress| display.point("joining", watch.note(progress))).await?;
        for _ in 0..EARLY_SETTLING_S {
            let progress = workers.second().await?;
            display.point("early members listen", watch.note(progress));
        }
        // Open-ended: whatever happens until the warm-up ends counts.
        let now = now();
        workers.order(Order::Joining(Span { from: now, to: i64::MAX })).await?;
    }
    let span =
        workers.join(&all, |progress| display.point("joining", watch.note(progress))).await?;
    if args.early > 0 {
        let settled = now() + EARLY_AFTER.as_nanos() as i64;
        workers.order(Order::Joining(Span { from: span.from, to: settled })).await?;
    }
    Ok(span)
}

/// Warms up and measures.
async fn listen(
    args: &RunArgs,
    workers: &mut Workers,
    watch: &mut Watch,
    metrics: Option<SocketAddr>,
    display: &mut Display,
) -> Result<Listened, RunError> {
    let from = now() + i64::from(args.warm_up()) * SECOND;
    let steady = Span { from, to: from + i64::from(args.seconds) * SECOND };
    workers.order(Order::Steady(steady)).await?;
    if args.churn > 0.0 {
        workers.order(Order::Churn(args.churn / workers.processes().len() as f64)).await?;
    }
    let mut begun = None;
    let mut ended = None;
    loop {
        let progress = tokio::select! {
            progress = workers.second() => progress?,
            () = until(steady.from), if begun.is_none() => {
                let sent = sending(metrics).await;
                begun = Some((watch.moment(), watch.seconds(), sent));
                continue;
            }
            () = until(steady.to), if ended.is_none() => {
                let now = (watch.moment(), watch.seconds(), None);
                let (moment, from_s, sent) = begun.unwrap_or(now);
                let steady_seconds = Steady { from_s, to_s: watch.seconds() };
                let usage = watch.usage_since(moment);
                let sent = sending(metrics).await.zip(sent).map(|(now, then)| now.since(then));
                ended = Some((steady_seconds, usage, sent));
                continue;
            }
        };
        let step = if begun.is_none() { "warming up" } else { "measuring" };
        display.point(step, watch.note(progress));
        if let (Some((steady_seconds, usage, sending)), true) =
            (ended, now() > steady.to + AFTERGLOW)
        {
            return Ok(Listened { steady, steady_seconds, usage, sending });
        }
    }
}

async fn sending(metrics: Option<SocketAddr>) -> Option<Sending> {
    Sending::read(metrics?).await
}

fn fill(args: &RunArgs, measured: Measured, record: &mut Record) -> Option<Traffic> {
    let Measured { results, joining, steady, steady_seconds, usage, .. } = measured;
    let sending = measured.sending;
    let traffic = Gathered { args, results, steady, usage, sending }.fill(record);
    record.join_seconds = Some((joining.to - joining.from) as f64 / 1e9);
    record.node_rss_growth_ratio = steady_seconds.memory_growth(&measured.points);
    record.series = measured.points;
    record.steady = Some(steady_seconds);
    traffic
}

/// Measures the floor for traffic like the run's; a floor that cannot be measured is left out.
async fn measure_floor(args: &RunArgs, traffic: Traffic) -> Option<Floor> {
    let plan = FloorPlan {
        sockets: (args.members_all() as usize).min(FLOOR_SOCKETS_MAX),
        sizes: vec![traffic.bytes_mean.round() as usize],
        interval: traffic.interval,
        cohorts: traffic.frames as usize,
        gather: traffic.gather,
        seconds: FLOOR_SECONDS,
    };
    match tokio::task::spawn_blocking(move || floor::measure(&plan)).await {
        Ok(Ok(floor)) => Some(floor),
        Ok(Err(error)) => {
            tracing::warn!(%error, "there is no floor to compare with");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "there is no floor to compare with");
            None
        }
    }
}

/// Returns the time, in ns since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

async fn until(at: i64) {
    let left = u64::try_from(at - now()).unwrap_or(0);
    tokio::time::sleep(Duration::from_nanos(left)).await;
}

/// Fewer than the local ports that one address has for sockets.
const MEMBERS_MAX: u64 = 20_000;

/// One second in ns.
const SECOND: i64 = 1_000_000_000;

/// After the measured part members still listen, as ears play half a second late; in ns.
const AFTERGLOW: i64 = 1_200_000_000;

/// How long early members listen before the others begin to join.
const EARLY_SETTLING_S: u32 = 3;

/// How long after the last join the early members' gaps still count.
const EARLY_AFTER: Duration = Duration::from_secs(2);

/// Talkers heard at once, at least.
const TALKERS_MIN: u16 = 3;

/// How long each floor is measured, and with how many sockets at most.
const FLOOR_SECONDS: f64 = 5.0;
const FLOOR_SOCKETS_MAX: usize = 16_000;

/// A packet of the mix before its size is measured: header, sources, levels and tag; and a frame
/// at 64 kbit/s.
const BYTES_PER_PACKET: f64 = 52.0;
const BYTES_PER_FRAME: f64 = 160.0;
