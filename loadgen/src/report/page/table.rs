//! Tables: checks, and anything with a head and rows.

use super::super::check::Check;
use super::super::escape;
use super::super::number;

/// Renders checks with their signs; nothing if there are none.
pub(super) fn checks(title: &str, checks: &[Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let rows: String = checks.iter().map(check_row).collect();
    format!(
        "<h2>{}</h2>\n<div class=\"card\"><table>\n<thead><tr><th></th><th>What must hold</th>\
         <th class=\"number\">Measured</th><th class=\"number\">Bound</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n",
        escape::html(title)
    )
}

fn check_row(check: &Check) -> String {
    let (state, sign, word) =
        if check.ok { ("good", '✓', "holds") } else { ("bad", '✗', "does not hold") };
    let unit = if check.unit.is_empty() { String::new() } else { format!(" {}", check.unit) };
    let value = match check.value {
        Some(value) => number::text(value) + &unit,
        None => "not measured".to_owned(),
    };
    format!(
        "<tr class=\"{state}\"><td class=\"state\" title=\"{word}\">{sign}</td><td>{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
        escape::html(&check.name),
        escape::html(&value),
        escape::html(&format!("{}{unit}", check.bound))
    )
}

/// Renders a table whose first column is text and whose others are numbers.
pub(super) fn plain(head: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |nth: usize, tag: &str, text: &str| {
        let class = if nth == 0 { "" } else { " class=\"number\"" };
        format!("<{tag}{class}>{}</{tag}>", escape::html(text))
    };
    let head: String = head.iter().enumerate().map(|(nth, text)| cell(nth, "th", text)).collect();
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().enumerate().map(|(nth, text)| cell(nth, "td", text));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"card\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n"
    )
}

/// Renders names and values beside each other; values that are missing leave their name out.
pub(super) fn facts(facts: &[(&str, Option<String>)]) -> String {
    let known = facts.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    let rows = known.map(|(name, value)| {
        format!("<dt>{}</dt><dd>{}</dd>\n", escape::html(name), escape::html(value))
    });
    format!("<dl class=\"card\">\n{}</dl>\n", rows.collect::<String>())
}
