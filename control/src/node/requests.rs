//! What a node answers to each request.

use std::sync::Arc;
use std::time::Instant;

use sabha_bridge::{Bridge, BridgeSettings};
use sabha_core::admission::{self, Admission, AdmissionError};
use sabha_core::message::{
    Answer, Epoch, Event, JoinAnswer, JoinRequest, PermitList, Refusal, RefusalCode, Request,
    Signed, Ticket,
};
use sabha_core::{Direction, MediaKeyContext, media_key};
use sabha_media::extension::{CLIENT_LEVEL_ID, LevelDbov, MIXER_LEVEL_ID};
use sabha_media::jitter_buffer::JitterSettings;
use sabha_media::leg::LegId;
use sabha_media::rtp::PayloadType;
use sabha_media::shard::{LegGrant, LegRequest, MediaEpoch, ShardError};
use sabha_media::srtp::{MasterKey, SrtpSuite};
use sabha_mixer::{Mixer, MixerSettings};
use tokio::sync::oneshot;

use super::load::gate::Overload;
use super::sessions::NodeSession;
use super::{ConferenceEngine, Inner, Place, ShardCommand};
use crate::coordinator::{Carriage, Conference, CoordinatorError, Created, Muting, RosterEntry};

/// Carries out a request and says what came of it.
pub(crate) async fn answer(
    inner: Arc<Inner>,
    session: Arc<NodeSession>,
    request: Request,
) -> Answer {
    let (inner, session) = (&inner, &session);
    let peer = session.session.peer();
    let outcome = match request {
        Request::CreateConference { permit_list } => create(inner, session, &permit_list).await,
        Request::Join(request) => join(inner, session, &request).await,
        Request::Leave { leg } => leave(inner, session, leg).await,
        Request::Mute { conference, user, muted } => {
            let muting = inner.coordinator().mute(peer, conference, &user, muted);
            match muting {
                Ok(Muting { legs, muted }) => {
                    for leg in legs {
                        inner.shards.order(leg.shard, ShardCommand::SetMuted(leg, muted)).await;
                    }
                    let told = inner.coordinator().conference(conference).map(Conference::sessions);
                    let event = Event::Muted { conference, user, muted };
                    inner.notify(told.unwrap_or_default().into_iter(), &event).await;
                    Ok(Answer::Done {})
                }
                Err(error) => Err(error.refusal()),
            }
        }
        Request::Lock { conference, locked } => {
            let locked = inner.coordinator().lock(peer, conference, locked);
            locked.map(|()| Answer::Done {}).map_err(|error| error.refusal())
        }
        Request::End { conference: id } => {
            let ended = inner.coordinator().end(peer, id);
            match ended {
                Ok(conference) => {
                    inner.end_conference(id, conference, "the host ended it").await;
                    Ok(Answer::Done {})
                }
                Err(error) => Err(error.refusal()),
            }
        }
        Request::Ping {} => Ok(Answer::Pong {}),
        Request::Register { .. } => Err(Refusal::new(
            RefusalCode::UnknownRequest,
            "this is a node, which gives no tickets; ask the conference's host",
        )),
    };
    outcome.unwrap_or_else(|refusal| {
        inner.refusal_log.note(Instant::now(), &peer.user, &refusal.message);
        Answer::Refused(refusal)
    })
}

async fn create(
    inner: &Inner,
    session: &NodeSession,
    permit_list: &Signed<PermitList>,
) -> Result<Answer, Refusal> {
    let (root, now) = (inner.identity.root(), inner.clock.now());
    let list = PermitList::verify(permit_list, root, now)
        .map_err(|error| Refusal::new(RefusalCode::NotPermitted, &error))?;
    let engine = engine(inner, &list)?;
    // A host that only tells of a newer list takes no room.
    if inner.coordinator().conference(list.conference()).is_err() {
        inner.newcomers.check(&inner.shards).map_err(|overload| full(&overload))?;
    }
    let created = inner.coordinator().create(session.session.peer(), list);
    let (conference, epoch) = match created.map_err(|error| error.refusal())? {
        Created::Known(conference, epoch) => return Ok(Answer::Created { conference, epoch }),
        Created::New(conference, epoch) => (conference, epoch),
    };
    let shard = inner.shards.least_loaded();
    let (reply, placed) = oneshot::channel();
    let (engine, epoch_on_media) = (Box::new(engine), media_epoch(epoch));
    let command = ShardCommand::AddConference { engine, epoch: epoch_on_media, reply };
    let ordered = inner.shards.order(shard, command).await;
    match (ordered, placed.await) {
        (true, Ok(Ok(key))) => {
            inner.places.insert(conference, Place { shard, key });
            inner.shards.count_conference(shard);
            tracing::info!(%conference, shard, host = %session.session.peer().user, "created");
            Ok(Answer::Created { conference, epoch })
        }
        (_, outcome) => {
            inner.coordinator().remove(conference);
            Err(shard_refusal(outcome.ok().and_then(Result::err).as_ref()))
        }
    }
}

