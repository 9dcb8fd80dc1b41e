//! Plain RTP packets as members send them: fixed header, level, payload.

use sabha_media::codec::FRAME_SAMPLES;
use sabha_media::extension::{ClientLevel, ElementWriter, LevelDbov};
use sabha_media::leg::Ssrc;
use sabha_media::rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber};

/// Writes the `nth` packet of a stream, 20 ms after the one before, and returns its length.
///
/// # Panics
/// If `out` has no room for 20 octets of header and the payload.
pub fn write_packet(
    out: &mut [u8],
    ssrc: Ssrc,
    nth: u64,
    level: LevelDbov,
    payload: &[u8],
) -> usize {
    let header = RtpHeader {
        marker: false,
        payload_type: PayloadType(111),
        sequence_number: SequenceNumber(nth as u16),
        timestamp: RtpTimestamp((nth as u32).wrapping_mul(FRAME_SAMPLES as u32)),
        ssrc,
    };
    let mut length = header.write_fixed(0, true, out);
    let mut writer = ElementWriter::new(&mut out[length..]).expect("room for an extension");
    ClientLevel { voice: true, level }.write(&mut writer).expect("room for a level");
    length += writer.finish();
    out[length..length + payload.len()].copy_from_slice(payload);
    length + payload.len()
}
