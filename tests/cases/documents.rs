//! The documents hold together: every relative link and anchor leads somewhere, every invariant names tests that exist, and the
//! README stays short.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Where documents are, beside those in the repository's root.
const FOLDERS: [&str; 6] = ["docs", "config", "docker", "tests", "benches", "crates"];
/// What the README may have.
const README_LINES: usize = 200;

/// All files below a folder of the repository that end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
                found.extend(files(&path, ending));
            }
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every document with its text.
fn documents() -> BTreeMap<PathBuf, String> {
    let root = Path::new(ROOT);
    let mut paths: Vec<PathBuf> = FOLDERS.iter().flat_map(|folder| files(&root.join(folder), "md")).collect();
    let top = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(top.filter(|path| path.extension().is_some_and(|e| e == "md")));
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Lines outside fenced code, without what is code within a line, each with its number.
fn prose(text: &str) -> Vec<(usize, String)> {
    let (mut fenced, mut lines) = (false, Vec::new());
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // Between two backticks is code.
            lines.push((at + 1, line.split('`').step_by(2).collect::<Vec<_>>().join("``")));
        }
    }
    lines
}

/// The targets of a line's links.
fn links(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target)).collect()
}

/// The anchors that a page's headings give, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if fenced || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let slug: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        // A heading that comes again gets a number.
        let mut unique = slug.clone();
        let mut count = 0;
        while !found.insert(unique) {
            count += 1;
            unique = format!("{slug}-{count}");
        }
    }
    found
}

#[test]
fn every_relative_link_and_anchor_leads_somewhere() {
    let documents = documents();
    let mut broken = Vec::new();
    for (path, text) in &documents {
        for (number, line) in prose(text) {
            for link in links(&line).into_iter().filter(|l| !l.contains("://") && !l.starts_with("mailto:")) {
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
                let Ok(target) = target.canonicalize() else {
                    broken.push(format!("{}:{number}: no file {file}", path.display()));
                    continue;
                };
                if anchor.is_empty() {
                    continue;
                }
                let there = documents.get(&target).is_some_and(|text| anchors(text).contains(anchor));
                if !there {
                    broken.push(format!("{}:{number}: no heading #{anchor} in {}", path.display(), target.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The names of tests in a text: in backticks, of three words or more.
fn named_tests(text: &str) -> BTreeSet<&str> {
    let code = text.split('`').skip(1).step_by(2);
    let is_name = |name: &&str| {
        name.matches('_').count() >= 2 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    code.filter(is_name).collect()
}

/// The text of a section, without what follows it on its level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no section {heading:?}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let root = Path::new(ROOT);
    let sources = ["crates", "src", "tests"].iter().flat_map(|folder| files(&root.join(folder), "rs"));
    let mut functions = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source).unwrap();
        let starts = text.split("fn ").skip(1);
        functions.extend(starts.filter_map(|rest| rest.split_once('(').map(|(name, _)| name.trim().to_owned())));
    }
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let missing: Vec<&str> = named_tests(&text).into_iter().filter(|name| !functions.contains(*name)).collect();
    // Columns and fields are named like tests, but never in this section.
    let invariants = section(&text, "## Invariants");
    let missing: Vec<&str> = missing.into_iter().filter(|name| invariants.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names tests that do not exist: {missing:?}");

    let mut untested = Vec::new();
    let is_start = |line: &&str| line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
    let lines: Vec<&str> = invariants.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_start(line)) {
        let end = lines[at + 1..].iter().position(is_start).map_or(lines.len(), |n| at + 1 + n);
        if named_tests(&lines[at..end].join("\n")).is_empty() {
            untested.push(*line);
        }
    }
    assert!(untested.is_empty(), "invariants without a test: {untested:?}");
}

#[test]
fn the_readme_is_short_and_names_every_page() {
    let root = Path::new(ROOT);
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let lines = readme.lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines: move some to docs/");
    for page in files(&root.join("docs/guide"), "md").iter().filter(|p| p.parent().unwrap().ends_with("docs/guide")) {
        let link = page.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        assert!(readme.contains(&format!("]({link})")), "README.md has no link to {link}");
    }
}

#[test]
fn the_check_that_contributing_shows_is_the_one_that_is_compiled() {
    let read = |path: &str| std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
    let example = read("crates/core/src/decode/checks/example.rs");
    let (_, rest) = example.split_once("// begin\n").unwrap();
    let (shown, _) = rest.split_once("// end\n").unwrap();
    // The example is in no table, and has no reason of its own.
    let shown = shown.replace("reason: IdTooLong", "reason: Reason::IdTooLong");
    let indented: String =
        shown.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("       {line}\n") }).collect();
    assert!(shown.lines().count() > 8 && read("CONTRIBUTING.md").contains(&indented), "{indented}");
}