async fn join(
    inner: &Inner,
    session: &Arc<NodeSession>,
    request: &JoinRequest,
) -> Result<Answer, Refusal> {
    // First of all: a node without room has none for checking tickets either.
    inner.newcomers.check(&inner.shards).map_err(|overload| full(&overload))?;
    let admission = admit(inner, session, &request.ticket)?;
    if request.role != admission.role {
        return Err(Refusal::new(
            RefusalCode::BadTicket,
            "the ticket is for another role than was asked for; ask the host for one that fits",
        ));
    }
    let suite = choose_suite(&request.suites)?;
    if !session.has_room() {
        return Err(Refusal::new(
            RefusalCode::Full,
            "this session has all the legs that one session may have; leave another first",
        ));
    }
    let unknown = || CoordinatorError::Unknown(admission.conference).refusal();
    let place = inner.places.get(&admission.conference).map(|place| *place).ok_or_else(unknown)?;
    let let_in = inner.newcomers.admit(&inner.shards, place.shard).await;
    let_in.map_err(|overload| full(&overload))?;
    let carriage = carriage(inner, &admission, request.streams_max)?;
    // Others may have come in meanwhile.
    let epoch = inner.coordinator().admit(&admission).map_err(|error| error.refusal())?;
    let exhausted = || Refusal::new(RefusalCode::RateLimited, "too many legs; connect anew");
    let leg_generation = session.next_generation().ok_or_else(exhausted)?;
    let key =
        |direction| leg_key(inner, session, &admission, epoch, (leg_generation, suite), direction);
    let red = request.red;
    let request = LegRequest {
        role: admission.role,
        receive_key: key(Direction::ToNode)?,
        send_key: key(Direction::ToMember)?,
        red,
    };
    let grant = add_leg(inner, place, request).await?;
    let entry = RosterEntry {
        user: admission.user.clone(),
        device: admission.device,
        ssrc: grant.send_ssrc,
        session: session.id,
    };
    if !session.add_leg(grant.id) {
        inner.remove_leg(grant.id, "its session ended").await;
        return Err(Refusal::new(RefusalCode::Internal, "the session ended meanwhile"));
    }
    let is_muted = match enter(inner, &admission, &grant, entry) {
        Ok(is_muted) => is_muted,
        Err(over) => {
            // The conference ended meanwhile; its name on the shard may be another's by now.
            session.forget_leg(grant.id);
            inner.remove_leg(grant.id, "its conference ended").await;
            return Err(over);
        }
    };
    inner.shards.count_leg(place.shard);
    if is_muted {
        inner.shards.order(place.shard, ShardCommand::SetMuted(grant.id, true)).await;
    }
    tracing::info!(user = %admission.user, leg = %grant.id, conference = %admission.conference, "joined");
    Ok(Answer::Joined(JoinAnswer {
        leg: grant.id,
        leg_generation,
        epoch,
        suite,
        media_addresses: inner.shards.advertised(place.shard),
        send_ssrc: grant.send_ssrc,
        receive_ssrcs: grant.receive_ssrcs,
        payload_type: PAYLOAD_TYPE.0,
        red_payload_type: red.then_some(RED_PAYLOAD_TYPE.0),
        client_level_extension: CLIENT_LEVEL_ID,
        mixer_level_extension: MIXER_LEVEL_ID,
        packet_ms: PACKET_MS,
        mode: carriage.mode(),
        cname: grant.send_ssrc.to_string(),
    }))
}

async fn leave(inner: &Inner, session: &NodeSession, leg: LegId) -> Result<Answer, Refusal> {
    if !session.forget_leg(leg) {
        return Err(Refusal::new(
            RefusalCode::UnknownLeg,
            &format_args!("leg {leg} is not one of this session's; it may have left already"),
        ));
    }
    inner.remove_leg(leg, "it left").await;
    Ok(Answer::Done {})
}

/// Checks the ticket against the conference's list, and the conference's rules against its bearer.
fn admit(
    inner: &Inner,
    session: &NodeSession,
    ticket: &Signed<Ticket>,
) -> Result<Admission, Refusal> {
    let bad = |error: AdmissionError| Refusal::new(RefusalCode::BadTicket, &error);
    let (root, now) = (inner.identity.root(), inner.clock.now());
    // Once, and before the coordinator is locked: this is the costly part of a join.
    let ticket = ticket.verify(root, now).map_err(|error| bad(error.into()))?;
    let coordinator = inner.coordinator();
    let issuer = coordinator.issuer(ticket.conference).map_err(|error| error.refusal())?;
    let (here, peer) = (inner.identity.node(), session.session.peer());
    let admission = admission::admit(now, issuer, here, ticket, peer).map_err(bad)?;
    coordinator.admit(&admission).map_err(|error| error.refusal())?;
    Ok(admission)
}

fn full(overload: &Overload) -> Refusal {
    Refusal::new(RefusalCode::Full, overload)
}

