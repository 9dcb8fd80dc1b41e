//! What a shard asks of an engine: the mixer, or the bridge.
//!
//! An engine is one conference. It is told the time, packets and changes, and answers through the
//! caller's `Outbox`. It keeps no codec or buffer while nobody talks: those come from the shard's
//! `Resources`, which all conferences of a shard share.

use crate::drop_reason::DropReason;
use crate::extension::ClientLevel;
use crate::leg::{LegId, LegRole, Ssrc};
use crate::outbox::Outbox;
use crate::red::PathReport;
use crate::rtp::{PayloadType, RtpTimestamp, SequenceNumber};
use crate::shard::OwnVoice;
use crate::time::Instant;

/// An engine's own dense name of a leg; valid until the leg is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegKey(pub u32);

/// How many streams one leg may receive: one from a mixer, one for each slot of a bridge.
pub const RECEIVE_STREAMS_MAX: usize = 4;

/// What an engine must know of a leg.
#[derive(Clone, Debug)]
pub struct LegConfig {
    /// The shard's name of the leg, to which packets are addressed.
    pub id: LegId,
    /// What the leg is for.
    pub role: LegRole,
    /// The SSRC that the member sends with; it appears as CSRC to others.
    pub send_ssrc: Ssrc,
    /// The streams that the member receives, in slot order; at most `RECEIVE_STREAMS_MAX`.
    pub receive: Vec<ReceiveStream>,
    /// Whether the member takes redundant audio, and may send it.
    pub red: bool,
}

/// Where one stream to a member starts. Random by the caller (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug)]
pub struct ReceiveStream {
    /// The stream's SSRC.
    pub ssrc: Ssrc,
    /// Its first sequence number; below 2^15, so that the first roll-over is not ambiguous.
    pub first_sequence_number: SequenceNumber,
    /// Added to every timestamp.
    pub timestamp_offset: u32,
}

/// An authenticated packet from a member.
#[derive(Clone, Copy, Debug)]
pub struct IncomingPacket<'a> {
    /// The sequence number, unwrapped.
    pub index: u64,
    /// The timestamp as sent.
    pub timestamp: RtpTimestamp,
    /// The marker bit.
    pub marker: bool,
    /// The payload type as sent.
    pub payload_type: PayloadType,
    /// The client's level; every packet has one.
    pub level: ClientLevel,
    /// When the kernel received it.
    pub received_at: Instant,
    /// The codec's payload; empty in a level probe.
    pub payload: &'a [u8],
}

/// A change that control orders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EngineInput {
    /// The host silences a leg, or lets it speak again.
    SetMuted {
        /// Which leg.
        leg: LegKey,
        /// Whether its packets are discarded.
        muted: bool,
    },
    /// A leg changes its role, as at a promotion.
    SetRole {
        /// Which leg.
        leg: LegKey,
        /// The new role.
        role: LegRole,
    },
    /// A member wishes to hear their own voice as the conference has it, or not at all.
    SetOwnVoice {
        /// Which leg.
        leg: LegKey,
        /// The wish.
        own_voice: OwnVoice,
    },
    /// A member tells how well it receives what the leg is sent.
    Reception {
        /// Which leg.
        leg: LegKey,
        /// What it tells.
        report: PathReport,
    },
}

/// What an engine reports to control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineOutput {
    /// A leg began to be heard.
    TalkerStarted(LegId),
    /// A leg ceased to be heard.
    TalkerStopped(LegId),
    /// Another leg leads the conversation, or nobody does any more. Only a bridge tells.
    DominantTalker(Option<LegId>),
}

/// Why an engine refuses a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddLegError {
    /// The conference has all the members it may have.
    #[error(
        "the conference is full: it admits {members_max} members; ask its host to raise the limit"
    )]
    Full {
        /// The limit.
        members_max: u32,
    },
    /// The number of receive streams does not suit the engine.
    #[error("a leg was offered {offered} receive streams, this conference sends {needed}")]
    Streams {
        /// How many were offered.
        offered: usize,
        /// How many the engine sends.
        needed: usize,
    },
}

/// A pure engine: one conference's mixing or forwarding.
pub trait Engine: Send {
    /// Pools that all engines of a shard share: codecs, buffers.
    type Resources: Send;

    /// How many streams each leg receives from this engine.
    fn receive_streams(&self) -> usize;

    /// Adds a leg.
    ///
    /// # Errors
    /// `AddLegError` if a limit is reached; nothing changed then.
    fn add_leg(&mut self, now: Instant, leg: LegConfig) -> Result<LegKey, AddLegError>;

    /// Removes a leg; its key may be given out again. An unknown key changes nothing.
    fn remove_leg(&mut self, now: Instant, leg: LegKey, resources: &mut Self::Resources);

    /// Takes an authenticated packet.
    ///
    /// # Errors
    /// The reason it was discarded.
    fn handle_rtp(
        &mut self,
        now: Instant,
        leg: LegKey,
        packet: &IncomingPacket<'_>,
        resources: &mut Self::Resources,
        outbox: &mut Outbox,
    ) -> Result<(), DropReason>;

    /// Carries out a change.
    fn handle_input(&mut self, now: Instant, input: EngineInput);

    /// Does what is due. Called when `poll_timeout` has come; once for each due deadline.
    fn handle_timeout(
        &mut self,
        now: Instant,
        resources: &mut Self::Resources,
        outbox: &mut Outbox,
    );

    /// Returns when `handle_timeout` wants to be called, or `None` while nothing happens.
    ///
    /// What stays due for ever holds up everybody on the thread.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Returns the next report, until there is none.
    fn poll_output(&mut self) -> Option<EngineOutput>;
}
