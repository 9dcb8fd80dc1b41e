//! `sabha join`: a member that says a WAV file or what a microphone hears, and records or plays.

mod quality;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sabha_client::media::{
    MemberCommand, MemberMedia, MemberReport, MemberSettings, Schedule, Sink, Source, TalkerVolume,
    Utterance, WavSink,
};
use sabha_client::member::{Device, Leg, NodeSession};
use sabha_client::processing::MicrophoneSettings;
use sabha_client::sound::{Clip, WavRecorder};
use sabha_core::message::{Event, Mode, RosterChange};
use sabha_core::signalling::{ClientCredentials, SignallingEndpoint};
use sabha_core::{Clock, Identity};
use sabha_media::codec::{FRAME_SAMPLES, Frame};
use sabha_media::leg::LegRole;
use sabha_media::rtp::PayloadType;
use sabha_media::shard::MediaEpoch;
use sabha_transport::{Clock as MediaClock, Driver, DriverConfig, MediaSocket, PollDriver};

use super::devices;
use crate::{
    cli::{Failure, JoinArgs, Progress, Shutdown, output},
    config::{ClientConfig, Config},
};

/// Joins, sends the file, records, and leaves when the file or the time is over.
///
/// # Errors
/// `Failure` if a file cannot be used, host or node refuse, or the session breaks.
pub async fn run(config: &Config, args: JoinArgs) -> Result<(), Failure> {
    let mut shutdown = Shutdown::listen()?;
    let clock = Clock::system();
    let identity = Identity::load(clock.now(), &config.identity.dir)?;
    let voice = Voice::open(&args)?;
    let sink = open_sink(&args)?;
    let (session, leg) = join(config, &args, clock, identity).await?;
    let answer = leg.answer.clone();
    let given = args.seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let lasts = given.or_else(|| voice.length.map(|length| length + TAIL));
    let socket = MediaSocket::bind(local_address(&config.client, leg.media))?;
    let media_clock = MediaClock::process();
    let settings = MemberSettings {
        microphone: voice.microphone,
        sidetone: args.speaker.is_some(),
        ..member_settings(leg, &config.client, media_clock.now())
    };
    let media = MemberMedia::new(&settings, voice.source, sink)?;
    let driver = PollDriver::start(
        DriverConfig { real_time: true, ..DriverConfig::default() },
        media_clock,
    )?;
    let key = driver.add(socket, media).map_err(|error| error.reason)?;
    tracing::info!(conference = %session.conference(), leg = %answer.leg, "joined");
    if answer.mode == Mode::Mixer && !args.volumes.is_empty() {
        tracing::warn!(
            "this conference is mixed, so --volume changes nothing; ask its host for a bridge"
        );
    }

    let progress = match lasts {
        Some(lasts) => Progress::bar("talking and listening", lasts.as_secs()),
        None => Progress::spinner("talking and listening"),
    };
    let ended = tokio::select! {
        () = shutdown.requested() => Ok("you ended it".to_owned()),
        () = wait(lasts, &progress) => Ok("all is said".to_owned()),
        ended = follow(&session, |talker| {
            let wanted = args.volumes.iter().find(|volume| volume.user == talker.user);
            if let Some(volume) = wanted {
                let wanted = TalkerVolume { volume: volume.factor, ..TalkerVolume::default() };
                let sent = driver.send(key, MemberCommand::SetVolume(talker.ssrc, wanted));
                if let Err(error) = sent {
                    tracing::warn!(user = %talker.user, error = %error.reason, "--volume was not set");
                }
            }
        }) => ended,
        never = quality::follow(&driver, key) => never,
    };
    driver.send(key, MemberCommand::Leave).map_err(|error| error.reason)?;
    let left = session.leave(answer.leg).await;
    session.session().close("left");
    let mut report = MemberReport::default();
    for (_, media) in driver.shutdown() {
        report = media.report();
        media.finish()?;
    }
    drop(progress);
    let why = ended?;
    if let Err(error) = left {
        tracing::debug!(%error, "the node did not confirm that we left");
    }
    print_report(&report, &why, args.output.as_deref())?;
    Ok(())
}

/// What a member says.
struct Voice {
    source: Box<dyn Source>,
    /// Unless it goes on for ever.
    length: Option<Duration>,
    /// What is done to it, if it is live.
    microphone: Option<MicrophoneSettings>,
}

impl Voice {
    fn open(args: &JoinArgs) -> Result<Self, Failure> {
        if let Some(name) = &args.microphone {
            let settings = MicrophoneSettings {
                echo_cancellation: !args.no_echo_cancellation,
                noise_suppression: !args.no_noise_suppression,
                gain_control: !args.no_gain_control,
            };
            let source = devices::microphone(name)?;
            return Ok(Self { source, length: None, microphone: Some(settings) });
        }
        let Some(input) = &args.input else {
            return Err(Failure::usage("give --in or --microphone"));
        };
        let clip = Clip::read(input)?;
        let length = Duration::from_secs_f64(clip.seconds());
        if args.repeat {
            let source = Box::new(Loop::new(clip.samples));
            return Ok(Self { source, length: None, microphone: None });
        }
        let said = Utterance { start: 0, samples: clip.samples.into() };
        let source = Box::new(Schedule::new(vec![said], 0.0, 1));
        Ok(Self { source, length: Some(length), microphone: None })
    }
}

