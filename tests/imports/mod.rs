//! Who imports whom, held against what the documents say of it; and the lengths of files and functions.
//!
//! `make imports` prints the map. It compiles this folder alone, so it takes seconds; `cargo test` runs it among the other tests.
//! What still breaks a rule is in `known.txt`, which may only shrink: `IMPORTS_WRITE=1 make imports` takes out what has been mended, and writes
//! the imports into the tables of ARCHITECTURE.md.

mod graph;
mod maps;

mod source;
mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use graph::{Crates, Graph, circles};
use source::Source;

/// A file is this long at most, and a function that, unless a comment that begins with "Long:" says why.
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

/// The crates with their folders, the inner one first.
const CRATES: [(&str, &str); 2] = [("driftgate_core", "crates/core/src"), ("driftgate", "src")];

/// What is stale is written anew instead of told.
fn writes() -> bool {
    env::var_os("IMPORTS_WRITE").is_some()
}

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env::current_dir().unwrap(), PathBuf::from)
}

/// Both crates. Names of files are told from the repository's root.
fn read() -> Vec<Source> {
    let root = root();
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap_or(path).to_path_buf();
    let mut crates: Vec<Source> = CRATES.iter().map(|(name, folder)| Source::read(name, &root.join(folder))).collect();
    for source in &mut crates {
        source.modules.values_mut().for_each(|module| module.file = relative(&module.file));
        source.files = std::mem::take(&mut source.files).into_iter().map(|(at, file)| (relative(&at), file)).collect();
    }
    crates
}

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// The imports inside a circle, each with a place.
fn inside(graph: &Graph, circle: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for from in circle {
        for (to, place) in graph[from].iter().filter(|(to, _)| circle.contains(*to)) {
            let _ = writeln!(text, "    {from} imports {to}: {place}");
        }
    }
    text
}

#[test]
fn each_crate_imports_from_those_below_it() {
    let sources = read();
    let crates = Crates(&sources);
    for (krate, source) in sources.iter().enumerate() {
        println!("crate {}", source.name);
        let foreign = crates.foreign_rooms(krate);
        for (room, imports) in &crates.rooms(krate) {
            println!("  {room}: {}", list(imports.keys()));
            if let Some(names) = foreign.get(room) {
                println!("  {:width$}  of the core: {}", "", list(names), width = room.len());
            }
        }
    }
    // The compiler refuses it as well; the map would have no order.
    assert!(crates.foreign_rooms(0).is_empty(), "the core imports from what is built on it");
}

/// What breaks a rule: its line in `known.txt`, and what it is.
fn findings() -> BTreeMap<String, String> {
    let sources = read();
    let crates = Crates(&sources);
    let mut found = BTreeMap::new();
    for (krate, source) in sources.iter().enumerate() {
        for (what, graph) in [("modules", crates.rooms(krate)), ("files", crates.files(krate))] {
            for circle in circles(&graph) {
                let names: Vec<&str> = circle.iter().map(String::as_str).collect();
                let key = format!("circle of {what} in {} {}", source.name, names.join(" "));
                found.insert(
                    key,
                    format!(
                        "a circle of {what}, to be broken by types in a file of their own:\n{}",
                        inside(&graph, &circle)
                    ),
                );
            }
        }
        for (at, file) in &source.files {
            let at = at.display();
            if file.lines > FILE_LINES && !file.explained {
                found.insert(format!("file {at}"), format!("{at} has {} lines, more than {FILE_LINES}", file.lines));
            }
            for function in file.functions.iter().filter(|it| it.lines > FUNCTION_LINES && !it.explained) {
                let (name, line, lines) = (&function.name, function.line, function.lines);
                let what = format!("{at}:{line} {name} has {lines} lines, more than {FUNCTION_LINES}");
                found.insert(format!("function {at} {name}"), what);
            }
        }
    }
    found
}

