//! The report as text for a terminal, at most 100 columns wide.

use std::fmt::Write;

use super::{
    escape,
    figure::number_text,
    model::{Check, Member, Report},
    page,
};

/// Renders the report for a terminal: headline, checks, key figures, members.
///
/// No line is wider than [`WIDTH_MAX`] characters; foreign text cannot steer the terminal.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut text = page::headline(report) + "\n";
    if !report.checks.is_empty() {
        text += &checks(&report.checks);
    }
    text += &figures(report);
    if !report.members.is_empty() {
        text += &members(&report.members);
    }
    text
}

fn checks(checks: &[Check]) -> String {
    let rows = checks.iter().map(|check| {
        let sign = if check.ok { "✓" } else { "✗" };
        [
            sign.to_owned(),
            escape::terminal(&page::words(&check.name), NAME_MAX),
            escape::terminal(&check.value.to_string(), VALUE_MAX),
            escape::terminal(&check.bound.to_string(), BOUND_MAX),
        ]
    });
    let head = ["", "what must hold", "measured", "bound"].map(str::to_owned);
    aligned(std::iter::once(head).chain(rows), 2)
}

fn figures(report: &Report) -> String {
    let rows = page::key_figures(&report.conference).into_iter().map(|(label, value, unit)| {
        [escape::terminal(&label, NAME_MAX), escape::terminal(&value, BOUND_MAX), unit.to_owned()]
    });
    "\n".to_owned() + &aligned(rows, 1)
}

fn members(members: &[Member]) -> String {
    let head = [
        "member",
        "talks",
        "received",
        "of due",
        "lost",
        "concealed",
        "jitter ms",
        "buffer ms",
        "MOS",
    ];
    let number = |value| escape::terminal(&number_text(value), COUNT_MAX);
    let rows = members.iter().take(MEMBERS_MAX).map(|member| {
        [
            escape::terminal(&member.user, USER_MAX),
            if member.reference_wav.is_some() { "yes" } else { "no" }.to_owned(),
            number(member.packets_in as f64),
            number(member.packets_due as f64),
            number(member.lost as f64),
            number(member.concealed as f64),
            number(member.jitter_ms),
            number(member.buffer_ms_p50),
            escape::terminal(&number_text(member.mos), MOS_MAX),
        ]
    });
    let mut text = "\n".to_owned();
    text += &aligned(std::iter::once(head.map(str::to_owned)).chain(rows), 2);
    if members.len() > MEMBERS_MAX {
        let more = members.len() - MEMBERS_MAX;
        writeln!(text, "  and {more} more members, in report.json").expect("strings take all");
    }
    text
}

/// Lays rows out in columns as wide as their widest cell: the first `left` flush left, the others
/// flush right, but for words in the last column.
fn aligned<const N: usize>(rows: impl Iterator<Item = [String; N]>, left: usize) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let mut line = String::from(" ");
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let padded = if column < left {
                format!(" {cell:<width$} ")
            } else {
                format!(" {cell:>width$} ")
            };
            line += &padded;
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The widest line, in characters.
pub const WIDTH_MAX: usize = 100;

/// Members that are listed; the rest is counted. Chosen as about two screens.
const MEMBERS_MAX: usize = 100;

// Widths in characters; with two columns of space around each they stay within `WIDTH_MAX`.
const NAME_MAX: usize = 44;
const VALUE_MAX: usize = 16;
const BOUND_MAX: usize = 28;
const USER_MAX: usize = 16;
const COUNT_MAX: usize = 9;
const MOS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::super::model::Conference;
    use super::*;

    #[test]
    fn lines_are_aligned_and_within_the_width_whatever_comes() {
        let long = "x".repeat(300);
        let member = |user: &str, packets_in| Member {
            user: user.into(),
            packets_in,
            packets_due: u64::MAX,
            lost: u64::MAX,
            ..Member::default()
        };
        let mut conference = Conference { ticks: u64::MAX, ..Conference::default() };
        conference.more.insert(long.clone(), long.as_str().into());
        let checks = vec![
            Check::new("delay", true, 18.2, "at most 40 ms"),
            Check::new(long.as_str(), false, long.as_str(), long.as_str()),
        ];
        let members = vec![member(&long, 1), member("b", 1_500)];
        let text = table(&Report::new(checks, conference, Vec::new(), members));
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        println!("{text}");
        assert!(widest <= WIDTH_MAX, "{widest} columns");
    }

    #[test]
    fn checks_have_marks_and_words() {
        let checks = vec![
            Check::new("nobody_heard_twice", true, 0, 0),
            Check::new("gap", false, "310 ms", "at most 200 ms"),
        ];
        let text = table(&Report::new(checks, Conference::default(), Vec::new(), Vec::new()));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Failed: 1 of 2 checks does not hold");
        assert_eq!(lines[1], "     what must hold      measured           bound");
        assert_eq!(lines[2], "  ✓  nobody heard twice         0               0");
        assert_eq!(lines[3], "  ✗  gap                   310 ms  at most 200 ms");
    }

    #[test]
    fn members_beyond_the_limit_are_counted() {
        let members = vec![Member::default(); MEMBERS_MAX + 7];
        let report = Report::new(Vec::new(), Conference::default(), Vec::new(), members);
        assert!(table(&report).ends_with("and 7 more members, in report.json\n"));
    }
}
