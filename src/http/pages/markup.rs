//! HTML as text. Every text that comes from outside goes through `escaped`.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::history::DAY_MS;
use crate::http::series::Range;
use driftgate_core::codec::number::short;
use driftgate_core::codec::time::utc;
use driftgate_core::judge::verdict::Status;

/// Where no values over time are kept: why, and what keeps them.
pub const NO_HISTORY: &str =
    "No history is kept: write <code>history: {keep: 90d}</code> in the configuration to see values over time";

/// A text within markup or a quoted attribute.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// What stays in a part of a path; a point does not, since two of them lead elsewhere.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// A name as a part of a path.
pub fn part(name: &str) -> PercentEncode<'_> {
    utf8_percent_encode(name, PLAIN)
}

/// The address of a version's page.
pub fn version_path(model: &str, version: &str) -> String {
    format!("/models/{}/versions/{}", part(model), part(version))
}

/// The address of a version's promotion.
pub fn promotion_path(model: &str, version: &str) -> String {
    format!("{}/promotion", version_path(model, version))
}

/// The address of a subject's page.
pub fn subject_path(model: &str, version: &str, subject: &str) -> String {
    format!("{}/subjects/{}", version_path(model, version), part(subject))
}

/// A table under a name of its own; cells are markup.
pub fn table(name: &str, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table><thead><tr>",
        escaped(name)
    );
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{head}</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// A status, by sign and colour.
pub fn status(status: Status) -> String {
    let sign = match status {
        Status::Pass => "✓",
        Status::Warn => "!",
        Status::Insufficient => "?",
        Status::Block => "✕",
    };
    let name = status.name();
    format!("<span class=\"{name}\">{sign} {name}</span>")
}

/// A number for people.
pub fn number(x: Option<f64>) -> String {
    x.map_or_else(String::new, short)
}

/// A part of a count; `None` of nothing.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// A share in whole tenths of a percent: 12.3%, and 0.0% of nothing.
pub fn tenths(part: u64, of: u64) -> String {
    let permille = part.saturating_mul(1000).checked_div(of).unwrap_or(0);
    format!("{}.{}%", permille / 10, permille % 10)
}

/// A time for people, in UTC: without what it has no need of.
pub fn time(ms: i64) -> String {
    let text = utc(ms).replacen('T', " ", 1);
    let text = text.strip_suffix('Z').unwrap_or(&text);
    text.strip_suffix(":00").unwrap_or(text).to_owned()
}

/// The choice of a range: links to some, and a form.
pub fn choice(range: Range) -> String {
    let mut out = String::from("<form method=\"get\"><p>");
    for (days, name) in [(1, "day"), (7, "week"), (30, "30 days"), (90, "90 days")] {
        let _ = write!(
            out,
            "<a href=\"?from={}&amp;to={}\">{name}</a> · ",
            utc(days_before(range, days)),
            utc(range.to_ms)
        );
    }
    let field = |name: &str, ms: i64| {
        let text = utc(ms);
        let minutes = text.get(..16).unwrap_or_default();
        format!("<label>{name} <input type=\"datetime-local\" name=\"{name}\" value=\"{minutes}\"></label> ")
    };
    out.push_str(&field("from", range.from_ms));
    // Up to the minute that has the end in it.
    out.push_str(&field("to", range.to_ms.saturating_add(59_999)));
    out.push_str("<button>show</button> <span class=\"soft\">ends of windows, UTC</span></p></form>\n");
    out
}

/// Where a range begins that ends where this one does and has so many days.
fn days_before(range: Range, days: i64) -> i64 {
    range.to_ms.saturating_sub(days.saturating_mul(DAY_MS))
}

/// A bin for people.
pub fn bin_name(name: &str) -> String {
    let number = |text: &str| text.parse().map_or_else(|_| text.to_owned(), driftgate_core::codec::number::short);
    match name.split_once(':') {
        Some(("le", "")) => "above".to_owned(),
        Some(("le", edge)) => format!("≤ {}", number(edge)),
        Some(("eq", value)) => format!("= {}", number(value)),
        Some(("category", category)) => category.to_owned(),
        Some(("others", many)) => format!("{many} other categories"),
        _ => "unseen categories".to_owned(),
    }
}