#[test]
fn files_import_in_one_direction_and_are_short() {
    let at = root().join("tests/imports/known.txt");
    let text = fs::read_to_string(&at).unwrap();
    let known: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let found = findings();
    for (key, what) in &found {
        println!("{}{what}", if known.contains(key.as_str()) { "known: " } else { "" });
    }
    // Part of a known circle is what is left of it.
    let parts = |key: &str| key.split(' ').map(str::to_owned).collect::<BTreeSet<String>>();
    let is_part = |key: &str| {
        key.starts_with("circle")
            && known.iter().any(|line| line.starts_with("circle") && parts(key).is_subset(&parts(line)))
    };
    let fresh: Vec<&String> =
        found.iter().filter(|(key, _)| !known.contains(key.as_str()) && !is_part(key)).map(|(_, what)| what).collect();
    let fresh = fresh.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let advice = "where a file or function has to be long, a comment above it says why: \"Long: …\"";
    assert!(fresh.is_empty(), "new, and not to be added to known.txt; {advice}:\n{fresh}");
    let mended: Vec<&str> = known.iter().copied().filter(|line| !found.contains_key(*line)).collect();
    if !mended.is_empty() && writes() {
        let head = text.lines().take_while(|line| line.starts_with('#'));
        let lines: Vec<&str> = head.chain(found.keys().map(String::as_str)).collect();
        fs::write(&at, lines.join("\n") + "\n").unwrap();
        return;
    }
    assert!(
        mended.is_empty(),
        "mended: to be taken out of known.txt by IMPORTS_WRITE=1 make imports:\n{}",
        mended.join("\n")
    );
}

/// Modules of a crate, for its map: imports of its own, and circles among them that are known.
fn map_of(crates: &Crates, krate: usize) -> (Graph, Vec<BTreeSet<String>>) {
    let rooms = crates.rooms(krate);
    let circles = circles(&rooms);
    (rooms, circles)
}

/// The macros that write a log line or open a span.
const LOGGING: [&str; 13] = [
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "span",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
    "enabled",
];
/// The one room that calls them.
const TELEMETRY: &str = "src/telemetry";

#[test]
fn what_is_logged_or_counted_is_an_event_of_the_telemetry() {
    let mut found = String::new();
    for source in read() {
        for file in source.files.keys().filter(|file| !file.starts_with(TELEMETRY)) {
            let text = fs::read_to_string(root().join(file)).unwrap();
            for (name, line) in source::macros(&text).iter().filter(|(name, _)| LOGGING.contains(&name.as_str())) {
                let _ = writeln!(found, "    {}:{line} calls {name}!", file.display());
            }
        }
    }
    assert!(found.is_empty(), "to be a type in {TELEMETRY}/events, whose `emit` logs and counts:\n{found}");
}

#[test]
fn the_maps_in_the_documentation_of_the_crates_are_the_codes() {
    let sources = read();
    let crates = Crates(&sources);
    let mut told = String::new();
    for (krate, (name, folder)) in CRATES.iter().enumerate() {
        let text = fs::read_to_string(root().join(folder).join("lib.rs")).unwrap();
        let map = maps::of_crate(&text);
        let (rooms, circles) = map_of(&crates, krate);
        let wrong = maps::wrong(&map, &rooms, &circles);
        if !wrong.is_empty() {
            let order = maps::order(&map, &rooms).join(", ");
            let _ = writeln!(
                told,
                "the map in {folder}/lib.rs:\n  {}\n  an order of {name} that holds: {order}",
                wrong.join("\n  ")
            );
        }
    }
    assert!(told.is_empty(), "{told}");
}

