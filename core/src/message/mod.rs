//! What devices say to each other: CBOR maps with text keys, and signed records within them.
//!
//! Decoding is bounded before it begins (a limit for each kind), never recursive, and ignores
//! fields that it does not know. `docs/protocol.md` lists every field.

pub mod answer;
pub mod codec;
pub mod conference;
pub mod epoch;
pub mod event;
pub mod join_link;
pub(crate) mod limit;
pub(crate) mod open_enum;
pub mod permit_list;
pub mod request;
pub mod signed;
pub mod ticket;
pub(crate) mod wire;

pub use self::{
    answer::{Answer, JoinAnswer, Refusal, RefusalCode},
    codec::{Message, MessageError},
    conference::{ConferenceId, ConferenceOrigin, NoRandomness},
    epoch::Epoch,
    event::{Event, RosterChange},
    join_link::{JoinLink, JoinLinkError},
    permit_list::{ConferenceSettings, Mode, PermitError, PermitList},
    request::{JoinRequest, Request},
    signed::{Payload, Signed, SignedError, Verified},
    ticket::Ticket,
};