fn choose_suite(offered: &[u16]) -> Result<SrtpSuite, Refusal> {
    let known = offered.iter().find_map(|id| SrtpSuite::from_id(*id));
    known.ok_or_else(|| {
        let wanted: Vec<_> = SrtpSuite::ALL.iter().map(|suite| suite.id()).collect();
        let message = format!("none of the offered SRTP suites is known; offer one of {wanted:?}");
        Refusal::new(RefusalCode::NoCommonSuite, &message)
    })
}

fn leg_key(
    inner: &Inner,
    session: &NodeSession,
    admission: &Admission,
    epoch: Epoch,
    (leg_generation, suite): (u32, SrtpSuite),
    direction: Direction,
) -> Result<MasterKey, Refusal> {
    let context = MediaKeyContext {
        conference: admission.conference,
        epoch,
        leg_generation,
        direction,
        member_fingerprint: session.session.peer().fingerprint,
        node_fingerprint: inner.identity.certificate().fingerprint,
        suite,
    };
    media_key(&session.session, &context)
        .map_err(|error| Refusal::new(RefusalCode::Internal, &error))
}

async fn add_leg(inner: &Inner, place: Place, request: LegRequest) -> Result<LegGrant, Refusal> {
    let (reply, granted) = oneshot::channel();
    let request = Box::new(request);
    let command = ShardCommand::AddLeg { conference: place.key, request, reply };
    let ordered = inner.shards.order(place.shard, command).await;
    match (ordered, granted.await) {
        (true, Ok(Ok(grant))) => Ok(grant),
        (_, outcome) => Err(shard_refusal(outcome.ok().and_then(Result::err).as_ref())),
    }
}

/// Enters the leg in the roster; returns whether its user is muted.
fn enter(
    inner: &Inner,
    admission: &Admission,
    grant: &LegGrant,
    entry: RosterEntry,
) -> Result<bool, Refusal> {
    let mut coordinator = inner.coordinator();
    let id = admission.conference;
    coordinator.joined(id, grant.id, entry).map_err(|error| error.refusal())?;
    Ok(coordinator.conference(id).is_ok_and(|conference| conference.is_muted(&admission.user)))
}

fn shard_refusal(outcome: Option<&ShardError>) -> Refusal {
    match outcome {
        Some(error @ (ShardError::LegsFull { .. } | ShardError::ConferencesFull { .. })) => {
            Refusal::new(RefusalCode::Full, error)
        }
        Some(ShardError::Engine(error)) => Refusal::new(RefusalCode::Full, error),
        Some(error) => Refusal::new(RefusalCode::Internal, error),
        None => Refusal::new(RefusalCode::Internal, "the node's media thread does not answer"),
    }
}

/// Returns how the conference is carried, if that suits the client.
fn carriage(inner: &Inner, admission: &Admission, streams_max: u8) -> Result<Carriage, Refusal> {
    let coordinator = inner.coordinator();
    let carriage = coordinator.conference(admission.conference).map(Conference::carriage);
    let suited = carriage.and_then(|carriage| carriage.suits(streams_max).map(|()| carriage));
    suited.map_err(|error| error.refusal())
}

fn engine(inner: &Inner, list: &PermitList) -> Result<ConferenceEngine, Refusal> {
    let made = match Carriage::of(list).map_err(|error| error.refusal())? {
        Carriage::Mixed => Mixer::new(mixer_settings(inner, list))
            .map(ConferenceEngine::Mixer)
            .map_err(|error| error.to_string()),
        Carriage::Bridged { streams } => Bridge::new(bridge_settings(list, streams))
            .map(ConferenceEngine::Bridge)
            .map_err(|error| error.to_string()),
    };
    made.map_err(|error| Refusal::new(RefusalCode::BadRequest, &error))
}

fn bridge_settings(list: &PermitList, streams: u8) -> BridgeSettings {
    BridgeSettings {
        talkers_max: usize::from(streams),
        members_max: list.settings.members_max,
        payload_type: PAYLOAD_TYPE,
        red_payload_type: RED_PAYLOAD_TYPE,
        ..BridgeSettings::default()
    }
}

fn mixer_settings(inner: &Inner, list: &PermitList) -> MixerSettings {
    let settings = &inner.settings;
    MixerSettings {
        talkers_max: usize::from(list.settings.talkers_max),
        self_share: f32::from(list.settings.self_share_percent) / 100.0,
        members_max: list.settings.members_max,
        jitter: JitterSettings { quiet: LevelDbov(60), ..settings.jitter },
        encoder: settings.encoder,
        listener_packet: settings.listener_packet,
        payload_type: PAYLOAD_TYPE,
        red_payload_type: RED_PAYLOAD_TYPE,
        ..MixerSettings::default()
    }
}

fn media_epoch(epoch: Epoch) -> MediaEpoch {
    MediaEpoch { counter: epoch.counter, rank: epoch.rank }
}

/// The payload type of Opus, both ways: the usual dynamic one (RFC 3551 section 6).
const PAYLOAD_TYPE: PayloadType = PayloadType(111);

/// The payload type of redundant audio: the next one.
const RED_PAYLOAD_TYPE: PayloadType = PayloadType(112);

/// Length of a packet's sound.
const PACKET_MS: u16 = 20;
