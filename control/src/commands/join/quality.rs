//! Tells a person how good their leg is, while they talk and at the end.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use sabha_client::media::{LegQuality, MemberCommand, MemberMedia, MemberReport};
use sabha_transport::{DriverHandle, EndpointKey};

use crate::cli::{output, progress};

/// Prints a line for each interval in which something was due to be heard.
pub(super) async fn follow(driver: &DriverHandle<MemberMedia>, key: EndpointKey) -> ! {
    let mut told = MemberReport::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(report) = ask(driver, key).await else { continue };
        if let Some(quality) = report.quality_since(&told) {
            let printed = progress::aside(|| output::line(line(&quality, report.bitrate)));
            if let Err(error) = printed {
                tracing::debug!(%error, "nobody reads the figures");
            }
        }
        told = report;
    }
}

/// Returns loss, jitter, delay, buffer and score of what is heard, and the bitrate in bit/s of what
/// is sent, in words.
pub(super) fn line(quality: &LegQuality, bitrate: u32) -> String {
    let LegQuality { loss, jitter, delay, buffer, mos } = quality;
    let ms = |duration: &Duration| duration.as_secs_f64() * 1_000.0;
    format!(
        "loss {:.1} %, jitter {:.1} ms, delay {:.0} ms, buffer {:.0} ms, MOS {:.2}, sending \
         {} kbit/s",
        loss.share() * 100.0,
        ms(jitter),
        ms(delay),
        ms(buffer),
        mos.value(),
        bitrate / 1_000,
    )
}

async fn ask(driver: &DriverHandle<MemberMedia>, key: EndpointKey) -> Option<MemberReport> {
    let (reply, answer) = sync_channel(1);
    driver.send(key, MemberCommand::Report(reply)).ok()?;
    let answer = tokio::task::spawn_blocking(move || answer.recv_timeout(ANSWER_MAX).ok());
    answer.await.ok()?
}

/// How often the quality is told: as often as it is reported between member and node.
const INTERVAL: Duration = sabha_media::rtcp::REPORT_INTERVAL;

/// How long the media thread may take to answer: fifty frames.
const ANSWER_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use sabha_media::codec::FRAME_SAMPLES;
    use sabha_media::playout::PlayedFrame;
    use sabha_media::time::Instant;

    use super::*;

    #[test]
    fn line_has_loss_jitter_delay_buffer_and_score_with_units() {
        let mut report = MemberReport {
            round_trip: Some(Duration::from_millis(40)),
            jitter: Duration::from_micros(1_260),
            ..MemberReport::default()
        };
        let at = Instant::from_millis(1_000);
        for number in 0..200 {
            let received_at = (number % 50 > 0).then(|| at - Duration::from_millis(30));
            let frame = PlayedFrame { samples: FRAME_SAMPLES, received_at, ..Default::default() };
            report.heard.count(at, &frame, FRAME_SAMPLES);
        }
        let told = line(&report.quality().unwrap(), 24_000);
        let told = told.strip_suffix(", sending 24 kbit/s").unwrap();
        let (begin, mos) = told.split_once("MOS ").unwrap();
        assert_eq!(begin, "loss 2.0 %, jitter 1.3 ms, delay 76 ms, buffer 30 ms, ");
        assert!((3.0..4.0).contains(&mos.parse::<f32>().unwrap()), "{told}");
    }
}
