//! The three paths: figures, liveness, readiness.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::collection::{Collected, Collection};
use super::health::Health;
use crate::http::HttpAnswer;

/// Answers a request; GET and HEAD are served, and nothing but the three paths.
pub(super) async fn answer(collection: Arc<Collection>, request: Parts) -> HttpAnswer {
    let page = match request.uri.path() {
        "/metrics" => Page::Metrics,
        "/healthz" => Page::Health,
        "/readyz" => Page::Readiness,
        _ => return HttpAnswer::text(StatusCode::NOT_FOUND, "try /metrics, /healthz or /readyz"),
    };
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return HttpAnswer::not_allowed("GET, HEAD");
    }
    let collected = collection.clone().latest().await;
    match page {
        Page::Metrics => metrics(collected),
        Page::Health => health(&collected.health),
        Page::Readiness => readiness(&collected.health, collection.figures().unready()),
    }
}

enum Page {
    Metrics,
    Health,
    Readiness,
}

fn metrics(collected: Collected) -> HttpAnswer {
    match collected.text {
        Some(text) => HttpAnswer::new(StatusCode::OK, TEXT_FORMAT, text),
        None => health(&collected.health),
    }
}

fn health(health: &Health) -> HttpAnswer {
    let status = match health {
        Health::Well => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    HttpAnswer::text(status, &health.to_string())
}

fn readiness(health: &Health, unready: Option<String>) -> HttpAnswer {
    let reason = match health {
        Health::Well => unready,
        ill => Some(ill.to_string()),
    };
    match reason {
        None => HttpAnswer::text(StatusCode::OK, "ready"),
        Some(reason) => HttpAnswer::text(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

/// Source: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
