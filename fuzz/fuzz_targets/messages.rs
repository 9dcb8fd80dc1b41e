//! Every decoder of messages and certificates takes any bytes without panicking, and what decodes
//! encodes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_core::{
    ca::message::{CaAnswer, CaRequest},
    certificate::{MixerMark, PeerCertificate},
    message::{Answer, Event, Message, Request},
};

fuzz_target!(|bytes: &[u8]| {
    round_trip::<Request>(bytes);
    round_trip::<Answer>(bytes);
    round_trip::<Event>(bytes);
    round_trip::<CaRequest>(bytes);
    round_trip::<CaAnswer>(bytes);
    let _ = PeerCertificate::parse(bytes);
    let _ = MixerMark::from_der(bytes);
});

/// Our encoding is never longer than a peer's by more than its framing, but may pass the limit.
fn round_trip<M: Message + PartialEq>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else { return };
    if let Ok(encoded) = message.encode() {
        assert!(M::decode(&encoded).is_ok_and(|again| again == message));
    }
}
