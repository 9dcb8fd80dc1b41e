//! The report as one HTML page that needs no script, no network and no other file but the sound.

use std::fmt::Write;

use super::{
    escape,
    figure::number_text,
    model::{Check, Conference, Member, Report},
    timeline::{ROWS_MAX, Timeline},
};

/// Renders the report as one self-contained page; every text in it is escaped.
///
/// The members' WAV paths become `<audio>` elements relative to the page.
#[must_use]
pub fn html(report: &Report, timeline: &Timeline) -> String {
    let mut page = Page::default();
    page.verdict(report);
    page.checks(&report.checks);
    page.figures(&report.conference);
    page.timeline(report, timeline);
    page.members(&report.members);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Sabha demo: {}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n\
         {}</main>\n</body>\n</html>\n",
        if report.ok { "passed" } else { "failed" },
        page.body
    )
}

/// Turns a field's name into words: `node_rss_mib` becomes `node rss mib`.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Key figures of a conference for people: label, value, unit.
pub(super) fn key_figures(conference: &Conference) -> Vec<(String, String, &'static str)> {
    let figure = |label: &str, value: f64, unit| (label.to_owned(), number_text(value), unit);
    let count = |label: &str, value: u64| figure(label, value as f64, "");
    let mut figures = vec![
        figure("added delay, median", conference.added_delay_ms_p50, "ms"),
        figure("added delay, 99th percentile", conference.added_delay_ms_p99, "ms"),
        figure("encoder's look-ahead, on top", conference.lookahead_ms, "ms"),
        figure("node CPU per member-second", conference.node_cpu_ms_per_member_second, "ms"),
        count("members", conference.members.into()),
        count("talkers mixed at once, at most", conference.talkers_max.into()),
        figure("encodes in a tick, median", conference.encodes_per_tick_median, ""),
        figure("decodes in a tick, median", conference.decodes_per_tick_median, ""),
        count("ticks of 20 ms", conference.ticks),
        count("ticks over the encode bound", conference.ticks_over_encode_bound),
        count("ticks over the decode bound", conference.ticks_over_decode_bound),
    ];
    figures
        .extend(conference.more.iter().map(|(name, value)| (words(name), value.to_string(), "")));
    figures
}

/// The headline of a report, such as `Passed: all 12 checks hold`.
pub(super) fn headline(report: &Report) -> String {
    let (held, all) = (report.checks_held(), report.checks.len());
    match (report.ok, all) {
        (true, 1) => "Passed: the one check holds".to_owned(),
        (true, _) => format!("Passed: all {all} checks hold"),
        (false, 0) => "Failed: nothing was checked".to_owned(),
        (false, _) if all - held == 1 => format!("Failed: 1 of {all} checks does not hold"),
        (false, _) => format!("Failed: {} of {all} checks do not hold", all - held),
    }
}

#[derive(Default)]
struct Page {
    body: String,
}

impl Page {
    fn verdict(&mut self, report: &Report) {
        let conference = &report.conference;
        let sentence = format!(
            "{} members in one conference, {} of them talking. The node added {} ms of delay in \
             the median and {} ms at the 99th percentile.",
            number_text(conference.members.into()),
            report.members.iter().filter(|member| member.reference_wav.is_some()).count(),
            number_text(conference.added_delay_ms_p50),
            number_text(conference.added_delay_ms_p99)
        );
        let (state, headline) = (state(report.ok), headline(report));
        self.add(format_args!(
            "<div class=\"verdict {state}\">\n<h1>{headline}</h1>\n<p>{sentence}</p>\n</div>\n"
        ));
    }

    fn checks(&mut self, checks: &[Check]) {
        self.add(format_args!(
            "<h2>Checks</h2>\n<div class=\"card\"><table>\n<thead><tr><th></th><th>What must hold\
             </th><th class=\"number\">Measured</th><th class=\"number\">Bound</th></tr></thead>\n\
             <tbody>\n"
        ));
        for check in checks {
            let (state, sign, word) =
                if check.ok { ("good", '✓', "holds") } else { ("bad", '✗', "does not hold") };
            self.add(format_args!(
                "<tr class=\"{state}\"><td class=\"state\" title=\"{word}\">{sign}</td>\
                 <td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
                escape::html(&words(&check.name)),
                escape::html(&check.value.to_string()),
                escape::html(&check.bound.to_string())
            ));
        }
        self.add(format_args!("</tbody>\n</table></div>\n"));
    }

    fn figures(&mut self, conference: &Conference) {
        self.add(format_args!("<h2>Key figures</h2>\n<div class=\"figures\">\n"));
        for (label, value, unit) in key_figures(conference) {
            let (label, value) = (escape::html(&label), escape::html(&value));
            let unit = if unit.is_empty() { "" } else { &format!(" <small>{unit}</small>") };
            self.add(format_args!(
                "<div class=\"figure\"><b>{value}{unit}</b><span>{label}</span></div>\n"
            ));
        }
        self.add(format_args!("</div>\n"));
    }

    fn timeline(&mut self, report: &Report, timeline: &Timeline) {
        let svg = timeline.svg(&report.segments);
        self.add(format_args!(
            "<h2>Who spoke when</h2>\n<div class=\"card\">\n{svg}</div>\n<div class=\"legend\">\
             <span><i class=\"alone\"></i>speaks alone</span>\
             <span><i class=\"together\"></i>speaks while others do</span>"
        ));
        if timeline.rows_left_out() > 0 {
            let left_out = timeline.rows_left_out();
            self.add(format_args!("<span>{left_out} more members beyond {ROWS_MAX}</span>"));
        }
        self.add(format_args!("</div>\n"));
    }

    fn members(&mut self, members: &[Member]) {
        self.add(format_args!(
            "<h2>Members</h2>\n<div class=\"card\"><table>\n<thead><tr><th>Member</th>\
             <th>What was heard</th><th>What was said</th><th class=\"number\">Packets in</th>\
             <th class=\"number\">of due</th><th class=\"number\">Lost</th>\
             <th class=\"number\">Concealed</th><th class=\"number\">Jitter</th>\
             <th class=\"number\">Buffer</th><th class=\"number\">MOS</th></tr></thead>\n\
             <tbody>\n"
        ));
        for member in members {
            let said = match &member.reference_wav {
                Some(path) => audio(path, &format!("What {} said", member.user)),
                None => "silent".to_owned(),
            };
            self.add(format_args!(
                "<tr><td>{}</td><td>{}</td><td>{said}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{} ms</td>\
                 <td class=\"number\">{} ms</td><td class=\"number\">{}</td></tr>\n",
                escape::html(&member.user),
                audio(&member.wav, &format!("What {} heard", member.user)),
                number_text(member.packets_in as f64),
                number_text(member.packets_due as f64),
                number_text(member.lost as f64),
                number_text(member.concealed as f64),
                number_text(member.jitter_ms),
                number_text(member.buffer_ms_p50),
                number_text(member.mos)
            ));
        }
        self.add(format_args!("</tbody>\n</table></div>\n"));
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.body.write_fmt(text).expect("writing to a string never fails");
    }
}

/// A player; without preloading, so that a page of many members opens at once.
fn audio(path: &str, label: &str) -> String {
    let (url, label) = (escape::relative_url(path), escape::html(label));
    format!("<audio controls preload=\"none\" src=\"{url}\" aria-label=\"{label}\"></audio>")
}

fn state(ok: bool) -> &'static str {
    if ok { "good" } else { "bad" }
}

const CSS: &str = include_str!("page.css");

#[cfg(test)]
mod tests;
