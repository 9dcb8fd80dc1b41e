//! An answer that is held in memory whole.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer: status, text, and how the text is to be read.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    status: StatusCode,
    content_type: &'static str,
    allow: Option<&'static str>,
    body: Bytes,
}

impl HttpAnswer {
    /// Makes an answer of plain text; a line break ends it.
    pub fn text(status: StatusCode, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", Bytes::from(format!("{text}\n")))
    }

    /// Makes an answer of any type.
    pub fn new(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        Self { status, content_type, allow: None, body }
    }

    /// Makes the answer to a method that a path does not serve.
    pub fn not_allowed(allow: &'static str) -> Self {
        let text = format!("this path serves {allow} only");
        Self { allow: Some(allow), ..Self::text(StatusCode::METHOD_NOT_ALLOWED, &text) }
    }
}

/// What is told is of this moment, so nobody may keep it.
impl From<HttpAnswer> for Response<Full<Bytes>> {
    fn from(answer: HttpAnswer) -> Self {
        let mut response = Self::new(Full::new(answer.body));
        *response.status_mut() = answer.status;
        let mut set = |name: HeaderName, value| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, answer.content_type);
        set(CACHE_CONTROL, "no-store");
        if let Some(allow) = answer.allow {
            set(ALLOW, allow);
        }
        response
    }
}
