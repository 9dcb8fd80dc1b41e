//! The table.

/// One bench against its limit.
pub struct Row {
    name: String,
    unit: &'static str,
    measured: Option<f64>,
    limit: f64,
}

impl Row {
    /// Makes a row; what was not measured is shown so and judged not.
    pub fn new(name: &str, unit: &'static str, measured: Option<f64>, limit: f64) -> Self {
        Self { name: name.to_owned(), unit, measured, limit }
    }

    /// Says whether the limit is kept, as far as is known.
    pub fn is_ok(&self) -> bool {
        self.measured.is_none_or(|measured| measured <= self.limit)
    }
}

/// Prints rows below each other.
pub fn print(rows: &[Row]) {
    line("bench", "measured", "limit", "ratio", "unit", "ok");
    for row in rows {
        let ratio = row.measured.map(|measured| format!("{:.2}", measured / row.limit));
        let measured = row.measured.map(figure);
        let ok = match row.measured {
            None => "not run",
            Some(_) if row.is_ok() => "✓",
            Some(_) => "✗",
        };
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (measured, ratio) = (or_none(&measured), or_none(&ratio));
        line(&row.name, &measured, &figure(row.limit), &ratio, row.unit, ok);
    }
}

fn line(name: &str, measured: &str, limit: &str, ratio: &str, unit: &str, ok: &str) {
    println!("{name:<44} {measured:>12} {limit:>12} {ratio:>6}  {unit:<12}  {ok}");
}

/// Three decimals below 10, none above, and groups of three digits.
fn figure(number: f64) -> String {
    if number < 10.0 {
        return format!("{number:.3}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_kept_up_to_itself() {
        let ok = |measured| Row::new("x", "times", measured, 2.0).is_ok();
        assert!(ok(Some(2.0)) && ok(None) && !ok(Some(2.001)));
    }

    #[test]
    fn figures_are_grouped() {
        let figures = [0.3712, 9.9, 10.0, 1_611.8, 8_166_691.9].map(figure);
        assert_eq!(figures, ["0.371", "9.900", "10", "1,612", "8,166,692"]);
    }
}
