//! A device that plays.

use std::sync::Arc;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample, Stream};
use rtrb::{Consumer, Producer, RingBuffer};
use sabha_media::codec::Frame;

use super::card::Card;
use super::converter::{Converter, frame_samples};
use super::{DeviceCounters, DeviceError, DeviceKind, FRAMES_FIRST, FRAMES_MAX};
use crate::media::Sink;
use crate::sound::SAMPLE_RATE_HZ;

/// A live speaker.
pub struct DeviceSink {
    _stream: Stream,
    frames: PlayedFrames,
}

impl DeviceSink {
    /// Opens a device by name; [`DEFAULT_DEVICE`](super::DEFAULT_DEVICE) is the system's choice.
    ///
    /// # Errors
    /// `DeviceError` if there is no such device or it cannot be used.
    pub fn open(name: &str) -> Result<Self, DeviceError> {
        let card = Card::find(DeviceKind::Speaker, name)?;
        let (frames, ring) = PlayedFrames::new(card.config.sample_rate);
        let counters = &frames.counters;
        let stream = match card.format {
            SampleFormat::I16 => play::<i16>(&card, ring, counters),
            SampleFormat::I32 => play::<i32>(&card, ring, counters),
            _ => play::<f32>(&card, ring, counters),
        };
        let stream = stream.map_err(|error| card.unusable(&error))?;
        stream.play().map_err(|error| card.unusable(&error))?;
        Ok(Self { _stream: stream, frames })
    }

    /// Returns the counters, which go on while the sink is used.
    pub fn counters(&self) -> Arc<DeviceCounters> {
        self.frames.counters.clone()
    }
}

impl Sink for DeviceSink {
    fn play(&mut self, frame: &Frame) {
        self.frames.push(frame);
    }

    fn finish(self: Box<Self>) -> std::io::Result<()> {
        Ok(())
    }
}

fn play<T>(
    card: &Card,
    ring: PlayedRing,
    counters: &Arc<DeviceCounters>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample + FromSample<f32>,
{
    let (channels, mut ring) = (usize::from(card.config.channels), ring);
    let give = move |samples: &mut [T], _: &_| {
        ring.begin();
        for frame in samples.chunks_exact_mut(channels) {
            frame.fill(T::from_sample_(ring.next()));
        }
    };
    card.device.build_output_stream(card.config, give, card.watch(counters), None)
}

/// The device's end of the ring.
struct PlayedRing {
    ring: Consumer<f32>,
    first: usize,
    is_running: bool,
    counters: Arc<DeviceCounters>,
}

impl PlayedRing {
    /// Begins to play once enough waits.
    fn begin(&mut self) {
        self.is_running |= self.ring.slots() >= self.first;
    }

    fn next(&mut self) -> f32 {
        if !self.is_running {
            return 0.0;
        }
        self.ring.pop().unwrap_or_else(|_| {
            self.is_running = false;
            DeviceCounters::count(&self.counters.underruns);
            0.0
        })
    }
}

/// The media thread's end of the ring.
struct PlayedFrames {
    ring: Producer<f32>,
    converter: Converter,
    /// A frame at the device's rate.
    converted: Vec<f32>,
    counters: Arc<DeviceCounters>,
}

impl PlayedFrames {
    fn new(rate_hz: u32) -> (Self, PlayedRing) {
        let frame = frame_samples(rate_hz);
        let (producer, consumer) = RingBuffer::new(FRAMES_MAX * frame);
        let counters = Arc::<DeviceCounters>::default();
        let first = FRAMES_FIRST * frame;
        let ring =
            PlayedRing { ring: consumer, first, is_running: false, counters: counters.clone() };
        let converter = Converter::new(SAMPLE_RATE_HZ, rate_hz);
        (Self { ring: producer, converter, converted: vec![0.0; frame], counters }, ring)
    }

    /// Adds a frame, or drops it if there is no room.
    fn push(&mut self, frame: &Frame) {
        if self.ring.slots() < self.converted.len() {
            DeviceCounters::count(&self.counters.overruns);
            return;
        }
        self.converter.convert(frame, &mut self.converted);
        for sample in &self.converted {
            // There is room, and only this thread fills it.
            let _ = self.ring.push(*sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = sabha_media::codec::FRAME_SAMPLES;

    #[test]
    fn device_plays_once_two_frames_wait_and_counts_when_none_do() {
        let (mut frames, mut ring) = PlayedFrames::new(48_000);
        frames.push(&[0.5; FRAME]);
        ring.begin();
        assert_eq!(ring.next(), 0.0, "one frame is not enough");
        frames.push(&[0.5; FRAME]);
        ring.begin();
        assert!((0..2 * FRAME).all(|_| ring.next() == 0.5));
        assert_eq!((ring.next(), frames.counters.figures().underruns), (0.0, 1));
        assert_eq!((ring.next(), frames.counters.figures().underruns), (0.0, 1), "counted once");
    }

    #[test]
    fn frame_without_room_is_dropped_whole() {
        let (mut frames, _ring) = PlayedFrames::new(44_100);
        for _ in 0..FRAMES_MAX + 3 {
            frames.push(&[0.1; FRAME]);
        }
        assert_eq!(frames.counters.figures().overruns, 3);
    }
}
