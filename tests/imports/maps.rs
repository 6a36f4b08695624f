//! The maps of modules in `lib.rs` and ARCHITECTURE.md, held against the code.

use std::collections::BTreeSet;

use super::graph::Graph;

/// A row of a map: the module, and its cells.
pub struct Row<'a> {
    pub module: String,
    pub cells: Vec<&'a str>,
}

/// Rows of the table in the documentation of a `lib.rs`: a module for each link outside the last column.
pub fn of_crate(text: &str) -> Vec<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! |"));
    rows.flat_map(|row| {
        let cells = row.trim_end().trim_end_matches('|').rsplit_once('|').map_or("", |(cells, _)| cells);
        let links = cells.split("[`").skip(1);
        links.filter_map(|link| link.split('`').next().map(str::to_owned)).collect::<Vec<_>>()
    })
    .collect()
}

/// Rows of the tables under the heading "## Modules" of ARCHITECTURE.md, one list for each table.
pub fn of_document(text: &str) -> Vec<Vec<Row<'_>>> {
    let section = text.split("\n## Modules\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut tables: Vec<Vec<Row>> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        let Some(row) = line.strip_prefix('|') else {
            inside = false;
            continue;
        };
        if !inside {
            tables.push(Vec::new());
            inside = true;
        }
        let cells: Vec<&str> = row.trim_end().trim_end_matches('|').split('|').map(str::trim).collect();
        let module = cells[0].strip_prefix('`').and_then(|name| name.strip_suffix('`'));
        if let Some(module) = module {
            tables.last_mut().expect("a table is open").push(Row { module: module.to_owned(), cells });
        }
    }
    tables
}

/// What is wrong with a map of these modules in this order: one is missing, or stands above one that it imports from.
pub fn wrong(map: &[String], rooms: &Graph, circles: &[BTreeSet<String>]) -> Vec<String> {
    let mut wrong = Vec::new();
    let listed: BTreeSet<&String> = map.iter().collect();
    for module in rooms.keys().filter(|module| !listed.contains(module)) {
        wrong.push(format!("{module} is missing"));
    }
    for (at, module) in map.iter().enumerate() {
        let Some(imports) = rooms.get(module) else {
            wrong.push(format!("{module} is no module"));
            continue;
        };
        if map[..at].contains(module) {
            wrong.push(format!("{module} is there twice"));
        }
        for (to, place) in imports {
            let circular = circles.iter().any(|circle| circle.contains(module) && circle.contains(to));
            if !circular && !map[..at].contains(to) {
                wrong.push(format!("{module} imports from {to}, which is not above it: {place}"));
            }
        }
    }
    wrong
}

/// An order in which each module stands below those that it imports from, as near to `map` as that goes.
pub fn order(map: &[String], rooms: &Graph) -> Vec<String> {
    let mut left: Vec<&String> = map.iter().chain(rooms.keys().filter(|room| !map.contains(room))).collect();
    left.retain(|module| rooms.contains_key(*module));
    let mut ordered: Vec<String> = Vec::new();
    while !left.is_empty() {
        let ready =
            left.iter().position(|module| rooms[*module].keys().all(|to| ordered.contains(to) || to == *module));
        // In a circle the first of the map comes first.
        ordered.push(left.remove(ready.unwrap_or(0)).clone());
    }
    ordered
}

/// Names as a cell of a table.
pub fn cell<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_map_that_says_otherwise_is_wrong() {
    let text = "//! A crate with [`driftgate_core`].\n//! | | module | holds |\n//! |---|---|---|\n//! | tools | [`clock`], [`text`] | see [`sink`] |\n//! | | [`sink`] | x |";
    let map = of_crate(text);
    assert_eq!(map, ["clock", "text", "sink"]);
    let mut rooms = Graph::new();
    for (from, to) in [("sink", "clock"), ("clock", "text"), ("text", ""), ("view", "")] {
        let imports = rooms.entry(from.to_owned()).or_default();
        if !to.is_empty() {
            imports.insert(to.to_owned(), "a.rs:1".into());
        }
    }
    assert_eq!(wrong(&map, &rooms, &[]), ["view is missing", "clock imports from text, which is not above it: a.rs:1"]);
    assert_eq!(order(&map, &rooms), ["text", "clock", "sink", "view"]);
    let document = "# A\n\n## Modules\n\n| module | holds | imports |\n|---|---|---|\n| `sink` | facts | `clock` |\n\nMore.\n\n## Next\n| `x` | | |\n";
    let tables = of_document(document);
    assert_eq!(tables.len(), 1);
    assert_eq!((tables[0][0].module.as_str(), tables[0][0].cells[2]), ("sink", "`clock`"));
}
