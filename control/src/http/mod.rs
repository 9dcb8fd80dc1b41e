//! Serving HTTP/1 to few callers, with a bound on everything that a caller can hold.
//!
//! Knows no path and no content: whoever serves gives a function from request to answer. Over plain
//! TCP, so for loopback and private networks. No packet passes here.

mod answer;
mod server;

pub use answer::HttpAnswer;
pub use server::{ConnectionsRefused, HttpLimits, HttpListener, HttpServer};
