//! Charts over time as SVG: values with limit and warn, a line without axes, the status. Pure functions from numbers to markup; what a chart shows stands
//! in its `title` too.

use std::fmt::Write as _;

use super::markup::{escaped, time};
use crate::history::columns::Row;
use crate::http::series::Range;
use driftgate_core::codec::number::short;
use driftgate_core::judge::verdict::Status;

/// Width and height of a chart, and the space that labels take.
pub(super) const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
pub(super) const LEFT: f64 = 60.0;
/// The width of what is drawn over time.
const PLOT: f64 = WIDTH - LEFT - 8.0;
pub(super) const BOTTOM: f64 = 20.0;
/// More points than this are thinned: the least and the greatest of each stretch stay. A line in a cell has fewer.
const MOST: usize = 900;
const MOST_IN_CELL: usize = 120;
/// Of more windows than this that do not pass, none says its time and value: a page stays small.
const MOST_TOLD: usize = 150;

/// Values beyond this are drawn at the edge.
const FAR: f64 = 1e300;

/// A window of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub ms: i64,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    pub warn: Option<f64>,
    /// What is shaded behind it, from the lower to the upper end.
    pub band: Option<(f64, f64)>,
    pub status: Status,
}

/// A row as it is drawn.
pub fn point(row: &Row) -> Point {
    let of = &row.of;
    Point { ms: row.end_ms, value: of.value, limit: of.limit, warn: of.warn, band: None, status: of.status }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub ms: i64,
    /// `block`, `clear`, `promotion`, `rollback`.
    pub kind: &'static str,
    pub sentence: String,
}

#[allow(clippy::cast_precision_loss, reason = "times and counts are far below 2^53")]
pub(super) fn real(n: i64) -> f64 {
    n as f64
}

/// Where a time lies in a range, 0 to 1.
fn share(ms: i64, range: Range) -> f64 {
    let span = real(range.to_ms.saturating_sub(range.from_ms)).max(1.0);
    (real(ms.saturating_sub(range.from_ms)) / span).clamp(0.0, 1.0)
}

/// Where numbers lie between the least and the greatest, 0 to 1 from below.
#[derive(Clone, Copy)]
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of<'p>(points: impl IntoIterator<Item = &'p Point>) -> Self {
        let all = points.into_iter().flat_map(|p| [p.value, p.limit, p.warn]).flatten().filter(|x| x.is_finite());
        let (least, most) = all.fold((0.0_f64, f64::NEG_INFINITY), |(least, most), x| (least.min(x), most.max(x)));
        // The distance between them is a number, too.
        let (least, most) = (least.max(-FAR), most.min(FAR));
        let most = if most > least { most + (most - least) * 0.08 } else { least + 1.0 };
        Self { least, most }
    }

    fn at(self, x: f64) -> f64 {
        let span = self.most - self.least;
        if span.is_finite() && span > 0.0 { ((x - self.least) / span).clamp(0.0, 1.0) } else { 0.5 }
    }
}

/// Fewer points, with the least and the greatest value of each stretch, and the worst status.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let value = |p: &Point| p.value.unwrap_or(f64::NEG_INFINITY);
    let mut kept = Vec::new();
    for stretch in points.chunks(points.len().div_ceil(most / 3)) {
        let by = |a: &&Point, b: &&Point| value(a).total_cmp(&value(b));
        let worst = stretch.iter().max_by_key(|p| p.status);
        let mut of: Vec<Point> =
            [stretch.iter().min_by(by), stretch.iter().max_by(by), worst].into_iter().flatten().copied().collect();
        of.sort_by_key(|p| p.ms);
        of.dedup();
        kept.extend(of);
    }
    kept
}

/// Lines through the points that have a value; one that has none ends a line.
fn path(points: &[Point], of: impl Fn(&Point) -> Option<f64>, place: impl Fn(&Point, f64) -> (f64, f64)) -> String {
    let mut out = String::new();
    let mut draws = false;
    for point in points {
        match of(point).filter(|x| x.is_finite()) {
            None => draws = false,
            Some(x) => {
                let (left, top) = place(point, x);
                let _ = write!(out, "{}{left:.2} {top:.1}", if draws { 'L' } else { 'M' });
                draws = true;
            }
        }
    }
    out
}

