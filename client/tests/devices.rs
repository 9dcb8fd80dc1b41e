//! Sound devices on a machine that may have none: ALSA's own `null` stands for a sound card.
#![cfg(feature = "audio-devices")]
#![allow(clippy::unwrap_used)]

use sabha_client::devices::{DeviceError, DeviceKind, DeviceSink, DeviceSource, list};
use sabha_client::media::{Sink, Source};

const NULL: &str = "null";
const NOBODY: &str = "no-such-card";

#[test]
fn null_device_is_listed_as_microphone_and_speaker() {
    let devices = list().unwrap();
    let null = devices.iter().find(|device| device.name == NULL).unwrap();
    assert!(null.is_microphone && null.is_speaker, "{null:?}");
}

#[test]
fn frames_go_through_a_device() {
    let mut source = DeviceSource::open(NULL).unwrap();
    let mut sink = DeviceSink::open(NULL).unwrap();
    let mut frame = [1.0; 960];
    for _ in 0..20 {
        assert!(source.fill(&mut frame));
        sink.play(&frame);
    }
    assert_eq!(frame, [0.0; 960], "null hears nothing");
    assert_eq!(sink.counters().figures().errors, 0);
    Box::new(sink).finish().unwrap();
}

#[test]
fn unknown_device_is_refused_by_name_with_what_to_do() {
    let errors = [
        (DeviceSource::open(NOBODY).err().unwrap(), DeviceKind::Microphone),
        (DeviceSink::open(NOBODY).err().unwrap(), DeviceKind::Speaker),
    ];
    for (error, kind) in errors {
        let text = error.to_string();
        assert!(matches!(error, DeviceError::Unknown { .. }), "{text}");
        assert!(text.contains(NOBODY) && text.contains(&kind.to_string()), "{text}");
        assert!(text.contains("sabha devices"), "{text}");
    }
}
