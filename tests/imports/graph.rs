//! Who imports whom: paths followed to the file that holds what they name, and circles among files and among rooms.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::source::{Names, Source};

/// Edges from a file or room to those it imports from, each with one place where it does.
pub type Graph = BTreeMap<String, BTreeMap<String, String>>;

/// The crates, the inner one first.
pub struct Crates<'a>(pub &'a [Source]);

impl Crates<'_> {
    /// Follows `names`, written in module `at` of the crate `krate`, to the module that holds them; none where they lead outside.
    fn find(&self, krate: usize, at: &Names, names: &[String], depth: usize) -> Option<(usize, Names)> {
        let (first, rest) = names.split_first()?;
        let source = self.0.get(krate)?;
        let module = source.modules.get(at)?;
        if depth > 20 {
            return None;
        }
        match first.as_str() {
            "crate" => self.descend(krate, Vec::new(), rest, depth),
            "self" => self.descend(krate, at.clone(), rest, depth),
            "super" => {
                let up = at[..at.len().checked_sub(1)?].to_vec();
                if rest.first().is_some_and(|name| name == "super") {
                    return self.find(krate, &up, rest, depth + 1);
                }
                self.descend(krate, up, rest, depth)
            }
            name => {
                if module.children.contains(name) {
                    return self.descend(krate, at.clone(), names, depth);
                }
                // A crate, unless a name of this module hides it.
                if let Some(other) = self.0.iter().position(|source| source.name == name) {
                    return self.descend(other, Vec::new(), rest, depth);
                }
                let target = module.imports.get(name).filter(|target| target.as_slice() != [name])?;
                let whole: Names = target.iter().chain(rest).cloned().collect();
                self.find(krate, at, &whole, depth + 1)
            }
        }
    }

    /// Goes down from a module by names: through modules and what they give on, until an item.
    fn descend(&self, krate: usize, at: Names, names: &[String], depth: usize) -> Option<(usize, Names)> {
        let module = self.0.get(krate)?.modules.get(&at)?;
        let Some((first, rest)) = names.split_first() else { return Some((krate, at)) };
        if module.children.contains(first) {
            let mut child = at.clone();
            child.push(first.clone());
            // A module that is compiled for tests alone is none.
            self.0.get(krate)?.modules.get(&child)?;
            return self.descend(krate, child, rest, depth + 1);
        }
        if module.items.contains(first) || depth > 20 {
            return Some((krate, at));
        }
        if let Some(target) = module.imports.get(first) {
            let whole: Names = target.iter().chain(rest).cloned().collect();
            return self.find(krate, &at, &whole, depth + 1).or(Some((krate, at)));
        }
        for glob in &module.globs {
            let Some((other, held)) = self.find(krate, &at, glob, depth + 1) else { continue };
            if (other, &held) != (krate, &at) && self.0.get(other)?.modules.get(&held)?.items.contains(first) {
                return Some((other, held));
            }
        }
        Some((krate, at))
    }

    /// Each import of one crate: who imports, from which crate and module, and where that is written.
    fn imports(&self, krate: usize) -> impl Iterator<Item = (&Names, usize, Names, String)> {
        self.0.iter().skip(krate).take(1).flat_map(move |source| {
            source.modules.iter().flat_map(move |(at, module)| {
                let given = module.given.iter().filter(|(alias, ..)| module.words.contains(alias));
                let given = given.map(|(_, names, line)| (names, line));
                module.paths.iter().map(|(names, line)| (names, line)).chain(given).filter_map(move |(names, line)| {
                    let (other, held) = self.find(krate, at, names, 0)?;
                    Some((at, other, held, format!("{}:{line} {}", module.file.display(), names.join("::"))))
                })
            })
        })
    }

    /// Top-level modules of one crate, with those of the same crate that they import from.
    pub fn rooms(&self, krate: usize) -> Graph {
        let mut graph = Graph::new();
        for names in self.0[krate].modules.keys().filter(|names| names.len() == 1) {
            graph.entry(names[0].clone()).or_default();
        }
        for (at, other, held, place) in self.imports(krate) {
            if other == krate
                && let (Some(from), Some(to)) = (at.first(), held.first())
                && from != to
            {
                graph.entry(from.clone()).or_default().entry(to.clone()).or_insert(place);
            }
        }
        graph
    }

    /// Top-level modules of one crate, with those of the other crates that they import from.
    pub fn foreign_rooms(&self, krate: usize) -> BTreeMap<String, BTreeSet<String>> {
        let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (at, other, held, _) in self.imports(krate) {
            if other != krate {
                let to = held.first().cloned().unwrap_or_else(|| "lib".into());
                rooms.entry(at.first().cloned().unwrap_or_else(|| "lib".into())).or_default().insert(to);
            }
        }
        rooms
    }

    /// Files of one crate, with those of the same room that they import from.
    pub fn files(&self, krate: usize) -> Graph {
        let source = &self.0[krate];
        let name = |file: &PathBuf| file.display().to_string();
        let mut graph = Graph::new();
        for (at, other, held, place) in self.imports(krate) {
            if other != krate || at.first() != held.first() || at.is_empty() {
                continue;
            }
            let (from, to) = (name(&source.modules[at].file), name(&source.modules[&held].file));
            if from != to {
                graph.entry(from).or_default().entry(to).or_insert(place);
            }
        }
        graph
    }
}

/// Sets of nodes each of which leads to each other, by what can be reached: small graphs.
pub fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = graph
        .keys()
        .map(|start| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
            while let Some(node) = next.pop() {
                for to in graph.get(node).into_iter().flat_map(BTreeMap::keys) {
                    if seen.insert(to) {
                        next.push(to);
                    }
                }
            }
            (start, seen)
        })
        .collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (start, seen) in &reached {
        if seen.contains(start) && !found.iter().any(|circle| circle.contains(*start)) {
            let mutual = |node: &&&String| reached.get(**node).is_some_and(|back| back.contains(start));
            found.push(seen.iter().filter(mutual).map(|node| (*node).clone()).collect());
        }
    }
    found
}
