//! Speech to encode: the four clips that ship inside `sabha`, without their pauses.

use std::io::Cursor;

use ogg::PacketReader;
use sabha_media::codec::opus::OpusDecoder;
use sabha_media::codec::{Decoder, FRAME_SAMPLES, Frame, PACKET_SAMPLES_MAX};
use sabha_media::extension::LevelDbov;

/// Returns the frames of clip `index` (of four, counted round) in which somebody speaks.
///
/// # Panics
/// If a clip in the repository is no Ogg Opus file.
pub fn speech(index: usize) -> Vec<Frame> {
    let mut packets = PacketReader::new(Cursor::new(CLIPS[index % CLIPS.len()]));
    let mut decoder = OpusDecoder::new();
    let (mut samples, mut pcm) = (Vec::new(), [0.0; PACKET_SAMPLES_MAX]);
    let mut nth = 0;
    while let Some(packet) = packets.read_packet().expect("the clips are Ogg files") {
        nth += 1;
        if nth > HEADER_PACKETS {
            let written = decoder.decode(Some(&packet.data), &mut pcm).expect("the clips are Opus");
            samples.extend_from_slice(&pcm[..written]);
        }
    }
    let (frames, _) = samples.as_chunks::<FRAME_SAMPLES>();
    let spoken = frames.iter().filter(|frame| LevelDbov::from_samples(&frame[..]).0 <= PAUSE.0);
    spoken.copied().collect()
}

/// In the order of the alphabet.
const CLIPS: [&[u8]; 4] = [
    include_bytes!("../../client/clips/asha.opus"),
    include_bytes!("../../client/clips/ben.opus"),
    include_bytes!("../../client/clips/carla.opus"),
    include_bytes!("../../client/clips/dev.opus"),
];

/// Identification and comment header. Source: RFC 7845 section 3.
const HEADER_PACKETS: usize = 2;

/// What is quieter counts as a pause; 10 dB above the mixer's default squelch.
const PAUSE: LevelDbov = LevelDbov(40);
