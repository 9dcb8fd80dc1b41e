//! What all members of a worker share, and how one of them comes and goes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sabha_client::member::{Leg, NodeSession};
use sabha_client::network::Losses;
use sabha_client::random::Random;
use sabha_core::Identity;
use sabha_core::identity::bundle::{self, BundleError};
use sabha_core::message::JoinLink;
use sabha_core::message::join_link::JoinLinkError;
use sabha_core::signalling::EndpointError;
use sabha_media::engine::RECEIVE_STREAMS_MAX;
use sabha_media::rtp::PayloadType;
use sabha_media::shard::MediaEpoch;
use sabha_transport::{
    Clock, Driver, DriverConfig, DriverHandle, DriverSender, EndpointKey, MediaSocket, PollDriver,
    StartError,
};
use thiserror::Error;

use super::ear::Ear;
use super::forwarded::Forwarded;
use super::hall::{Hall, SteadyPart};
use super::joining::{Endpoints, JoinCounts, may_retry};
use super::member::{Kind, LegSettings, LoadMember, Measure, MemberCommand, Part};
use super::message::{Assignment, MarkTime, Span, WorkerPlan, WorkerResult};
use super::programme::{Programme, Timeline};
use super::schedule::Schedule;
use super::speech::{PIECE_FRAMES, Repertoire};
use super::tally::Tally;
use super::voice::Voice;
use super::wall::Wall;
use crate::floor::receivers_config;

