//! Makes foreign text safe where it is shown.

use std::fmt::Write;

/// Escapes text for HTML content and quoted attributes; control characters become spaces.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Percent-encodes a relative path as a URL that can only be a relative path.
pub(super) fn relative_url(path: &str) -> String {
    let mut url = String::from("./");
    for byte in path.trim_start_matches('/').bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                url.push(byte.into());
            }
            other => write!(url, "%{other:02X}").expect("writing to a string never fails"),
        }
    }
    url
}

/// Cuts text to `width_max` characters and replaces what would steer a terminal.
pub(super) fn terminal(text: &str, width_max: usize) -> String {
    let plain = text.chars().map(|c| if steers_terminal(c) { '?' } else { c });
    if text.chars().count() <= width_max {
        return plain.collect();
    }
    plain.take(width_max.saturating_sub(1)).chain(['…']).collect()
}

/// Control characters, and those that reorder or hide the text around them.
fn steers_terminal(character: char) -> bool {
    let reorders = matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hides = matches!(character, '\u{200b}'..='\u{200f}');
    character.is_control() || reorders || hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(html("<a b=\"c\">&'\n"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39; ");
    }

    #[test]
    fn path_stays_a_relative_path() {
        assert_eq!(relative_url("out/a b#1?.wav"), "./out/a%20b%231%3F.wav");
        assert_eq!(relative_url("javascript:x"), "./javascript%3Ax");
        assert_eq!(relative_url("//host/x"), "./host/x");
    }

    #[test]
    fn terminal_is_not_steered_and_width_is_kept() {
        assert_eq!(terminal("a\u{1b}[31m\u{202e}b", 20), "a?[31m?b");
        assert_eq!(terminal("abcdef", 4), "abc…");
        assert_eq!(terminal("äöüß", 4), "äöüß");
    }
}
