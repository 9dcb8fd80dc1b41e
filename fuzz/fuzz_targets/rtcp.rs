//! RTCP compounds over arbitrary octets.
//!
//! What parses is written anew and must say the same; only padding, unknown packets and items, and
//! profile-specific extensions are lost.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_media::rtcp::{CompoundWriter, RtcpPacket, RtcpPackets, RtcpWriteError};
use sabha_media::shard::KeepAlive;

fuzz_target!(|compound: &[u8]| {
    let Ok(packets) = RtcpPackets::parse(compound) else { return };
    // Splitting an SDES into one packet for each chunk takes more room.
    let mut out = vec![0; 2 * compound.len() + 16];
    let mut writer = CompoundWriter::new(&mut out);
    for packet in packets {
        write(&mut writer, &packet).expect("what was read can be written");
    }
    let length = writer.finish();
    assert_eq!(facts(&out[..length]), facts(compound));
});

fn write(writer: &mut CompoundWriter<'_>, packet: &RtcpPacket<'_>) -> Result<(), RtcpWriteError> {
    match packet {
        RtcpPacket::SenderReport(report) => {
            writer.sender_report(&report.info, &report.blocks.clone().collect::<Vec<_>>())
        }
        RtcpPacket::ReceiverReport(report) => {
            writer.receiver_report(report.ssrc, &report.blocks.clone().collect::<Vec<_>>())
        }
        RtcpPacket::SourceDescription(description) => {
            for chunk in description.chunks() {
                if let Some(cname) = chunk.cname {
                    writer.cname(chunk.ssrc, cname)?;
                }
            }
            Ok(())
        }
        RtcpPacket::Goodbye(goodbye) => {
            writer.goodbye(&goodbye.sources().collect::<Vec<_>>(), goodbye.reason())
        }
        RtcpPacket::Application(application) => {
            if let Some(said) = KeepAlive::from_application(application) {
                assert_eq!(KeepAlive::from_bytes(&said.to_bytes()), Some(said));
            }
            writer.application(application)
        }
        RtcpPacket::ExtendedReport(report) => {
            let losses: Vec<_> = report.losses().collect();
            for losses in &losses {
                let told: u32 = losses.runs().map(|run| u32::from(run.packets)).sum();
                assert!(told <= u32::from(losses.end.0.wrapping_sub(losses.begin.0)));
                losses.burst_lost();
            }
            writer.extended_report(report.ssrc, &losses)
        }
    }
}

/// Everything that a compound says, in words.
fn facts(compound: &[u8]) -> Vec<String> {
    let mut facts = vec![];
    for packet in RtcpPackets::parse(compound).expect("a valid compound") {
        match packet {
            RtcpPacket::SourceDescription(description) => {
                let chunks = description.chunks().filter(|chunk| chunk.cname.is_some());
                facts.extend(chunks.map(|chunk| format!("{chunk:?}")));
            }
            RtcpPacket::ExtendedReport(report) => {
                facts.push(format!("{:?} {:?}", report.ssrc, report.losses().collect::<Vec<_>>()));
            }
            packet => facts.push(format!("{packet:?}")),
        }
    }
    facts
}
