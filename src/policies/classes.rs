//! The classes of a policy that names none: those of the labels in the snapshots at hand.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use crate::source::columns::cells::Cell;
use crate::source::columns::folder;
use crate::source::columns::nulls::NullTexts;
use crate::source::columns::reader::ColumnReader;
use crate::source::many;
use driftgate_core::policy::{self, BaselineSpec};
use driftgate_core::yaml::ReadFile;

/// No policy has more classes.
const MOST: usize = 100;

/// The text of a policy, with `classes` behind it where it is of several classes and names none, and its snapshots say them. Without them the policy's
/// own reader tells what is missing. `read` gives the text of a file that the policy extends.
pub(super) fn filled<'t>(text: &'t str, path: &Path, read: ReadFile<'_>) -> Cow<'t, str> {
    // Most policies are of other tasks, and say so.
    if !["multiclass", "extends"].iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let found = policy::without_classes(text, path, read)
        .and_then(|baseline| of_snapshots(&baseline, directory))
        .filter(|classes| (2..=MOST).contains(&classes.len()));
    let Some(classes) = found else { return Cow::Borrowed(text) };
    let listed: Vec<String> = classes.iter().map(|class| serde_json::Value::from(class.as_str()).to_string()).collect();
    Cow::Owned(format!("{}\nclasses: [{}]\n", text.trim_end(), listed.join(", ")))
}

/// What the labels of all snapshots at hand name, numbers in their order and texts in theirs.
fn of_snapshots(baseline: &BaselineSpec, directory: &Path) -> Option<Vec<String>> {
    let (pattern, label) = (baseline.snapshot.as_deref()?, baseline.label_column.as_ref()?);
    if pattern.contains("://") {
        return None;
    }
    let nulls = NullTexts::listed(baseline.null_values.as_deref());
    let mut found = BTreeSet::new();
    for snapshot in snapshots(&directory.join(pattern)) {
        let files = if snapshot.is_dir() {
            folder::files(&snapshot).ok()?.into_iter().map(|file| file.path).collect()
        } else {
            vec![snapshot]
        };
        for file in files {
            let mut reader = ColumnReader::open_with(&file, std::slice::from_ref(label), &nulls).ok()?;
            while let Some(rows) = reader.next().ok()? {
                let mut is_class = true;
                rows.cells(label).ok()??.each_text(|cell| match cell {
                    Cell::Text("") | Cell::Missing => {}
                    Cell::Text(text) if found.contains(text) || found.len() > MOST => {}
                    Cell::Text(text) => drop(found.insert(text.to_owned())),
                    Cell::Invalid => is_class = false,
                });
                if !is_class || found.len() > MOST {
                    return None;
                }
            }
        }
    }
    let mut classes: Vec<String> = found.into_iter().collect();
    let numbers: Option<Vec<f64>> = classes.iter().map(|class| class.parse().ok()).collect();
    if numbers.is_some() {
        let number = |class: &String| class.parse::<f64>().unwrap_or(0.0);
        classes.sort_by(|a, b| number(a).total_cmp(&number(b)).then(a.cmp(b)));
    }
    Some(classes)
}

/// The snapshots that a pattern names, of any version, in order.
fn snapshots(pattern: &Path) -> Vec<std::path::PathBuf> {
    let text = pattern.display().to_string();
    let Some((before, after)) = text.split_once("{version}") else { return vec![pattern.to_owned()] };
    // What is no pattern in the path stays what it is.
    let literal = |text: &str| glob::Pattern::escape(text);
    many::matching_paths(&format!("{}*{}", literal(before), literal(after)))
}

#[cfg(test)]
mod tests {

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
task: multiclass
baseline: {snapshot: \"train_v{version}.csv\", columns: {prediction: p, label: y}}
labels: {horizon: 1d}
checks: {g: {window: {size: 1h, slide: 1h}, rules: [{accuracy: {gte: 0.5}}]}}
";

    fn read(files: &[(&str, &str)], policy: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let path = folder.path().join("p.yaml");
        super::super::parse(policy, &path).map(|policy| policy.classes).map_err(|e| e.to_string())
    }

    #[test]
    fn classes_are_those_of_the_labels_of_every_snapshot() {
        let files =
            [("train_v1.csv", "p,y\nb,a\n,c\n"), ("train_v2.csv", "p,y\nx,b\nb,\nb,c\n"), ("other.csv", "p,y\nq,q\n")];
        assert_eq!(read(&files, POLICY).unwrap(), ["a", "b", "c"]);
        let written = POLICY.replace("task: multiclass", "task: multiclass\nclasses: [c, b, a]");
        assert_eq!(read(&files, &written).unwrap(), ["c", "b", "a"]);
        let numbers = [("train_v1.csv", "p,y\n1,10\n2,2\n3,1\n")];
        assert_eq!(read(&numbers, POLICY).unwrap(), ["1", "2", "10"]);
        // The digest is that of the text with the classes, and the text is a policy of its own.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        std::fs::write(folder.path().join("train_v1.csv"), files[0].1).unwrap();
        let merged = super::super::merged(POLICY, &path).unwrap();
        assert!(merged.ends_with("classes: [\"a\", \"c\"]\n"), "{merged}");
        assert_eq!(
            super::super::parse(&merged, &path).unwrap().sha256,
            super::super::parse(POLICY, &path).unwrap().sha256
        );
    }

    #[test]
    fn without_such_labels_the_policy_has_to_name_them() {
        let many: Vec<String> = (0..101).map(|i| format!("p,c{i}")).collect();
        for files in [
            vec![],
            vec![("train_v1.csv", "p\na\n".to_owned())],
            vec![("train_v1.csv", "p,y\na,a\n".to_owned())],
            vec![("train_v1.csv", format!("p,y\n{}\n", many.join("\n")))],
            vec![("train_v1.parquet", "no Parquet".to_owned())],
        ] {
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let said = read(&files, POLICY).unwrap_err();
            assert!(said.contains("They may be left out where the snapshot is a file at hand"), "{said}");
        }
    }
}
