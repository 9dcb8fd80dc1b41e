//! A caller of HTTP that says exactly what it is told to say.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    /// Status line and headers, in small letters.
    pub head: String,
    pub body: String,
}

/// Asks for a path.
pub async fn get(address: SocketAddr, path: &str) -> Answered {
    ask(address, "GET", path).await
}

/// Asks for a path of a server that may not be there yet.
pub async fn try_get(address: SocketAddr, path: &str) -> Option<Answered> {
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    say(address, &request).await
}

pub async fn ask(address: SocketAddr, method: &str, path: &str) -> Answered {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    say(address, &request).await.unwrap_or_else(|| panic!("{method} {path}: no answer"))
}

/// Sends these octets; `None` if there is no server, or it closes without an answer.
pub async fn say(address: SocketAddr, request: &str) -> Option<Answered> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    // A server that closes early is an answer too.
    let _ = stream.write_all(request.as_bytes()).await;
    soon("an answer or the end of it", answer(&mut stream)).await
}

/// Reads what a server says until it closes.
pub async fn answer(stream: &mut TcpStream) -> Option<Answered> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().unwrap();
    Some(Answered { status, head: head.to_lowercase(), body: body.to_owned() })
}

/// The value of a series in Prometheus' text; its labels are written as there.
pub fn series(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}
