//! Records as HTML pages that need no script, no network and no other file.

mod charts;
mod comparison;
mod run;
mod table;

use super::escape;

pub(super) use self::comparison::comparison_page;
pub(super) use self::run::run_page;

/// Wraps a body into a whole page.
fn page(title: &str, body: &str) -> String {
    let title = escape::html(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n\
         {body}</main>\n</body>\n</html>\n"
    )
}

/// The coloured box at the top.
fn verdict(is_good: bool, headline: &str, sentence: &str) -> String {
    let state = if is_good { "good" } else { "bad" };
    let (headline, sentence) = (escape::html(headline), escape::html(sentence));
    format!("<div class=\"verdict {state}\">\n<h1>{headline}</h1>\n<p>{sentence}</p>\n</div>\n")
}

const CSS: &str = include_str!("page.css");
