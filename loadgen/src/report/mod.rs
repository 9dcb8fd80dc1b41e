//! What runs measured: as JSON for machines and as a page for browsers, one run or several.
//!
//! Owns the shapes, the bounds that make a run `held`, and the pictures. Measures nothing: the run
//! fills a [`Record`], calls [`Record::judge`] and [`write()`].

mod check;
mod command;
mod escape;
mod histogram;
mod model;
mod number;
mod page;
mod parts;
mod plot;
#[cfg(test)]
mod sample;
mod series;
mod verdict;
mod write;

pub use self::{
    command::ReportArgs,
    histogram::Histogram,
    model::Record,
    parts::{Floor, Gaps, Machine, MemberLine, Parameters},
    series::{Point, Steady},
    write::{ReportError, write},
};
