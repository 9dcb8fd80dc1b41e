//! Join links as people copy them, rightly and wrongly.

#![allow(clippy::unwrap_used)]

use sabha_core::{
    Fingerprint, NodeId,
    message::{ConferenceId, JoinLink, JoinLinkError},
};

fn link() -> JoinLink {
    JoinLink {
        conference: ConferenceId([1; 32]),
        host: NodeId([2; 32]),
        root: Fingerprint([3; 32]),
        addresses: vec!["192.0.2.1:4000".parse().unwrap(), "[2001:db8::1]:65535".parse().unwrap()],
    }
}

fn parse(text: &str) -> Result<JoinLink, JoinLinkError> {
    text.parse()
}

#[test]
fn link_survives_case_blanks_and_line_breaks() {
    let text = link().to_string();
    assert!(text.starts_with("sabha:") && text.is_ascii(), "{text}");
    assert_eq!(parse(&text), Ok(link()));
    assert_eq!(parse(&text.to_uppercase()), Ok(link()));
    let (first, second) = text.split_at(76);
    assert_eq!(parse(&format!("  {first}\r\n {second}\n")), Ok(link()));
}

#[test]
fn every_changed_or_missing_character_is_noticed() {
    let text = link().to_string();
    for index in "sabha:".len()..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[index] = if changed[index] == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(parse(&changed).is_err(), "character {index}");
        assert!(parse(&text[..index]).is_err(), "cut at {index}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let text = link().to_string();
    assert_eq!(parse(""), Err(JoinLinkError::Scheme));
    assert_eq!(parse("https://example.org"), Err(JoinLinkError::Scheme));
    assert_eq!(parse("sabha"), Err(JoinLinkError::Scheme));
    assert_eq!(parse("sabha:"), Err(JoinLinkError::Checksum));
    assert_eq!(parse(&text[..text.len() - 3]), Err(JoinLinkError::Checksum));
    assert_eq!(parse(&text.replace(&text[20..21], "!")), Err(JoinLinkError::Character));
    assert_eq!(parse(&format!("{text}{}", "a".repeat(2000))), Err(JoinLinkError::TooLong));
}

#[test]
fn only_the_first_four_addresses_are_written() {
    let address = "192.0.2.1:4000".parse().unwrap();
    let many = JoinLink { addresses: vec![address; 9], ..link() };
    assert_eq!(parse(&many.to_string()).unwrap().addresses, vec![address; 4]);
}
