//! What every back end does, on glommio.
#![cfg(feature = "glommio")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(unsafe_code, reason = "UDP_SEGMENT has no safe interface in std")]

#[path = "behaviour/mod.rs"]
mod behaviour;
use behaviour::common;
use common::Probe;
use sabha_transport::{Clock, Driver, DriverConfig, DriverKind, DriverName, GlommioDriver};

const KIND: DriverKind = DriverKind::Glommio;

#[test]
fn glommio_runs_unless_the_system_refuses_it() {
    let config = DriverConfig::default();
    match GlommioDriver::<Probe>::start(config.clone(), Clock::process()) {
        Ok(_) => {
            let (_driver, name) =
                sabha_transport::start_driver::<Probe>(KIND, config, Clock::process()).unwrap();
            assert_eq!((name, name.to_string().as_str()), (DriverName::Glommio, "glommio"));
        }
        Err(refusal) => println!("not tested, all of this binary ran on poll: {refusal}"),
    }
}
