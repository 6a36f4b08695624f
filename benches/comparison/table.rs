//! The results as the section of docs/benchmarks.md.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::results::{Claim, Part, Table};

/// The whole section, without its markers.
pub fn section(parts: &[Part], machine: &Machine, (rounds, quick): (usize, usize), picture: Option<&str>) -> String {
    let mut out = String::new();
    if let Some(path) = picture {
        let _ = writeln!(out, "![Events per second of driftgate and of other tools]({path})\n");
    }
    let _ = writeln!(
        out,
        "Measured by `make bench` on {}, {}: {}.\n\
         Contenders take turns; the medians of {rounds} rounds are shown ({quick} for runs of a second or two), in \
         parentheses the smallest and the largest.\n",
        machine.hardware(),
        machine.date,
        machine.versions.join(", ")
    );
    let claims: Vec<&Claim> = parts.iter().flat_map(|p| &p.claims).collect();
    if !claims.is_empty() {
        let row = |c: &&Claim| {
            let met = if c.met { "yes" } else { "no" };
            vec![c.what.clone(), c.target.clone(), c.measured.clone(), met.to_owned()]
        };
        let head = ["", "target", "measured", "met"].map(str::to_owned).to_vec();
        write_table(&Table { head, rows: claims.iter().map(row).collect() }, &mut out);
    }
    for part in parts {
        let _ = writeln!(out, "**{}.** {}\n", part.title, part.about);
        part.tables.iter().for_each(|table| write_table(table, &mut out));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn write_table(table: &Table, out: &mut String) {
    // A column that says nothing is left out.
    let says = |at: &usize| table.rows.iter().any(|r| r.get(*at).is_some_and(|c| !c.is_empty()));
    let columns: Vec<usize> = (0..table.head.len()).filter(says).collect();
    if columns.is_empty() {
        return;
    }
    let line = |cells: &[String]| {
        let cells: Vec<&str> = columns.iter().map(|at| cells.get(*at).map_or("", String::as_str)).collect();
        format!("| {} |", cells.join(" | "))
    };
    let _ = writeln!(out, "{}", line(&table.head));
    let _ = writeln!(out, "|{}", "---|".repeat(columns.len()));
    for row in &table.rows {
        let _ = writeln!(out, "{}", line(row));
    }
    out.push('\n');
}
