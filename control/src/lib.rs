//! Sabha control.

pub mod cli;
pub mod commands;
pub mod config;
pub mod coordinator;
pub mod demo;
pub mod http;
pub mod metrics;
pub mod node;