/// The members of a worker cannot be prepared.
#[derive(Debug, Error)]
pub enum SceneError {
    /// The identities cannot be used.
    #[error(transparent)]
    Identities(#[from] BundleError),
    /// There are fewer identities than members.
    #[error("{members} members need as many identities, and the file holds {identities}")]
    TooFew {
        /// Members, up to the highest number.
        members: usize,
        /// Identities.
        identities: usize,
    },
    /// A join link cannot be used.
    #[error(transparent)]
    Link(#[from] JoinLinkError),
    /// Signalling has no socket.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A media thread cannot start.
    #[error(transparent)]
    Driver(#[from] StartError),
}

/// What all members of a worker share.
pub struct Scene {
    /// What the worker is for.
    pub plan: WorkerPlan,
    /// What is said.
    pub repertoire: Repertoire,
    /// The clocks.
    pub wall: Wall,
    /// Sockets for signalling.
    pub endpoints: Endpoints,
    /// How joining goes.
    pub counts: Arc<JoinCounts>,
    clock: Clock,
    identities: Vec<Identity>,
    links: BTreeMap<u32, JoinLink>,
    /// What members of each bridged conference know of each other.
    programmes: BTreeMap<u32, Arc<Programme>>,
    /// What `Forwarded::due` says.
    dues: Mutex<Dues>,
    /// Place of each conference in the halls.
    ledgers: BTreeMap<u32, usize>,
    crowd: Place,
    voices: Place,
    joining: SteadyPart,
    steady: SteadyPart,
    is_ending: Arc<AtomicBool>,
    /// Those who may leave and join again, by index.
    present: Mutex<BTreeMap<usize, Present>>,
    /// Tallies of those who left.
    retired: Mutex<Vec<Tally>>,
    churned: std::sync::atomic::AtomicU64,
}

/// Frames of speech and beginnings of talk, by conference and place among the talkers.
type Dues = BTreeMap<(u32, Option<usize>), (u64, u64)>;

/// The threads that members are on.
pub struct Drivers {
    /// Those who only listen.
    pub crowd: DriverHandle<LoadMember>,
    /// Those who talk.
    pub voices: DriverHandle<LoadMember>,
}

/// A driver's thread as seen by tasks.
struct Place {
    driver: DriverSender<LoadMember>,
    hall: Hall,
}

/// A member that may leave.
struct Present {
    session: Arc<NodeSession>,
    key: EndpointKey,
    is_leaving: Arc<AtomicBool>,
}

impl Scene {
    /// Reads identities and links, encodes what is said, and starts the threads.
    ///
    /// # Errors
    /// `SceneError`.
    pub fn build(plan: WorkerPlan) -> Result<(Self, Drivers), SceneError> {
        let clock = Clock::process();
        let now = sabha_core::Clock::system().now();
        let identities = bundle::load(now, &plan.identities)?;
        let members = plan.members.iter().map(|one| one.member as usize + 1).max().unwrap_or(0);
        if members > identities.len() {
            return Err(SceneError::TooFew { members, identities: identities.len() });
        }
        let mut links = BTreeMap::new();
        for (conference, link) in &plan.links {
            links.insert(*conference, link.parse()?);
        }
        let ledgers: BTreeMap<_, _> = plan.links.keys().copied().zip(0..).collect();
        let crowd = DriverConfig { name: "crowd".into(), ..receivers_config() };
        let real_time = true;
        let voices = DriverConfig { name: "voices".into(), real_time, ..DriverConfig::default() };
        let drivers = Drivers {
            crowd: PollDriver::start(crowd, clock)?,
            voices: PollDriver::start(voices, clock)?,
        };
        let place = |driver: &DriverHandle<LoadMember>| Place {
            driver: driver.sender().clone(),
            hall: Hall::new(ledgers.len()),
        };
        let repertoire = Repertoire::new(plan.talkers_each, plan.pattern, plan.seed);
        let wall = Wall::new(clock);
        let scene = Self {
            programmes: programmes(&plan, &repertoire, wall),
            dues: Mutex::default(),
            repertoire,
            wall,
            endpoints: Endpoints::open(plan.members.len())?,
            counts: Arc::new(JoinCounts::default()),
            clock,
            identities,
            links,
            crowd: place(&drivers.crowd),
            voices: place(&drivers.voices),
            ledgers,
            joining: SteadyPart::new(),
            steady: SteadyPart::new(),
            is_ending: Arc::new(AtomicBool::new(false)),
            present: Mutex::default(),
            retired: Mutex::default(),
            churned: std::sync::atomic::AtomicU64::new(0),
            plan,
        };
        Ok((scene, drivers))
    }

    /// Lets a member join, and counts what became of it.
    pub async fn admit(&self, index: usize) {
        let assignment = self.plan.members[index];
        let member = assignment.member as usize;
        let Some(link) = self.links.get(&assignment.conference) else {
            return self.counts.fail_here("its conference has no link");
        };
        let mut attempts = 0;
        let (session, leg) = loop {
            attempts += 1;
            match self.endpoints.join(member, &self.identities[member], link).await {
                Ok(joined) => break joined,
                Err(error) if may_retry(&error) && attempts < ATTEMPTS_MAX => {
                    tracing::info!(member, %error, "tries to join once more");
                }
                Err(error) => return self.counts.fail(&error),
            }
        };
        match self.seat(assignment, leg) {
            Ok(key) => self.attend(index, session, key),
            Err(problem) => self.counts.fail_here(&problem),
        }
    }

    /// Lets a member leave, and join again.
    pub async fn replace(self: Arc<Self>, index: usize) {
        let Some(Present { session, key, is_leaving }) = lock(&self.present).remove(&index) else {
            return;
        };
        is_leaving.store(true, Ordering::Relaxed);
        let driver = &self.crowd.driver;
        if driver.send(key, MemberCommand::Leave).is_ok()
            && let Ok(removed) = driver.remove(key)
            && let Ok(Ok(member)) = tokio::task::spawn_blocking(move || removed.recv()).await
        {
            lock(&self.retired).push(self.tally_of(&member));
        }
        session.session().close("it leaves");
        self.counts.joined.fetch_sub(1, Ordering::Relaxed);
        self.churned.fetch_add(1, Ordering::Relaxed);
        self.admit(index).await;
    }

    /// Sets the part in which others join while ears listen.
    pub fn set_joining(&self, span: Span) {
        self.joining.set(self.wall.instant(span.from), self.wall.instant(span.to));
    }

    /// Sets the part that is measured.
    pub fn set_steady(&self, span: Span) {
        self.steady.set(self.wall.instant(span.from), self.wall.instant(span.to));
    }

    /// Notes that sessions end from now on because the run does.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Returns the time, in ns since the Unix epoch.
    pub fn now(&self) -> i64 {
        self.wall.nanos(self.clock.now())
    }

    /// Returns how many packets were received so far, and how many of them late.
    pub fn received(&self) -> (u64, u64) {
        let halls = [self.crowd.hall.lock(), self.voices.hall.lock()];
        let sum = |of: fn(&super::hall::HallState) -> u64| halls.iter().map(|hall| of(hall)).sum();
        (sum(|hall| hall.packets_in), sum(|hall| hall.late60))
    }

    /// Returns the part of the result that is known here.
    pub fn result(&self) -> WorkerResult {
        let texts = self.counts.texts();
        let mut result = WorkerResult {
            tallies: lock(&self.retired).clone(),
            refusals: texts.refusals,
            failures: texts.failures,
            lost: texts.lost,
            churned: self.churned.load(Ordering::Relaxed),
            ..WorkerResult::default()
        };
        for place in [&self.crowd, &self.voices] {
            let hall = place.hall.lock();
            let compared = hall.compared();
            result.lateness.merge(&hall.lateness);
            result.forwarded.merge(&hall.forwarded);
            result.frames_compared += compared.compared;
            result.payload_mismatches += compared.mismatches;
            result.frames_unmatched += compared.unmatched;
        }
        result
    }

    /// Returns the marks that a member sent, for those who heard them.
    pub fn marks_of(&self, member: &LoadMember) -> Vec<MarkTime> {
        let conference = member.tally().conference;
        let marks = member.marks().iter().map(|(mark, at)| MarkTime {
            conference,
            mark: mark.variant(),
            at: self.wall.nanos(*at),
        });
        marks.collect()
    }

    /// Returns a member's place among the talkers of its conference.
    pub fn talker_of(&self, member: u32) -> Option<u32> {
        self.plan.members.iter().find(|one| one.member == member)?.talker
    }

    /// Returns a member's counts, with what was due to it by schedule.
    pub fn tally_of(&self, member: &LoadMember) -> Tally {
        let mut tally = member.tally().clone();
        let Some(forwarded) = member.forwarded() else { return tally };
        tally.forwarded = Some(*forwarded.tally());
        let key = (tally.conference, forwarded.own());
        let due = *lock(&self.dues).entry(key).or_insert_with(|| forwarded.due(&self.steady));
        (tally.steady.speech_due, tally.steady.onsets_due) = due;
        tally
    }

    /// Returns how often a member began to talk in the steady part, by schedule.
    pub fn turns_of(&self, member: &LoadMember) -> u64 {
        let Some(forwarded) = member.forwarded() else { return 0 };
        let programme = forwarded.programme();
        let frames = programme.frames(&self.steady);
        forwarded.own().map_or(0, |own| programme.turns(own, &frames))
    }

    /// Puts a member with a leg on a driver's thread.
    fn seat(&self, assignment: Assignment, leg: Leg) -> Result<EndpointKey, String> {
        let place = if assignment.talker.is_some() { &self.voices } else { &self.crowd };
        let local = SocketAddr::new(local_ip(leg.media), 0);
        let socket = MediaSocket::bind(local).map_err(|error| error.to_string())?;
        let leg = leg_settings(leg, self.plan.is_bridged)?;
        let part = self.part(assignment, &leg);
        let made = LoadMember::new(leg, part, place.hall.clone(), self.steady.clone());
        let mut parts = (socket, made.map_err(|error| error.to_string())?);
        for _ in 0..SEATINGS_MAX {
            match place.driver.add(parts.0, parts.1) {
                Ok(key) => return Ok(key),
                Err(error) => parts = *error.returned,
            }
            std::thread::yield_now();
        }
        Err("the media thread takes no more members".to_owned())
    }

    fn part(&self, assignment: Assignment, leg: &LegSettings) -> Part {
        let Assignment { member, conference, talker, has_ear, churns, is_noisy, .. } = assignment;
        let mut random = Random::new(self.plan.seed, u64::from(member) + 1_000);
        let start = self.clock.now() + super::ear::FRAME.mul_f64(random.unit());
        let ppm = ((random.unit() - 0.5) * 2.0 * PPM_MAX) as i32;
        let shift = self.wall.frame(start) + shift(conference);
        let noise = match is_noisy {
            true => self.repertoire.loud_noise(),
            false => self.repertoire.noise(),
        };
        let piece = talker.and_then(|talker| self.repertoire.talker(talker)).unwrap_or(noise);
        let voice = Voice::new(piece.clone(), shift, start, ppm);
        let streams = leg.receive_ssrcs.len();
        let ear = || Box::new(Ear::new(start, &self.joining, &self.steady, streams));
        let talks = talker.is_some();
        Part {
            tally: Tally { member, conference, talks, churns, ..Tally::default() },
            measure: self.measure(assignment, leg),
            talker: talker.map(|talker| talker as usize),
            voice: if is_noisy { voice.open() } else { voice },
            ear: has_ear.then(ear),
            losses: Losses::new(self.plan.loss, 0.0),
            random,
        }
    }

    fn measure(&self, assignment: Assignment, leg: &LegSettings) -> Measure {
        let Assignment { conference, talker, is_reference, .. } = assignment;
        let talker_place = talker.map(|talker| talker as usize);
        if let Some(programme) = self.programmes.get(&conference) {
            if let Some(talker) = talker_place {
                programme.note_source(talker, leg.send_ssrc);
            }
            let (programme, streams) = (programme.clone(), leg.receive_ssrcs.len());
            let forwarded = Forwarded::new(programme, talker_place, leg.send_ssrc, streams);
            return Measure::Bridge(Box::new(forwarded));
        }
        let kind = match (talker, is_reference) {
            (Some(_), _) => Kind::Talker,
            (None, true) => Kind::Reference,
            (None, false) => Kind::Listener,
        };
        Measure::Mix(self.ledgers.get(&conference).copied().unwrap_or(0), kind)
    }

    /// Counts a member as joined and follows its session.
    fn attend(&self, index: usize, session: NodeSession, key: EndpointKey) {
        self.counts.joined.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(session);
        let is_leaving = Arc::new(AtomicBool::new(false));
        if self.plan.members[index].churns {
            let (session, is_leaving) = (session.clone(), is_leaving.clone());
            lock(&self.present).insert(index, Present { session, key, is_leaving });
        }
        let (is_ending, counts) = (self.is_ending.clone(), self.counts.clone());
        tokio::spawn(async move {
            let why = loop {
                if let Err(error) = session.event().await {
                    break error;
                }
            };
            if !is_ending.load(Ordering::Relaxed) && !is_leaving.load(Ordering::Relaxed) {
                counts.lose(&why.to_string());
            }
        });
    }
}

fn programmes(
    plan: &WorkerPlan,
    repertoire: &Repertoire,
    wall: Wall,
) -> BTreeMap<u32, Arc<Programme>> {
    let schedule = Arc::new(Schedule::new(repertoire.talkers()));
    let bridged = plan.links.keys().filter(|_| plan.is_bridged);
    let programme = |conference: &u32| {
        let timeline = Timeline { wall, shift: shift(*conference) };
        Arc::new(Programme::new(timeline, repertoire, schedule.clone()))
    };
    bridged.map(|conference| (*conference, programme(conference))).collect()
}

/// Where in its piece a conference is at frame 0 of the day's time: each elsewhere.
pub fn shift(conference: u32) -> u64 {
    u64::from(conference) * SHIFT_STEP % PIECE_FRAMES
}

fn leg_settings(leg: Leg, is_bridged: bool) -> Result<LegSettings, String> {
    let Leg { answer, media, send_key, receive_key } = leg;
    let streams_max = if is_bridged { RECEIVE_STREAMS_MAX } else { 1 };
    let streams = answer.receive_ssrcs.len();
    if !(1..=streams_max).contains(&streams) {
        return Err(format!(
            "the node sends {streams} streams where 1 to {streams_max} are wanted"
        ));
    }
    Ok(LegSettings {
        node: media,
        send_key,
        receive_key,
        send_ssrc: answer.send_ssrc,
        receive_ssrcs: answer.receive_ssrcs,
        payload_type: PayloadType(answer.payload_type),
        red_payload_type: answer.red_payload_type.map(PayloadType),
        epoch: MediaEpoch { counter: answer.epoch.counter, rank: answer.epoch.rank },
    })
}

/// Returns where to bind: loopback towards loopback, as binding wide costs a route look-up each.
fn local_ip(node: SocketAddr) -> std::net::IpAddr {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match (node.ip().is_loopback(), node.is_ipv4()) {
        (true, _) => node.ip(),
        (false, true) => Ipv4Addr::UNSPECIFIED.into(),
        (false, false) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attempts of one member to join, if the first failed for want of an answer.
const ATTEMPTS_MAX: u32 = 2;

/// Attempts to put a member on a thread whose queue is full.
const SEATINGS_MAX: u32 = 100_000;

/// How wrong members' clocks go at most, in millionths.
const PPM_MAX: f64 = 50.0;

/// Prime to `PIECE_FRAMES`, so that neighbouring conferences are far apart in the piece.
const SHIFT_STEP: u64 = 217;
