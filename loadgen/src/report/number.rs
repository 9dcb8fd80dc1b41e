//! Numbers as people write them.

/// Writes a number for people: `1,234`, `12.5`, `0.0341`; `-` if it is not finite.
pub(super) fn text(number: f64) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    let decimals = match number.abs() {
        0.0..1.0 => 4,
        1.0..100.0 => 2,
        _ => 0,
    };
    let text = format!("{number:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match text {
        "-0" => "0".to_owned(),
        text => grouped(text),
    }
}

/// Writes a number that may be missing; `-` stands for what was not measured.
pub(super) fn optional(number: Option<f64>) -> String {
    text(number.unwrap_or(f64::NAN))
}

/// Puts a comma between groups of three digits before the decimal point.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut text = String::with_capacity(number.len() + whole / 3);
    for (i, character) in number.char_indices() {
        if i > 0 && i < whole && (whole - i).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let cases = [
            (0.0, "0"),
            (-0.00001, "0"),
            (0.9951, "0.9951"),
            (18.237, "18.24"),
            (150.4, "150"),
            (1_234_567.0, "1,234,567"),
            (-123.0, "-123"),
            (f64::NAN, "-"),
        ];
        for (number, expected) in cases {
            assert_eq!(text(number), expected);
        }
        assert_eq!(optional(None), "-");
    }
}
