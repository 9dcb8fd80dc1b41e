//! Reads Ogg Opus clips (RFC 7845) as f32 mono at 48 kHz.

use std::{fs, io::Cursor, path::Path};

use ogg::{OggReadError, Packet, PacketReader};
use sabha_media::codec::{Decoder, PACKET_SAMPLES_MAX, opus::OpusDecoder};

use super::{DURATION_S_MAX, SAMPLE_RATE_HZ, clip::ReadError};

/// Reads an Ogg Opus file: one logical stream of one or two channels, decoded to one.
///
/// Pre-skip is cut from the start and the last page's granule position trims the end (RFC 7845
/// sections 4.2 and 4.4); the header's output gain is applied.
///
/// # Errors
/// `Unreadable`, `Malformed`, `TooLong` or `Empty`.
pub fn read_opus(path: &Path) -> Result<Vec<f32>, ReadError> {
    let bytes =
        fs::read(path).map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
    decode_opus(path, &bytes)
}

/// Decodes an Ogg Opus file that is already in memory; `path` names it in errors only.
///
/// # Errors
/// As [`read_opus`], without `Unreadable`.
pub fn decode_opus(path: &Path, bytes: &[u8]) -> Result<Vec<f32>, ReadError> {
    let malformed = |reason| ReadError::Malformed { path: path.to_owned(), reason };
    let mut packets = Packets { reader: PacketReader::new(Cursor::new(bytes)), serial: None };
    let Some(packet) = packets.next().map_err(malformed)? else {
        return Err(malformed("it holds no Ogg packet".to_owned()));
    };
    let head = OpusHead::parse(&packet.data).map_err(malformed)?;
    match packets.next().map_err(malformed)? {
        Some(tags) if tags.data.starts_with(b"OpusTags") => {}
        _ => return Err(malformed("its second packet is not OpusTags".to_owned())),
    }

    let mut stream = Stream::new();
    while let Some(packet) = packets.next().map_err(malformed)? {
        stream.handle_packet(&packet).map_err(malformed)?;
        if stream.pcm.len() as u64 > u64::from(SAMPLE_RATE_HZ) * u64::from(DURATION_S_MAX) {
            return Err(ReadError::TooLong { path: path.to_owned() });
        }
        if packet.last_in_stream() {
            break;
        }
    }
    let pcm = stream.finish(&head);
    if pcm.is_empty() {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    Ok(pcm)
}

/// The identification header, RFC 7845 section 5.1.
#[derive(Debug, PartialEq)]
struct OpusHead {
    pre_skip: usize,
    gain: f32,
}

impl OpusHead {
    fn parse(packet: &[u8]) -> Result<Self, String> {
        let Some(fields) = packet.strip_prefix(b"OpusHead") else {
            return Err("its first packet is not OpusHead, so it is not Ogg Opus".to_owned());
        };
        let &[version, channels, skip_low, skip_high, _, _, _, _, gain_low, gain_high, family, ..] =
            fields
        else {
            return Err("its OpusHead is too short".to_owned());
        };
        // The upper four bits are the incompatible part of the version.
        if version >> 4 != 0 {
            return Err(format!("OpusHead version {version} is unknown"));
        }
        if family != 0 || !(1..=2).contains(&channels) {
            return Err(format!("it has {channels} channels in mapping family {family}"));
        }
        let gain_db = f32::from(i16::from_le_bytes([gain_low, gain_high])) / 256.0;
        Ok(Self {
            pre_skip: usize::from(u16::from_le_bytes([skip_low, skip_high])),
            gain: 10f32.powf(gain_db / 20.0),
        })
    }
}

/// Packets of the first logical stream; those of others are passed over.
struct Packets<'a> {
    reader: PacketReader<Cursor<&'a [u8]>>,
    serial: Option<u32>,
}

impl Packets<'_> {
    fn next(&mut self) -> Result<Option<Packet>, String> {
        loop {
            match self.reader.read_packet() {
                Ok(None) => return Ok(None),
                Ok(Some(packet)) => {
                    let serial = *self.serial.get_or_insert(packet.stream_serial());
                    if packet.stream_serial() == serial {
                        return Ok(Some(packet));
                    }
                }
                Err(OggReadError::NoCapturePatternFound) => {
                    return Err("an Ogg page does not begin where it should".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Decoded sound, with what is needed to trim it.
struct Stream {
    decoder: OpusDecoder,
    frame: Vec<f32>,
    pcm: Vec<f32>,
    /// Granule position of the stream's very first sample; known at the end of the first page.
    granule_first: Option<u64>,
    /// Samples to keep from the start, by the last page; absent if the file has no last page.
    samples_kept: Option<u64>,
}

impl Stream {
    fn new() -> Self {
        Self {
            decoder: OpusDecoder::new(),
            frame: vec![0.0; PACKET_SAMPLES_MAX],
            pcm: Vec::new(),
            granule_first: None,
            samples_kept: None,
        }
    }

    fn handle_packet(&mut self, packet: &Packet) -> Result<(), String> {
        let samples = self
            .decoder
            .decode(Some(&packet.data), &mut self.frame)
            .map_err(|error| format!("at sample {}: {error}", self.pcm.len()))?;
        self.pcm.extend_from_slice(&self.frame[..samples]);
        if packet.last_in_page() {
            let (granule, decoded) = (packet.absgp_page(), self.pcm.len() as u64);
            // A stream may begin late, but an only page that is short is trimmed at its end.
            let first = *self.granule_first.get_or_insert(granule.saturating_sub(decoded));
            if packet.last_in_stream() {
                self.samples_kept = Some(granule.saturating_sub(first));
            }
        }
        Ok(())
    }

    fn finish(self, head: &OpusHead) -> Vec<f32> {
        let decoded = self.pcm.len();
        let kept = self.samples_kept.and_then(|kept| usize::try_from(kept).ok());
        let end = kept.unwrap_or(decoded).min(decoded);
        let start = head.pre_skip.min(end);
        self.pcm[start..end].iter().map(|sample| sample * head.gain).collect()
    }
}
