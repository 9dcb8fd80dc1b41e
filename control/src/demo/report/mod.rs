//! What a demo run found: as JSON for machines, a page for browsers, a table for the terminal.
//!
//! Owns the wording and the shapes; measures nothing, reads no file and writes none. The caller
//! fills a [`Report`], and for the page a [`Timeline`] with what was said and heard.

pub mod envelope;
pub mod figure;
pub mod model;
pub mod page;
pub mod text;
pub mod timeline;

mod escape;

pub use self::{
    envelope::Envelope,
    figure::Figure,
    model::{Check, Conference, Member, Report, Segment},
    page::html,
    text::table,
    timeline::{Timeline, Track},
};
