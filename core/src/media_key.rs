//! Keys for media, exported from the TLS session of a member and a node.
//!
//! Nobody chooses or sends a media key: both ends derive it, so whoever holds it went through
//! mutual authentication. No two legs of a session ever share one.

use zeroize::Zeroizing;

use crate::{
    domain::Domain,
    fingerprint::Fingerprint,
    message::{ConferenceId, Epoch},
    quic::LinkError,
    signalling::Session,
};

/// Which way packets go that a key protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the member to the node.
    ToNode,
    /// From the node to the member.
    ToMember,
}

/// All that a media key is bound to, beside the session itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaKeyContext {
    /// The conference.
    pub conference: ConferenceId,
    /// Its epoch when the leg was made.
    pub epoch: Epoch,
    /// Which leg of the session: grows with each, so that no key is ever made twice.
    pub leg_generation: u32,
    /// Which way.
    pub direction: Direction,
    /// The member's certificate.
    pub member_fingerprint: Fingerprint,
    /// The node's certificate.
    pub node_fingerprint: Fingerprint,
    /// The SRTP protection profile (IANA's number).
    pub suite: u16,
}

impl MediaKeyContext {
    /// Returns the exporter's context: a hash over all fields, each behind its length.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let direction = match self.direction {
            Direction::ToNode => 1,
            Direction::ToMember => 2,
        };
        Domain::MEDIA_KEY.sha256(&[
            &self.conference.0,
            &self.epoch.counter.to_be_bytes(),
            &self.epoch.rank.to_be_bytes(),
            &self.leg_generation.to_be_bytes(),
            &[direction],
            &self.member_fingerprint.0,
            &self.node_fingerprint.0,
            &self.suite.to_be_bytes(),
        ])
    }
}

/// Derives `length` bytes of keying material for one direction of one leg: key, then salt.
///
/// # Errors
/// `LinkError::Transport` if `length` is more than TLS exports.
pub fn media_key(
    session: &Session,
    context: &MediaKeyContext,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, LinkError> {
    session.export(EXPORTER_LABEL, &context.hash(), length)
}

/// Label of the TLS exporter. Source: RFC 5705 section 4 asks for the prefix.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-sabha-media-1";

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn context() -> MediaKeyContext {
        MediaKeyContext {
            conference: ConferenceId([0x11; 32]),
            epoch: Epoch { counter: 1, rank: 2 },
            leg_generation: 3,
            direction: Direction::ToNode,
            member_fingerprint: Fingerprint([0x22; 32]),
            node_fingerprint: Fingerprint([0x33; 32]),
            suite: 0x0007,
        }
    }

    #[test]
    fn hash_matches_the_vector_in_the_protocol_document() {
        let hash = HEXLOWER.encode(&context().hash());
        let document = include_str!("../../docs/protocol.md");
        assert!(document.contains(&hash), "docs/protocol.md lacks {hash}");
    }

    #[test]
    fn every_field_changes_the_hash() {
        let base = context();
        let others = [
            MediaKeyContext { conference: ConferenceId([0x12; 32]), ..base },
            MediaKeyContext { epoch: Epoch { counter: 2, rank: 2 }, ..base },
            MediaKeyContext { epoch: Epoch { counter: 1, rank: 3 }, ..base },
            MediaKeyContext { leg_generation: 4, ..base },
            MediaKeyContext { direction: Direction::ToMember, ..base },
            MediaKeyContext { member_fingerprint: Fingerprint([0x23; 32]), ..base },
            MediaKeyContext { node_fingerprint: Fingerprint([0x34; 32]), ..base },
            MediaKeyContext {
                member_fingerprint: base.node_fingerprint,
                node_fingerprint: base.member_fingerprint,
                ..base
            },
            MediaKeyContext { suite: 0x0008, ..base },
        ];
        let mut hashes: Vec<_> = others.iter().map(MediaKeyContext::hash).collect();
        hashes.push(base.hash());
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }
}
