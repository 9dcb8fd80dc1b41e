//! Why a packet was discarded. Every discarded packet has exactly one reason, and is counted.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// The reason a datagram or packet was discarded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// Every reason, in the order of its counter.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the reason's label in metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// Neither RTP nor RTCP by its first two octets (RFC 5761 section 4).
    NotRtp => "not_rtp",
    /// An RTP header that runs past its packet, or a version other than 2.
    MalformedRtp => "malformed_rtp",
    /// An RTCP compound that breaks RFC 3550 section 6.1.
    MalformedRtcp => "malformed_rtcp",
    /// A header extension block that runs past itself (RFC 8285).
    MalformedExtension => "malformed_extension",
    /// A redundant payload whose blocks run past it (RFC 2198), or with more than two copies.
    MalformedRed => "malformed_red",
    /// No leg has this SSRC.
    UnknownSsrc => "unknown_ssrc",
    /// The index was seen before.
    Replayed => "replayed",
    /// The index is older than the replay window.
    TooOld => "too_old",
    /// The authentication tag does not match.
    Unauthentic => "unauthentic",
    /// Shorter than header and authentication tag together.
    TooShort => "too_short",
    /// A payload type that the leg did not agree.
    UnknownPayloadType => "unknown_payload_type",
    /// No client audio level in the header (RFC 6464).
    NoLevel => "no_level",
    /// The leg's role does not send media.
    WrongRole => "wrong_role",
    /// The host muted this leg.
    Muted => "muted",
    /// The level is below the squelch and newer packets took its place.
    Squelched => "squelched",
    /// Too many talkers: the leg is not among the candidates.
    NotCandidate => "not_candidate",
    /// Arrived after its playout time.
    Late => "late",
    /// The same sequence number is in the buffer.
    Duplicate => "duplicate",
    /// A buffer, pool or queue is at its limit.
    Full => "full",
    /// The codec refused the payload.
    Undecodable => "undecodable",
    /// A timestamp or sequence jump that the buffer cannot follow.
    Discontinuous => "discontinuous",
    /// The leg has not yet sent an authenticated packet, so its address is unknown.
    NoAddress => "no_address",
    /// The SRTP sender refused: its index space is used up.
    IndexExhausted => "index_exhausted",
}

/// One counter for each `DropReason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one packet discarded for `reason`.
    pub fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    /// Returns how many packets were discarded for `reason`.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Returns how many packets were discarded for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds another set of counters to this one.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}
