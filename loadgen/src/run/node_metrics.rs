//! What the node tells of itself on its metrics page, as far as members cannot see it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How the node's datagrams left, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sending {
    /// Datagrams that the kernel took.
    pub datagrams: f64,
    /// Messages of several datagrams, which the kernel cut.
    pub gso_messages: f64,
    /// Datagrams in these messages.
    pub gso_segments: f64,
}

impl Sending {
    /// Reads the page; `None` if it cannot be had, or a figure is not there.
    pub async fn read(metrics: SocketAddr) -> Option<Self> {
        let page = timeout(PAGE_TIME_MAX, page(metrics)).await.ok()?.ok()?;
        Self::parse(&page)
    }

    fn parse(page: &str) -> Option<Self> {
        Some(Self {
            datagrams: sum(page, "sabha_datagrams_total", "direction=\"out\"")?,
            gso_messages: sum(page, "sabha_driver_gso_messages_total", "")?,
            gso_segments: sum(page, "sabha_driver_gso_segments_total", "")?,
        })
    }

    /// Returns what was sent since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            datagrams: self.datagrams - earlier.datagrams,
            gso_messages: self.gso_messages - earlier.gso_messages,
            gso_segments: self.gso_segments - earlier.gso_segments,
        }
    }

    /// Returns the datagrams of a message that held several, mean; 1 if none did.
    pub fn segments_mean(self) -> f64 {
        if self.gso_messages > 0.0 { self.gso_segments / self.gso_messages } else { 1.0 }
    }

    /// Returns the datagrams of any message, mean.
    pub fn gathered_mean(self) -> f64 {
        let messages = self.datagrams - self.gso_segments + self.gso_messages;
        if messages > 0.0 { self.datagrams / messages } else { 1.0 }
    }
}

async fn page(metrics: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(metrics).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut page = Vec::new();
    stream.take(PAGE_SIZE_MAX).read_to_end(&mut page).await?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Adds the values of all lines of a metric that have a label; `None` if there is none.
fn sum(page: &str, metric: &str, label: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        (is_it && labels.contains(label)).then(|| value.parse::<f64>().ok())?
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// How long the page may take: a scrape asks each shard.
const PAGE_TIME_MAX: Duration = Duration::from_secs(3);

/// More than the page of a node with 64 shards.
const PAGE_SIZE_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE sabha_datagrams counter
sabha_datagrams_total{shard=\"0\",direction=\"in\"} 70
sabha_datagrams_total{shard=\"0\",direction=\"out\"} 600
sabha_datagrams_total{shard=\"1\",direction=\"out\"} 400
sabha_driver_gso_messages_total{shard=\"0\"} 200
sabha_driver_gso_segments_total{shard=\"0\"} 500
sabha_driver_gso_segments_total_of_another{shard=\"0\"} 9
";

    #[test]
    fn figures_of_all_shards_are_added() {
        let sending = Sending::parse(PAGE).unwrap();
        let wanted = Sending { datagrams: 1_000.0, gso_messages: 200.0, gso_segments: 500.0 };
        assert_eq!(sending, wanted);
        assert!((sending.segments_mean() - 2.5).abs() < 1e-9);
        assert!((sending.gathered_mean() - 1_000.0 / 700.0).abs() < 1e-9);
        assert_eq!(sending.since(sending).segments_mean(), 1.0);
    }

    #[test]
    fn page_without_the_figures_gives_none() {
        assert_eq!(Sending::parse("sabha_datagrams_total{direction=\"out\"} 5\n"), None);
    }
}
