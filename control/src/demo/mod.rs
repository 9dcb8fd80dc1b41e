//! `sabha demo`: a whole network on this machine, and what everybody heard.
//!
//! CA and node are child processes; the members run here, each with a certificate, sessions and a
//! media socket of its own. Nothing bypasses the network.

mod cast;
mod children;
mod findings;
mod forwarding;
mod measure;
pub mod report;
mod script;
mod stage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sabha_client::network::NetworkPlan;
use sabha_client::sound::built_in::built_in_clips;
use sabha_client::sound::recorder::write_wav;
use sabha_client::sound::{Clip, read_speech_dir};

use sabha_core::message::Mode;

use crate::cli::{DemoArgs, Failure, Progress, output};
use crate::config::Config;
use crate::node::NodeReport;
use cast::{Cast, Recording};
use findings::{Findings, Performance};
use report::{Envelope, Timeline, Track, html, table};
use script::Script;
use stage::Stage;

/// Runs the demonstration, writes its report, and prints a table of what was found.
///
/// # Errors
/// `Failure` if it cannot be run, or if any check fails.
pub async fn run(config: &Config, args: DemoArgs) -> Result<(), Failure> {
    let members = args.members.unwrap_or(MEMBERS) as usize;
    let clips = match &args.speech {
        Some(dir) => read_speech_dir(dir)?,
        None => built_in_clips(),
    };
    if clips.is_empty() {
        return Err(Failure::new("there is no speech to say; name a folder with --speech"));
    }
    let out = Out::create(&args.out)?;
    let performance =
        perform(config, &clips, members, (&args.mode, args.network.as_ref()), &out).await?;
    let progress = Progress::spinner("listening to what was recorded");
    let findings = tokio::task::spawn_blocking(move || Findings::of(performance)).await?;
    drop(progress);
    out.write(&findings)?;
    output::print(&table(&findings.report))?;
    output::line(format_args!("report {}", out.dir.join("report.html").display()))?;
    if !findings.report.ok {
        let failed = findings.report.checks.len() - findings.report.checks_held();
        return Err(Failure::new(&format!("{failed} checks failed; see the table")));
    }
    Ok(())
}

/// Builds the stage, lets the cast play the script, and clears the stage.
async fn perform(
    config: &Config,
    clips: &[Clip],
    members: usize,
    (mode, network): (&Mode, Option<&NetworkPlan>),
    out: &Out,
) -> Result<Performance, Failure> {
    let script = Script::new(clips, members);
    let progress = Progress::bar("enrolling", members as u64 + 1);
    let stage = Stage::build(&out.state, members, &progress).await?;
    drop(progress);
    let cast = Cast::assemble(config, &stage, &script, (mode, network)).await?;
    let seconds = cast.duration().as_secs();
    let progress = Progress::bar("talking and listening", seconds);
    let node_cpu = cast.play(&stage, &progress).await;
    drop(progress);
    let recordings = cast.leave().await?;
    let (node, ended_in_order) = stage.clear()?;
    Ok(Performance { mode: mode.clone(), script, recordings, node, node_cpu, ended_in_order })
}

/// Where the demonstration writes.
struct Out {
    dir: PathBuf,
    /// Keys, certificates, logs: made anew each time.
    state: PathBuf,
}

impl Out {
    fn create(dir: &Path) -> Result<Self, Failure> {
        let state = dir.join("state");
        let failed = |error: std::io::Error| {
            let path = dir.display();
            Failure::new(&format!("cannot write to {path}: {error}; name another with --out"))
        };
        if state.exists() {
            std::fs::remove_dir_all(&state).map_err(failed)?;
        }
        std::fs::create_dir_all(&state).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), state })
    }

    fn write(&self, findings: &Findings) -> Result<(), Failure> {
        for recording in &findings.recordings {
            write_wav(&self.dir.join(recording.wav()), &recording.heard)?;
            if let Some(said) = &recording.said {
                write_wav(&self.dir.join(recording.reference_wav()), said)?;
            }
        }
        let text = findings.report.to_json()?;
        std::fs::write(self.dir.join("report.json"), text)?;
        let page = html(&findings.report, &timeline(findings));
        std::fs::write(self.dir.join("report.html"), page)?;
        Ok(())
    }
}

fn timeline(findings: &Findings) -> Timeline {
    let duration_ms = findings.duration.as_millis() as u64;
    let track = |recording: &Recording, pcm: &[f32]| Track {
        user: recording.user.clone(),
        envelope: Envelope::of(pcm, 0.0, duration_ms, ENVELOPE_COLUMNS),
    };
    let said = findings.recordings.iter();
    let said = said.filter_map(|recording| Some(track(recording, recording.said.as_ref()?)));
    let listener = findings.recordings.iter().find(|recording| recording.said.is_none());
    Timeline {
        duration_ms,
        said: said.collect(),
        heard: listener.map(|recording| track(recording, &recording.heard)),
    }
}

/// What a node counted, or nothing if it left no report.
fn read_node_report(path: &Path) -> Result<NodeReport, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(&format!("the node left no report at {}: {error}", path.display()))
    })?;
    Ok(serde_json::from_str(&text)?)
}

/// Members unless asked for otherwise.
const MEMBERS: u32 = 12;

/// Columns of a waveform: two for each point of a wide screen.
const ENVELOPE_COLUMNS: usize = 2_000;

/// How long after its plan the demonstration still listens: playout delay and what is on the way.
const AFTERGLOW: Duration = Duration::from_millis(500);
