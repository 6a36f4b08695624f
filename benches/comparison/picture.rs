//! The picture: horizontal bars of events per second, as SVG that is readable on light and on dark pages.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::results::{Bar, Bars, Part, thousands};

const WIDTH: f64 = 760.0;
/// Where names end and bars begin.
const LEFT: f64 = 225.0;
/// What numbers take behind the longest bar.
const RIGHT: f64 = 190.0;
const BAR: f64 = 20.0;
const STEP: f64 = 28.0;
const TITLE: f64 = 34.0;

const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 14px; }
.small { font-size: 11px; fill: #59636e; }
.ours { fill: #0969da; }
.other { fill: #afb8c1; }
.axis { stroke: #afb8c1; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small { fill: #9198a1; }
  .ours { fill: #4493f8; }
  .other { fill: #656c76; }
  .axis { stroke: #656c76; }
}";

/// All bars of the parts; `None` where there are none.
pub fn draw(parts: &[Part], machine: &Machine) -> Option<String> {
    let groups: Vec<&Bars> = parts.iter().flat_map(|p| &p.bars).collect();
    if groups.is_empty() {
        return None;
    }
    let mut body = String::new();
    let mut y = 8.0;
    for bars in groups {
        y = group(bars, y, &mut body);
    }
    y += 14.0;
    let below = format!("{}; {}; make bench", machine.hardware(), machine.date);
    text(&mut body, (12.0, y), "small", "start", &below);
    let height = y + 12.0;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>Events per second of driftgate and of other tools; longer is faster</title>\n\
         <style>\n{STYLE}\n</style>\n{body}</svg>"
    );
    Some(out)
}

/// Draws one group from `y` on; returns where it ends.
fn group(bars: &Bars, y: f64, out: &mut String) -> f64 {
    text(out, (12.0, y + 18.0), "title", "start", &bars.title);
    let top = y + TITLE;
    let most = bars.bars.iter().map(|b| b.rate).fold(0.0, f64::max);
    let at = |i: usize| {
        #[allow(clippy::cast_precision_loss, reason = "a few bars")]
        let i = i as f64;
        top + i * STEP
    };
    for (i, bar) in bars.bars.iter().enumerate() {
        draw_bar(bar, at(i), most, out);
    }
    let bottom = at(bars.bars.len());
    let _ = writeln!(
        out,
        "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{:.0}\" y2=\"{:.0}\"/>",
        top - 4.0,
        bottom - 4.0
    );
    bottom + 8.0
}

fn draw_bar(bar: &Bar, y: f64, most: f64, out: &mut String) {
    let width = ((WIDTH - LEFT - RIGHT) * bar.rate / most).max(1.0);
    let middle = y + BAR / 2.0 + 4.5;
    text(out, (LEFT - 8.0, middle), "", "end", &bar.name);
    let class = if bar.ours { "ours" } else { "other" };
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
    );
    let number = format!("{}/s", thousands(bar.rate));
    let x = LEFT + width + 8.0;
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{middle:.1}\">{number}<tspan class=\"small\" dx=\"8\">{}</tspan></text>",
        escape(&bar.note)
    );
}

fn text(out: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, what: &str) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape(what)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
