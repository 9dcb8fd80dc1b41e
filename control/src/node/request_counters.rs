//! Counts what became of callers and their requests.

use std::sync::atomic::{AtomicU64, Ordering};

use sabha_core::message::{Answer, Request};

/// Counts since the node began, as any task adds to them.
#[derive(Debug, Default)]
pub(crate) struct RequestCounters {
    handshakes_refused: AtomicU64,
    answered: [AtomicU64; KINDS],
    refused: [[AtomicU64; REASONS]; KINDS],
}

/// Counts since the node began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Callers whose handshake failed.
    pub handshakes_refused: u64,
    /// Requests that were granted, in the order of `RequestKind::ALL`.
    pub granted: [u64; KINDS],
    /// Requests that were refused, in the order of `RequestKind::ALL` and `REFUSAL_REASONS`.
    pub refused: [[u64; REASONS]; KINDS],
}

/// What was asked, as far as it is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// To make a conference.
    Create,
    /// To make a leg.
    Join,
    /// Anything else.
    Other,
}

impl RequestKind {
    /// Every kind, in the order of its counter.
    pub const ALL: [Self; KINDS] = [Self::Create, Self::Join, Self::Other];

    /// Returns the kind of a request.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::CreateConference { .. } => Self::Create,
            Request::Join(_) => Self::Join,
            _ => Self::Other,
        }
    }

    /// Returns the kind's label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Join => "join",
            Self::Other => "other",
        }
    }
}

impl RequestCounters {
    pub(crate) fn handshake_refused(&self) {
        self.handshakes_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, kind: RequestKind, answer: &Answer) {
        let kind = kind as usize;
        let counter = match answer {
            Answer::Refused(refusal) => &self.refused[kind][reason(refusal.code.as_str())],
            _ => &self.answered[kind],
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> RequestCounts {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            handshakes_refused: value(&self.handshakes_refused),
            granted: self.answered.each_ref().map(value),
            refused: self.refused.each_ref().map(|kind| kind.each_ref().map(value)),
        }
    }
}

/// Returns a code's place in `REFUSAL_REASONS`; that of "other" if it is not among them.
fn reason(code: &str) -> usize {
    REFUSAL_REASONS.iter().position(|known| *known == code).unwrap_or(REASONS - 1)
}

const KINDS: usize = 3;
const REASONS: usize = REFUSAL_REASONS.len();

/// Reasons for a refusal, as metrics name them. Source: `sabha_core::message::RefusalCode`.
pub const REFUSAL_REASONS: [&str; 14] = [
    "bad_request",
    "unknown_request",
    "bad_ticket",
    "not_permitted",
    "unknown_conference",
    "unknown_leg",
    "not_host",
    "not_owner",
    "locked",
    "full",
    "no_common_suite",
    "rate_limited",
    "internal",
    "other",
];

#[cfg(test)]
mod tests {
    use sabha_core::message::RefusalCode;

    use super::*;

    #[test]
    fn each_reason_is_one_that_nodes_give() {
        for reason in &REFUSAL_REASONS[..REASONS - 1] {
            let code = RefusalCode::from((*reason).to_owned());
            assert!(!matches!(code, RefusalCode::Other(_)), "{reason}");
        }
    }

    #[test]
    fn refusal_is_counted_under_its_reason_and_an_unknown_one_under_other() {
        let counters = RequestCounters::default();
        let refuse = |code| Answer::refuse(code, "no");
        counters.answered(RequestKind::Join, &refuse(RefusalCode::Full));
        counters.answered(RequestKind::Join, &refuse(RefusalCode::from("new".to_owned())));
        counters.answered(RequestKind::Create, &Answer::Done {});
        let counts = counters.counts();
        assert_eq!(counts.refused[RequestKind::Join as usize][reason("full")], 1);
        assert_eq!(counts.refused[RequestKind::Join as usize][REASONS - 1], 1);
        assert_eq!(counts.granted, [1, 0, 0]);
    }
}
