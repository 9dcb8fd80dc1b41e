//! Figures of the node as a whole, and of its process.

use metrics::Label;
use sabha_transport::DriverName;

use super::{Name, Registry, labels_of, name};
use crate::metrics::exact::Exact;
use crate::metrics::process::ProcessFigures;
use crate::node::{REFUSAL_REASONS, RequestKind};

pub(super) fn register(registry: &mut Registry, driver: Option<DriverName>) {
    let version = Label::from_static_parts("version", env!("CARGO_PKG_VERSION"));
    let driver = driver.map_or_else(|| "unknown".to_owned(), |driver| driver.to_string());
    let driver = Label::new("driver", driver);
    registry.gauge(BUILD_INFO, vec![version, driver], |_| Some(1.0));
    registry.gauge(SESSIONS, Vec::new(), |reading| Some(reading.node.sessions as f64));
    registry.counter(CALLERS_REFUSED, labels_of(&[("reason", "handshake_failed")]), |reading| {
        Some(reading.node.requests.handshakes_refused)
    });
    registry.counter(CALLERS_REFUSED, labels_of(&[("reason", "sessions_full")]), |reading| {
        Some(reading.node.callers_refused)
    });
    registry.counter(CONNECTIONS_REFUSED, Vec::new(), |reading| Some(reading.connections_refused));
    register_requests(registry);
    for (name, read) in PROCESS {
        registry.gauge(name, Vec::new(), move |reading| read(reading.process.as_ref()?));
    }
    registry.exact(CPU, "counter", Vec::new(), |reading| {
        Some(Exact::Value(reading.process?.cpu_seconds))
    });
}

fn register_requests(registry: &mut Registry) {
    for kind in RequestKind::ALL {
        let labels = labels_of(&[("request", kind.as_str())]);
        registry.counter(GRANTED, labels, move |reading| {
            Some(reading.node.requests.granted[kind as usize])
        });
        for (at, reason) in REFUSAL_REASONS.iter().enumerate() {
            let labels = labels_of(&[("request", kind.as_str()), ("reason", reason)]);
            registry.counter(REFUSED, labels, move |reading| {
                Some(reading.node.requests.refused[kind as usize][at])
            });
        }
    }
}

const BUILD_INFO: Name = name(
    "sabha_build_info",
    "Always 1; the labels tell the version and what runs the media threads.",
);
const SESSIONS: Name = name("sabha_sessions", "Signalling sessions.");
const CALLERS_REFUSED: Name =
    name("sabha_callers_refused_total", "Callers of signalling who got no session, by reason.");
const GRANTED: Name = name("sabha_requests_granted_total", "Requests that were carried out.");
const REFUSED: Name =
    name("sabha_requests_refused_total", "Requests that were refused, by what and why.");
const CONNECTIONS_REFUSED: Name = name(
    "sabha_metrics_connections_refused_total",
    "Connections to this very server that it closed, because it had too many.",
);
const CPU: Name = name("process_cpu_seconds_total", "User and system time of this process.");

type OfProcess = (Name, fn(&ProcessFigures) -> Option<f64>);

const PROCESS: [OfProcess; 6] = [
    (name("process_resident_memory_bytes", "Memory that this process has in RAM."), |process| {
        Some(process.resident_bytes as f64)
    }),
    (name("process_virtual_memory_bytes", "Address space of this process."), |process| {
        Some(process.virtual_bytes as f64)
    }),
    (name("process_open_fds", "Open descriptors of this process."), |process| {
        Some(process.open_fds as f64)
    }),
    (name("process_max_fds", "Most descriptors that it may open."), |process| {
        process.max_fds.map(|max| max as f64)
    }),
    (name("process_threads", "Threads of this process."), |process| Some(process.threads as f64)),
    (
        name("process_start_time_seconds", "When this process began, since the beginning of 1970."),
        |process| Some(process.start_time_seconds),
    ),
];