fn open_sink(args: &JoinArgs) -> Result<Box<dyn Sink>, Failure> {
    if let Some(name) = &args.speaker {
        return devices::speaker(name);
    }
    let Some(output) = &args.output else { return Err(Failure::usage("give --out or --speaker")) };
    Ok(Box::new(WavSink::new(WavRecorder::create(output)?)))
}

async fn join(
    config: &Config,
    args: &JoinArgs,
    clock: Clock,
    identity: Identity,
) -> Result<(NodeSession, Leg), Failure> {
    let credentials = ClientCredentials::new(&clock, &identity)?;
    let endpoint = SignallingEndpoint::client(config.client.listen)?;
    let device = Device::new(endpoint, credentials, identity, clock);
    let ticket = device.register(&args.link, LegRole::Member).await?;
    let session = device.connect(ticket).await?;
    let leg = session.join(LegRole::Member).await?;
    Ok((session, leg))
}

/// Makes a member's settings from what the node allotted and this device's configuration.
pub fn member_settings(
    leg: Leg,
    config: &ClientConfig,
    start: sabha_media::time::Instant,
) -> MemberSettings {
    let Leg { answer, media, send_key, receive_key } = leg;
    MemberSettings {
        node: media,
        send_key,
        receive_key,
        send_ssrc: answer.send_ssrc,
        receive_ssrcs: answer.receive_ssrcs,
        mode: answer.mode,
        payload_type: PayloadType(answer.payload_type),
        red_payload_type: answer.red_payload_type.map(PayloadType),
        epoch: MediaEpoch { counter: answer.epoch.counter, rank: answer.epoch.rank },
        cname: answer.cname,
        encoder: config.encoder,
        playout_delay: config.playout_delay,
        start,
        clock_ppm: 0,
        microphone: None,
        sidetone: false,
        log_timing: false,
        tap: None,
    }
}

/// Returns where to bind the media socket: the configured address if it is of the node's family.
pub fn local_address(config: &ClientConfig, node: SocketAddr) -> SocketAddr {
    let configured = config.listen;
    match (configured.is_ipv4() == node.is_ipv4(), node.is_ipv4()) {
        (true, _) => SocketAddr::new(configured.ip(), 0),
        (false, true) => SocketAddr::from(([0, 0, 0, 0], 0)),
        (false, false) => SocketAddr::from(([0_u16; 8], 0)),
    }
}

async fn wait(lasts: Option<Duration>, progress: &Progress) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let started = tokio::time::Instant::now();
    loop {
        tokio::select! {
            _ = second.tick() => progress.set(started.elapsed().as_secs()),
            () = tokio::time::sleep_until(started + lasts.unwrap_or(FOREVER)) => return,
        }
    }
}

/// Tells what the node tells, and `joined` who is there, until the conference or the session ends.
async fn follow(
    session: &NodeSession,
    mut joined: impl FnMut(&RosterChange),
) -> Result<String, Failure> {
    loop {
        match session.event().await? {
            Event::Ended { reason, .. } => return Ok(format!("the conference is over: {reason}")),
            Event::Muted { user, muted, .. } => tracing::info!(%user, muted, "muted or unmuted"),
            Event::Roster { changes, .. } => {
                let present = changes.iter().filter(|change| change.joined).count();
                tracing::debug!(present, changes = changes.len(), "roster");
                changes.iter().filter(|change| change.joined).for_each(&mut joined);
            }
        }
    }
}

fn print_report(report: &MemberReport, why: &str, output: Option<&Path>) -> Result<(), Failure> {
    let round_trip = report
        .round_trip
        .map_or("unknown".to_owned(), |trip| format!("{:.1} ms", trip.as_secs_f64() * 1_000.0));
    let quality = report
        .quality()
        .map_or("nothing was heard".to_owned(), |one| quality::line(&one, report.bitrate));
    output::print(&format!(
        "left: {why}\nsent {} packets, received {}, lost {}, concealed {}\njitter {:.1} ms, round \
         trip {round_trip}\n{quality}\n",
        report.packets_out,
        report.packets_in,
        report.lost,
        report.concealed,
        report.jitter.as_secs_f64() * 1_000.0,
    ))?;
    if let Some(output) = output {
        output::print(&format!("recorded {}\n", output.display()))?;
    }
    if !report.connected {
        return Err(Failure::new(
            "the node was never heard on the media path; check that UDP passes the firewalls",
        ));
    }
    Ok(())
}

/// A voice that says the same again and again.
struct Loop {
    samples: Vec<f32>,
    next: usize,
}

impl Loop {
    fn new(samples: Vec<f32>) -> Self {
        Self { samples, next: 0 }
    }
}

impl Source for Loop {
    fn fill(&mut self, frame: &mut Frame) -> bool {
        *frame = [0.0; FRAME_SAMPLES];
        if self.samples.is_empty() {
            return false;
        }
        for sample in frame {
            *sample = self.samples[self.next];
            self.next = (self.next + 1) % self.samples.len();
        }
        true
    }
}

/// After the last word: what the others' packets and buffers take to arrive.
const TAIL: Duration = Duration::from_secs(1);

/// Longer than any conference.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
