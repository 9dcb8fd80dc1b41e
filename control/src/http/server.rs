//! The server: accepts, bounds, and hands requests on.
//!
//! One request for each connection, so that nobody occupies a place longer than `time_max`; a
//! scrape every few seconds does not mind. A connection beyond `connections_max` is closed at once,
//! and counted.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::HttpAnswer;

/// Bounds of what callers can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at once; further ones are closed.
    pub connections_max: usize,
    /// Octets of a request's line and headers; a longer request is answered 431.
    ///
    /// At least 8,192, as hyper wants it.
    pub head_bytes_max: usize,
    /// Headers of a request; more are answered 431.
    pub headers_max: usize,
    /// How long a connection may last, from its first octet to the answer's last.
    pub time_max: Duration,
}

/// An address that is taken and not served yet; callers wait.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    address: SocketAddr,
    refused: ConnectionsRefused,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    task: AbortHandle,
}

/// How many connections a server closed because there were too many.
#[derive(Clone, Debug, Default)]
pub struct ConnectionsRefused(Arc<AtomicU64>);

/// Chosen because a handful of scrapers and probes is usual, and each connection holds little: 32
/// of them some 600 KiB at the most.
impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 32,
            head_bytes_max: 8_192,
            headers_max: 64,
            time_max: Duration::from_secs(10),
        }
    }
}

impl HttpListener {
    /// Takes an address; port 0 takes any port that is free.
    ///
    /// # Errors
    /// The system's, if the address cannot be had.
    pub async fn bind(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, refused: ConnectionsRefused::default() })
    }

    /// Returns the counter of connections that will have been refused.
    pub fn refused(&self) -> ConnectionsRefused {
        self.refused.clone()
    }

    /// Answers each request with what `answer` makes of it.
    pub fn serve<A, F>(self, limits: HttpLimits, answer: A) -> HttpServer
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = HttpAnswer> + Send + 'static,
    {
        let Self { listener, address, refused } = self;
        let accepting = accept_all(listener, limits, refused, answer);
        HttpServer { address, task: tokio::spawn(accepting).abort_handle() }
    }
}

impl HttpServer {
    /// Returns where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl ConnectionsRefused {
    /// Returns the number so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept_all<A, F>(
    listener: TcpListener,
    limits: HttpLimits,
    refused: ConnectionsRefused,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = HttpAnswer> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if connections.len() < limits.connections_max {
            connections.spawn(serve(stream, limits, answer.clone()));
        } else {
            refused.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Serves one request, within the time that a connection has.
async fn serve<A, F>(stream: TcpStream, limits: HttpLimits, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = HttpAnswer>,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<Response<Full<Bytes>>, Infallible>(answer.await.into()) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.time_max)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(limits.headers_max)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.time_max, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection broke off"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
}

/// How long to wait after the system gave no connection: descriptors may come free meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
