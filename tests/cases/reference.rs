//! The pages in docs/reference are what `driftgate reference` writes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::Folder;

fn pages(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|f| (f.file_name().into_string().unwrap(), std::fs::read_to_string(f.path()).unwrap())).collect()
}

#[test]
fn the_reference_pages_are_what_the_program_writes() {
    let folder = Folder::new();
    folder.driftgate("reference written").exits(0);
    let written = pages(&folder.path("written"));
    let mut kept = pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference"));
    let simulated = kept.remove("rules.md").unwrap_or_default();
    assert!(simulated.contains("Written by `make simulate`"), "rules.md is what a simulation found");
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    let differing: Vec<&String> = written.keys().filter(|name| written.get(*name) != kept.get(*name)).collect();
    assert!(
        differing.is_empty() && names(&written) == names(&kept),
        "docs/reference is not what the program writes (it writes {:?}, there are {:?}, these differ: {differing:?}).\n\
         Write it anew: cargo run --release -- reference docs/reference",
        names(&written),
        names(&kept)
    );
}
