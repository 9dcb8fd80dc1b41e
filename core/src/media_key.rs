//! Keys for media, exported from the TLS session of a member and a node.
//!
//! Nobody chooses or sends a media key: both ends derive it, so whoever holds it went through
//! mutual authentication. No two legs of a session ever share one.

use sabha_media::srtp::{MasterKey, SrtpSuite};

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
    /// What the key is for.
    pub suite: SrtpSuite,
}

impl MediaKeyContext {
    /// Returns the exporter's context: a hash over all fields, each behind its length.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash_with(self.suite.id())
    }

    fn hash_with(&self, suite_id: u16) -> [u8; 32] {
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
            &suite_id.to_be_bytes(),
        ])
    }
}

/// Derives the master key of one direction of one leg.
///
/// Call it once for each leg generation and direction: the same context gives the same key.
///
/// # Errors
/// `LinkError::Transport` if TLS exports no keys of the suite's length.
pub fn media_key(session: &Session, context: &MediaKeyContext) -> Result<MasterKey, LinkError> {
    let suite = context.suite;
    let material = session.export(EXPORTER_LABEL, &context.hash(), suite.keying_material_len())?;
    MasterKey::new(suite, &material).map_err(|error| session.failed(&error))
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
            suite: SrtpSuite::AeadAes128Gcm,
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
        ];
        let mut hashes: Vec<_> = others.iter().map(MediaKeyContext::hash).collect();
        hashes.extend([base.hash(), base.hash_with(0x0008)]);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 2);
    }
}
