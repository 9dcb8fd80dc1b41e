//! Plots as SVG: two axes, curves, bars, limits. No script; colours come from the page's style.

mod axis;
mod chart;

pub(super) use self::axis::Axis;
pub(super) use self::chart::Chart;
