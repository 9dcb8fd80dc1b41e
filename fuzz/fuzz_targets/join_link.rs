//! A join link parser takes any text without panicking, and what it takes it writes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sabha_core::message::JoinLink;

fuzz_target!(|text: &str| {
    if let Ok(link) = text.parse::<JoinLink>() {
        assert_eq!(link.to_string().parse::<JoinLink>(), Ok(link));
    }
});
