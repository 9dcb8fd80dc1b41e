//! A device that is heard.

use std::sync::Arc;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{FromSample, SampleFormat, SizedSample, Stream};
use rtrb::{Consumer, Producer, RingBuffer};
use sabha_media::codec::Frame;

use super::card::Card;
use super::converter::{Converter, frame_samples};
use super::{DeviceCounters, DeviceError, DeviceKind, FRAMES_FIRST, FRAMES_MAX};
use crate::media::Source;
use crate::sound::SAMPLE_RATE_HZ;

/// A live microphone; never ends.
pub struct DeviceSource {
    _stream: Stream,
    frames: CapturedFrames,
}

impl DeviceSource {
    /// Opens a device by name; [`DEFAULT_DEVICE`](super::DEFAULT_DEVICE) is the system's choice.
    ///
    /// # Errors
    /// `DeviceError` if there is no such device or it cannot be used.
    pub fn open(name: &str) -> Result<Self, DeviceError> {
        let card = Card::find(DeviceKind::Microphone, name)?;
        let (producer, frames) = CapturedFrames::new(card.config.sample_rate);
        let stream = match card.format {
            SampleFormat::I16 => capture::<i16>(&card, producer, &frames.counters),
            SampleFormat::I32 => capture::<i32>(&card, producer, &frames.counters),
            _ => capture::<f32>(&card, producer, &frames.counters),
        };
        let stream = stream.map_err(|error| card.unusable(&error))?;
        stream.play().map_err(|error| card.unusable(&error))?;
        Ok(Self { _stream: stream, frames })
    }

    /// Returns the counters, which go on while the source is used.
    pub fn counters(&self) -> Arc<DeviceCounters> {
        self.frames.counters.clone()
    }
}

impl Source for DeviceSource {
    fn fill(&mut self, frame: &mut Frame) -> bool {
        self.frames.pop(frame);
        true
    }
}

fn capture<T>(
    card: &Card,
    mut producer: Producer<f32>,
    counters: &Arc<DeviceCounters>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let (channels, shared) = (usize::from(card.config.channels), counters.clone());
    let take = move |samples: &[T], _: &_| {
        for frame in samples.chunks_exact(channels) {
            let sum: f32 = frame.iter().map(|sample| f32::from_sample_(*sample)).sum();
            if producer.push(sum / channels as f32).is_err() {
                DeviceCounters::count(&shared.overruns);
                break;
            }
        }
    };
    card.device.build_input_stream(card.config, take, card.watch(counters), None)
}

/// The media thread's end of the ring.
struct CapturedFrames {
    ring: Consumer<f32>,
    converter: Converter,
    /// A frame at the device's rate.
    captured: Vec<f32>,
    is_running: bool,
    counters: Arc<DeviceCounters>,
}

impl CapturedFrames {
    fn new(rate_hz: u32) -> (Producer<f32>, Self) {
        let frame = frame_samples(rate_hz);
        let (producer, ring) = RingBuffer::new(FRAMES_MAX * frame);
        let frames = Self {
            ring,
            converter: Converter::new(rate_hz, SAMPLE_RATE_HZ),
            captured: vec![0.0; frame],
            is_running: false,
            counters: Arc::default(),
        };
        (producer, frames)
    }

    /// Gives the next frame, or silence until enough has come again.
    fn pop(&mut self, frame: &mut Frame) {
        let waiting = self.ring.slots();
        let needed = if self.is_running { 1 } else { FRAMES_FIRST } * self.captured.len();
        if waiting < needed {
            if self.is_running {
                DeviceCounters::count(&self.counters.underruns);
            }
            (self.is_running, *frame) = (false, [0.0; sabha_media::codec::FRAME_SAMPLES]);
            return;
        }
        self.is_running = true;
        if waiting > FRAMES_LATE_MAX * self.captured.len() {
            self.take();
            DeviceCounters::count(&self.counters.overruns);
        }
        self.take();
        self.converter.convert(&self.captured, frame);
    }

    fn take(&mut self) {
        for sample in &mut self.captured {
            *sample = self.ring.pop().unwrap_or(0.0);
        }
    }
}

/// With more frames waiting the device's clock is ahead, and one is dropped.
const FRAMES_LATE_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::DeviceFigures;

    const FRAME: usize = sabha_media::codec::FRAME_SAMPLES;

    fn push(producer: &mut Producer<f32>, frames: usize) {
        for _ in 0..frames * FRAME {
            producer.push(0.5).unwrap();
        }
    }

    #[test]
    fn empty_ring_is_silence_until_two_frames_wait_again() {
        let (mut producer, mut frames) = CapturedFrames::new(48_000);
        let mut frame = [1.0; FRAME];
        frames.pop(&mut frame);
        assert_eq!((frame[0], frames.counters.figures()), (0.0, DeviceFigures::default()));
        push(&mut producer, 2);
        for expected in [0.5, 0.5, 0.0] {
            frames.pop(&mut frame);
            assert_eq!(frame, [expected; FRAME]);
        }
        push(&mut producer, 1);
        frames.pop(&mut frame);
        assert_eq!((frame[0], frames.counters.figures().underruns), (0.0, 1));
    }

    #[test]
    fn full_ring_loses_a_frame_at_a_time() {
        let (mut producer, mut frames) = CapturedFrames::new(48_000);
        let mut frame = [0.0; FRAME];
        push(&mut producer, 8);
        assert!(producer.push(0.0).is_err());
        for _ in 0..3 {
            frames.pop(&mut frame);
        }
        assert_eq!(frames.counters.figures().overruns, 2, "8, 6, then 4 wait");
    }
}