/// The same of a limit: of points in a row that have one and the same, the first and the last.
fn level(points: &[Point], of: impl Fn(&Point) -> Option<f64>, place: impl Fn(&Point, f64) -> (f64, f64)) -> String {
    let bits = |p: &Point| of(p).map(f64::to_bits);
    let ends = points.chunk_by(|a, b| bits(a) == bits(b)).flat_map(|same| match same {
        [first, .., last] => vec![*first, *last],
        alone => alone.to_vec(),
    });
    path(&ends.collect::<Vec<Point>>(), of, place)
}

/// The bands of points, of each run of points that have one; a band ends at the edges of the picture.
fn bands(points: &[Point], place: impl Fn(&Point, f64) -> (f64, f64)) -> String {
    let ends = |p: &Point| p.band.filter(|(low, high)| low.is_finite() && high.is_finite());
    let mut out = String::new();
    for run in points.chunk_by(|a, b| ends(a).is_some() == ends(b).is_some()) {
        let there = run.iter().filter_map(|p| Some(place(p, ends(p)?.1)));
        let back = run.iter().rev().filter_map(|p| Some(place(p, ends(p)?.0)));
        for (at, (left, top)) in there.chain(back).enumerate() {
            let _ = write!(out, "{}{left:.1} {top:.1}", if at == 0 { 'M' } else { 'L' });
        }
        if run.first().and_then(ends).is_some() {
            out.push('Z');
        }
    }
    out
}

/// What page.js tells of the point that a pointer is near: where the picture's left end and its width are, which times these are, and the value of each
/// point of the line, in their order.
fn for_pointers(points: &[Point], range: Range) -> String {
    let values: Vec<String> = points.iter().filter_map(|p| p.value.filter(|x| x.is_finite())).map(short).collect();
    format!(
        " data-plot=\"{LEFT} {}\" data-from=\"{}\" data-to=\"{}\" data-values=\"{}\"",
        PLOT,
        range.from_ms,
        range.to_ms,
        values.join(" ")
    )
}

/// A line across a picture, with a number on the axis.
pub(super) fn level_line(y: f64, text: &str) -> String {
    format!(
        "<path d=\"M{LEFT} {y:.1}H{WIDTH}\" stroke=\"var(--line)\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
        LEFT - 6.0,
        y + 4.0
    )
}

/// A time without what is less than a second.
fn seconds(ms: i64) -> i64 {
    ms.saturating_sub(ms.rem_euclid(1000))
}

