//! What each command takes.
//!
//! Flags that override configuration are kept as text here and read by `Config`, which reports
//! them together with everything else that is wrong.

mod ca;
mod config;
mod demo;
mod devices;
mod enroll;
mod host;
mod join;
mod node;
mod users;

pub use self::{
    ca::{BulkArgs, CaAction, CaArgs},
    config::ConfigArgs,
    demo::DemoArgs,
    devices::DevicesArgs,
    enroll::EnrollArgs,
    host::HostArgs,
    join::JoinArgs,
    node::NodeArgs,
    users::{UsersError, permitted},
};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sabha_core::message::Mode;

use crate::config::Flag;

/// Parses one of the modes named.
fn modes(names: &[&'static str]) -> impl TypedValueParser<Value = Mode> + use<> {
    PossibleValuesParser::new(names.to_vec()).map(Mode::from)
}

/// Returns those flags that were given: key, flag and text.
fn given<const N: usize>(flags: [(&'static str, &'static str, &Option<String>); N]) -> Vec<Flag> {
    let flags = flags.into_iter();
    let given = flags.filter_map(|(key, name, value)| Some((key, name, value.clone()?)));
    given.map(|(key, name, value)| Flag { key, name, value }).collect()
}