#[test]
fn the_maps_in_architecture_are_the_codes() {
    let at = root().join("ARCHITECTURE.md");
    let mut text = fs::read_to_string(&at).unwrap();
    let before = text.clone();
    let tables = maps::of_document(&before);
    assert_eq!(tables.len(), CRATES.len(), "a table for each crate under \"## Modules\", one row for each module");
    let sources = read();
    let crates = Crates(&sources);
    let mut told = String::new();
    for (krate, (name, _)) in CRATES.iter().enumerate() {
        let (rooms, circles) = map_of(&crates, krate);
        let foreign = crates.foreign_rooms(krate);
        let map: Vec<String> = tables[krate].iter().map(|row| row.module.clone()).collect();
        let mut wrong = maps::wrong(&map, &rooms, &circles);
        for row in tables[krate].iter().filter(|row| rooms.contains_key(&row.module)) {
            // The order of the map.
            let own = maps::cell(map.iter().filter(|to| rooms[&row.module].contains_key(*to)));
            let other = maps::cell(foreign.get(&row.module).into_iter().flatten());
            let right = if krate == 0 { vec![own] } else { vec![own, other] };
            let given = row.cells.get(2..).unwrap_or_default();
            if given == right {
                continue;
            }
            wrong.push(format!("{} imports {}", row.module, right.join(" | ")));
            let old = format!("\n| `{}` | {} | {} |\n", row.module, row.cells[1], given.join(" | "));
            let new = format!("\n| `{}` | {} | {} |\n", row.module, row.cells[1], right.join(" | "));
            text = text.replacen(&old, &new, 1);
        }
        if !wrong.is_empty() {
            let order = maps::order(&map, &rooms).join(", ");
            let _ = writeln!(told, "the map of {name}:\n  {}\n  an order that holds: {order}", wrong.join("\n  "));
        }
    }
    if writes() && text != before {
        fs::write(&at, text).unwrap();
        told += "the columns of imports are written; run it again";
    }
    assert!(told.is_empty(), "ARCHITECTURE.md (IMPORTS_WRITE=1 make imports writes the columns of imports):\n{told}");
}

#[test]
fn an_import_is_followed_through_names_that_are_given_on() {
    let mut source = Source { name: "made".into(), modules: BTreeMap::new(), files: BTreeMap::new() };
    let names = |text: &str| text.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let files = [
        ("", "lib.rs", "pub mod judge; pub mod policy;"),
        (
            "judge",
            "judge.rs",
            "pub mod rules; mod verdict; pub use verdict::{Status, Verdict as Judged}; fn f() { rules::apply() }",
        ),
        (
            "judge::rules",
            "judge/rules.rs",
            "use super::{Status, verdict::number}; pub fn apply() { crate::policy::Policy::new() }",
        ),
        (
            "judge::verdict",
            "judge/verdict.rs",
            "pub struct Verdict; pub enum Status { Ok } pub fn number() {} #[cfg(test)] mod tests { use super::super::rules::apply; }",
        ),
        ("policy", "policy.rs", "mod types; pub use types::*; #[cfg(test)] use crate::judge::Status;"),
        ("policy::types", "policy/types.rs", "pub struct Policy;"),
    ];
    for (at, file, text) in files {
        source.scan(text, &PathBuf::from(file), names(at));
    }
    let sources = [source];
    let crates = Crates(&sources);
    let arrows = |graph: Graph| {
        let pairs = graph
            .into_iter()
            .flat_map(|(from, to)| to.into_keys().map(move |to| format!("{from} -> {to}")).collect::<Vec<_>>());
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(arrows(crates.rooms(0)), ["judge -> policy"]);
    let files = arrows(crates.files(0));
    let expected = ["judge.rs -> judge/rules.rs", "judge/rules.rs -> judge/verdict.rs"];
    assert_eq!(files, expected);
    assert_eq!(circles(&crates.files(0)), Vec::<BTreeSet<String>>::new());
}

#[test]
fn a_circle_is_told_with_all_that_is_in_it() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "a")];
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry(from.into()).or_default().insert(to.into(), String::new());
    }
    assert_eq!(circles(&graph), [BTreeSet::from(["a".to_owned(), "b".into(), "c".into()])]);
}