/// Values over time with limit and warn, a point for each window that does not pass, and the values of another series.
pub fn line(title: &str, points: &[Point], beside: &[Point], range: Range) -> String {
    let scale = Scale::of(points.iter().chain(beside));
    let (points, beside) = (thinned(points, MOST), thinned(beside, MOST));
    let left = |ms: i64| LEFT + share(ms, range) * PLOT;
    let top = |x: f64| 8.0 + (1.0 - scale.at(x)) * (HEIGHT - BOTTOM - 8.0);
    let place = |p: &Point, x: f64| (left(p.ms), top(x));
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"{}><title>{}</title>\n",
        for_pointers(&points, range),
        escaped(title)
    );
    for step in 0..=2_u8 {
        let x = scale.least + (scale.most - scale.least) * f64::from(step) / 2.0;
        out.push_str(&level_line(top(x), &short(x)));
    }
    let base = HEIGHT - 4.0;
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{base}\">{}</text><text x=\"{WIDTH}\" y=\"{base}\" text-anchor=\"end\">{}</text>",
        time(seconds(range.from_ms)),
        time(seconds(range.to_ms))
    );
    let drawn = |d: String, colour: &str, more: &str| {
        if d.is_empty() { d } else { format!("<path d=\"{d}\" fill=\"none\" stroke=\"var(--{colour})\" {more}/>\n") }
    };
    let band = bands(&points, place);
    if !band.is_empty() {
        let _ = writeln!(out, "<path class=\"band\" d=\"{band}\" fill=\"var(--reference)\" fill-opacity=\"0.25\"/>");
    }
    out.push_str(&drawn(level(&points, |p| p.limit, place), "block", "stroke-dasharray=\"6 3\""));
    out.push_str(&drawn(level(&points, |p| p.warn, place), "warn", "stroke-dasharray=\"2 3\""));
    out.push_str(&drawn(path(&beside, |p| p.value, place), "reference", "stroke-width=\"1.5\""));
    out.push_str(&drawn(path(&points, |p| p.value, place), "window", "class=\"value\" stroke-width=\"1.5\""));
    let marked = || points.iter().filter(|p| p.status != Status::Pass || points.len() == 1);
    let tells = marked().count() <= MOST_TOLD;
    for point in marked() {
        let Some(x) = point.value.filter(|x| x.is_finite()) else { continue };
        let (name, (cx, cy)) = (point.status.name(), place(point, x));
        let _ = write!(out, "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"var(--{name})\"");
        let _ = if tells {
            write!(out, "><title>{} {name} {}</title></circle>", time(point.ms), short(x))
        } else {
            write!(out, "/>")
        };
    }
    out.push_str("</svg>\n");
    out
}

/// A line without axes.
pub fn spark(title: &str, points: &[Point], range: Range) -> String {
    let (points, scale) = (thinned(points, MOST_IN_CELL), Scale::of(points));
    let place = |p: &Point, x: f64| (share(p.ms, range) * 200.0, 26.0 - scale.at(x) * 24.0);
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 200 28\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title><path d=\"{}\" fill=\"none\" \
         stroke=\"var(--block)\" stroke-dasharray=\"6 3\"/><path d=\"{}\" fill=\"none\" stroke=\"var(--window)\" stroke-width=\"1.5\"/></svg>",
        escaped(title),
        level(&points, |p| p.limit, place),
        path(&points, |p| p.value, place)
    )
}

/// A line in a cell of a long table: as short as it can be written. The limit is the last one.
pub fn tiny(title: &str, points: &[Point], range: Range) -> String {
    let scale = Scale::of(points);
    let top = |x: f64| (17.0 - scale.at(x) * 16.0).round();
    let value = path(points, |p| p.value, |p, x| ((share(p.ms, range) * 96.0).round(), top(x)));
    let value = value.replace(".00 ", " ").replace(".0", "");
    let limit = points.last().and_then(|p| p.limit).map_or_else(String::new, |limit| format!("M0 {}H96", top(limit)));
    format!(
        "<svg class=\"bars\" viewBox=\"0 0 96 18\" preserveAspectRatio=\"none\" role=\"img\"><title>{}</title><path class=\"limit\" d=\"{limit}\"/>\
         <path class=\"value\" d=\"{value}\"/></svg>",
        escaped(title)
    )
}

/// The status of windows over time, one after the other, and what happened meanwhile.
pub fn strip(title: &str, windows: &[(i64, Status)], moments: &[Moment], range: Range) -> String {
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} 34\" role=\"img\"><title>{}</title><rect y=\"14\" width=\"{WIDTH}\" height=\"14\" fill=\"var(--line)\"/>\n",
        escaped(title)
    );
    let mut before = range.from_ms;
    let mut at = 0;
    while let Some(&(_, status)) = windows.get(at) {
        // Windows of one status are one piece.
        let same = windows.iter().skip(at).take_while(|(_, s)| *s == status).count().max(1);
        let end = windows.get(at + same - 1).map_or(before, |(end, _)| *end);
        let (left, right) = (share(before, range) * WIDTH, share(end, range) * WIDTH);
        let name = status.name();
        let _ = write!(
            out,
            "<rect x=\"{left:.1}\" y=\"14\" width=\"{:.1}\" height=\"14\" fill=\"var(--{name})\"><title>{name} until {}, {same} windows</title></rect>",
            (right - left).max(1.0),
            time(end)
        );
        (before, at) = (end, at + same);
    }
    for Moment { ms, kind, sentence } in moments {
        let sign = match *kind {
            "block" => "✕",
            "clear" => "✓",
            "promotion" => "▲",
            _ => "▼",
        };
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"11\" text-anchor=\"middle\">{sign}<title>{} {kind}: {}</title></text>",
            share(*ms, range) * WIDTH,
            time(*ms),
            escaped(sentence)
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(ms: i64, value: Option<f64>) -> Point {
        let band = value.map(|value| (value - 0.1, value * 2.0));
        Point { ms, value, limit: Some(0.2), warn: None, band, status: Status::Pass }
    }

    #[test]
    fn a_line_breaks_where_there_is_no_value() {
        let range = Range { from_ms: 0, to_ms: 4 };
        let points = [point(0, Some(0.1)), point(1, Some(0.1)), point(2, None), point(3, Some(0.1))];
        let svg = line("t<", &points, &points[..2], range);
        assert!(svg.contains("<title>t&lt;</title>"), "{svg}");
        let value = svg.lines().find(|l| l.contains("var(--window)")).unwrap();
        assert_eq!((value.matches('M').count(), value.matches('L').count()), (2, 1), "{value}");
        assert!(
            svg.contains(" data-plot=\"60 832\" data-from=\"0\" data-to=\"4\" data-values=\"0.1 0.1 0.1\""),
            "{svg}"
        );
        let limit = svg.lines().find(|l| l.contains("var(--block)")).unwrap();
        assert_eq!((limit.matches('M').count(), limit.matches('L').count()), (1, 1), "{limit}");
        let beside = svg.lines().find(|l| l.contains("stroke=\"var(--reference)")).unwrap();
        assert_eq!((beside.matches('M').count(), beside.matches('L').count()), (1, 1), "{beside}");
    }

    #[test]
    fn what_happened_is_marked_and_windows_of_one_status_are_one_piece() {
        let moments = [Moment { ms: 5, kind: "block", sentence: "a & b".into() }];
        let windows = [(2, Status::Pass), (4, Status::Pass), (6, Status::Block)];
        let svg = strip("g", &windows, &moments, Range { from_ms: 0, to_ms: 8 });
        assert!(svg.contains("pass until 1970-01-01 00:00:00.004, 2 windows"), "{svg}");
        assert_eq!(svg.matches("<rect x=").count(), 2);
        assert!(svg.contains("block: a &amp; b"), "{svg}");
    }

    #[test]
    fn many_windows_that_block_are_small_points() {
        let range = Range { from_ms: 0, to_ms: 40_000 };
        let of = |n: i64| -> String {
            let blocked = |ms| Point { status: Status::Block, ..point(ms, Some(0.5)) };
            line("t", &(0..n).map(blocked).collect::<Vec<Point>>(), &[], range)
        };
        assert_eq!((of(100).matches("<circle").count(), of(100).matches("block 0.5").count()), (100, 100));
        assert!(of(26_000).len() < 90_000 && !of(26_000).contains("block 0.5"), "{}", of(26_000).len());
    }

    proptest! {
        /// Whatever the numbers are: what is drawn is finite, and there is no more of it than fits.
        #[test]
        fn charts_have_finite_numbers(values in prop::collection::vec(prop::option::of(any::<f64>()), 0..4000)) {
            let points: Vec<Point> = values.iter().zip(0..).map(|(v, ms)| point(ms, *v)).collect();
            let range = Range { from_ms: 0, to_ms: 4000 };
            for svg in [line("t", &points, &points, range), spark("t", &points, range), tiny("t", &points, range)] {
                prop_assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", svg.chars().take(2000).collect::<String>());
                prop_assert!(svg.len() < 280_000, "{}", svg.len());
            }
        }
    }
}
