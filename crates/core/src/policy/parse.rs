//! The policy file: its top level, and what does not belong to a group or a transition. Every error of the file is
//! reported at once, at its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::groups::{self, Outline, Surroundings};
use super::rollout::Checks;
use super::task::{self, Task};
use super::types::{BaselineSpec, Group, Ignore, LabelAttribute, LabelSpec, Mute, Policy};
use super::windows::{LocalDays, Millis};
use super::{PolicyErrors, importance, keys, names, signing, transitions};
use crate::codec::hash::sha256_hex;
use crate::rule::names::PolicyNames;
use crate::yaml::{self, Item, Map, units};

/// How far a record may lie behind the newest of its stream where the policy does not say.
const DEFAULT_LATENESS: Millis = 60_000;
const DEFAULT_RETIRE_AFTER: Millis = 7 * 86_400_000;
const DEFAULT_MIN_SAMPLES: u64 = 200;

/// Reads and validates a policy file's text; `file` is for messages and for the folder that relative snapshot paths
/// start in.
///
/// # Errors
/// Everything that is wrong with the file, each error with its line, column and path.
pub fn parse(text: &str, file: &Path) -> Result<Policy, PolicyErrors> {
    load(text, file, &|_: &Path| {
        Err("the policy is read without its folder: give the merged policy of `driftgate check --merged`".to_owned())
    })
}

/// Reads and validates a policy file's text as `parse`, with what it extends (`extends: base.yaml`), whose text `read` gives by its path,
/// and its variables (`vars:`) filled in. The policy's digest is that of the merged text then.
///
/// # Errors
/// Everything that is wrong with the files, each error with its file, line, column and path.
pub fn load(text: &str, file: &Path, read: yaml::ReadFile<'_>) -> Result<Policy, PolicyErrors> {
    yaml::read_extended(text, file, read, &[importance::TABLE], |root, merged| {
        policy(root, merged.unwrap_or(text), file)
    })
}

/// The text of a policy with what it extends and its variables filled in; the text itself where it has neither.
///
/// # Errors
/// As `load`.
pub fn merged(text: &str, file: &Path, read: yaml::ReadFile<'_>) -> Result<String, PolicyErrors> {
    yaml::read_extended(text, file, read, &[importance::TABLE], |root, merged| {
        policy(root, text, file).map(|_| merged.unwrap_or(text).to_owned())
    })
}

/// Where the snapshot is of a policy of several classes that names none, whose labels say them; `None` of other policies, and of one with an error
/// in what says so.
#[must_use]
pub fn without_classes(text: &str, file: &Path, read: yaml::ReadFile<'_>) -> Option<BaselineSpec> {
    let found = yaml::read_extended(text, file, read, &[], |root, _| {
        let map = root.map(&keys::POLICY.names())?;
        let task = map.get("task").and_then(|item| task::read(&item));
        let is_without = task == Some(Task::Multiclass) && map.get("classes").is_none();
        map.get("baseline").filter(|_| is_without).and_then(|item| baseline(&item, task))
    });
    found.ok()
}

// Long: a line for each key of the file.
fn policy(root: &Item, text: &str, file: &Path) -> Option<Policy> {
    let map = root.map(&keys::POLICY.names())?;
    let version = map.require("apiVersion", "driftgate/v1").and_then(|item| item.choice(&[("driftgate/v1", ())]));
    let model = map.require("model", "the model's name").and_then(|item| model_name(&item));
    let task = map.get("task").map_or(Some(Task::Binary), |item| task::read(&item));
    task::no_classes(task, &map);
    let classes = task::classes(task, &map);
    let metadata = map.get("metadata").map_or_else(|| Some(BTreeMap::new()), |item| metadata(&item));
    let baseline = map.get("baseline").map_or_else(|| Some(NO_BASELINE), |item| baseline(&item, task));
    let lateness = map.get("lateness").map_or(Some(DEFAULT_LATENESS), |item| item.duration(true));
    let min_samples = map.get("min_samples").map_or(Some(DEFAULT_MIN_SAMPLES), |item| item.whole(1, 1_000_000_000));
    let min_reference = map.get("min_reference").map_or(min_samples, |item| item.whole(1, 1_000_000_000));
    let retire_after = map.get("retire_after").map_or(Some(DEFAULT_RETIRE_AFTER), |item| item.duration(false));
    let threshold = map.get("score").map(|item| threshold(&item));
    let default_lateness = lateness.unwrap_or(DEFAULT_LATENESS);
    let labels = map.get("labels").map(|item| labels(&item, default_lateness));
    let decision_values = map.get("decision").map_or_else(|| Some(BTreeMap::new()), |item| decision(&item));
    let features = map.get("features").map_or_else(|| Some(names::no_features()), |item| names::features(&item));
    let importance = map.get("importance").map(|item| importance::importance(&item, features.as_ref()));
    let segments = map.get("segments").map_or_else(|| Some(Vec::new()), |item| names::segments(&item));
    let unit = map.get("unit").map(|item| unit(&item));
    let declared = features.as_ref().map(|f| (f.numeric.clone(), f.categorical.clone()));
    let segmentations = segments.as_ref().map(|s| s.iter().map(|s| s.name.clone()).collect());
    let of_several = (task == Some(Task::Multiclass)).then(|| classes.as_deref().unwrap_or_default());
    let mut names = PolicyNames::new(declared, segmentations, of_several);
    names.threshold = threshold.flatten();
    names.has_number_labels = task == Some(Task::Regression);
    let local = map.get("windows").map(|item| local_days(&item));
    let surroundings = Surroundings {
        lateness: default_lateness,
        local: local.flatten(),
        task: task.unwrap_or_default(),
        has_labels: labels.is_some(),
        labels: labels.as_ref().and_then(Option::as_ref),
        threshold: threshold.is_some(),
        baseline: baseline.as_ref(),
    };
    let checks =
        map.require("checks", "{drift: {window: {size: 7d, slide: 1d}, rules: [psi: {of: features, lt: 0.2}]}}");
    let groups = checks.as_ref().and_then(|item| groups::groups(item, &mut names, &surroundings));
    let outline = Outline::of(checks.as_ref());
    let mutes =
        map.get("mute").map_or_else(|| Some(Vec::new()), |item| mutes(&item, &outline, groups.as_deref(), &names));
    let ignores = map.get("ignore").map_or_else(|| Some(Vec::new()), |item| ignores(&item));
    let written = Checks { outline: &outline, groups: groups.as_deref(), kpis: &names.kpis };
    let transitions =
        map.get("transitions").map_or_else(|| Some(Vec::new()), |item| transitions::transitions(&item, &written));
    let rollback = map.get("rollback").map(|item| transitions::rollback(&item, &outline));
    let signing = map.get("signing").map_or_else(|| Some(signing::Pinned::default()), |item| signing::signing(&item));
    let signing = signing.map(|pinned| (pinned.keys, pinned.model_signers)).unzip();
    version?;
    all(local)?;
    let importance = all(importance)?.unwrap_or_default();
    let (features, segments) = (features?, segments?);
    Some(Policy {
        model: model?,
        task: task?,
        classes: classes?,
        metadata: metadata?,
        baseline: baseline?,
        threshold: all(threshold)?,
        labels: all(labels)?,
        decision_values: decision_values?,
        unit: all(unit)?,
        min_samples: min_samples?,
        min_reference: min_reference?,
        retire_after: retire_after?,
        groups: groups?,
        mutes: mutes?,
        ignores: ignores?,
        transitions: transitions?,
        rollback: all(rollback)?,
        signing_keys: signing.0?,
        model_signers: signing.1?,
        sha256: sha256_hex(text.as_bytes()),
        directory: file.parent().map(PathBuf::from).unwrap_or_default(),
        features,
        importance,
        segments,
        kpis: names.kpis,
        measured: names.measured,
    })
}

/// What is absent is fine, what is present must have been read.
#[expect(clippy::option_option, reason = "the outer is the file's, the inner the reader's")]
fn all<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        Some(read) => read.map(Some),
        None => Some(None),
    }
}

/// Model names stand in URL paths and registry names.
fn model_name(item: &Item) -> Option<String> {
    let name = item.name("the model's name")?;
    if name.contains(['/', '\\']) {
        return item.fail(format!("expected the model's name, read {}: write it without slashes", units::quote(name)));
    }
    Some(name.to_owned())
}

/// `windows: {timezone: Europe/Berlin, week: monday}`.
fn local_days(item: &Item) -> Option<LocalDays> {
    let map = item.map(&keys::WINDOWS.names())?;
    let zone = map.get("timezone");
    let week = map.get("week").map_or(Some(0), |item| {
        let days: Vec<(&str, i64)> = keys::WEEKDAYS.iter().copied().zip(0..).collect();
        item.choice(&days)
    });
    let name = zone.as_ref().map_or(Some("UTC"), |zone| zone.text("a time zone such as Europe/Berlin"))?;
    LocalDays::of(name, week?).or_else(|| {
        zone.as_ref().unwrap_or(item).fail(format!(
            "there is no time zone {} in the IANA database: write one such as Europe/Berlin or UTC",
            units::quote(name)
        ))
    })
}

fn metadata(item: &Item) -> Option<BTreeMap<String, String>> {
    let map = item.open_map("a mapping such as {team: ops, severity: page}")?;
    let mut metadata = BTreeMap::new();
    for (key, item) in map.entries() {
        match item.scalar() {
            Some(text) => drop(metadata.insert(key.to_owned(), text.to_owned())),
            None => item.report("expected a text: write one value without a mapping or list"),
        }
    }
    Some(metadata)
}

const NO_BASELINE: BaselineSpec =
    BaselineSpec { snapshot: None, reference: None, score_column: None, label_column: None, null_values: None };

fn baseline(item: &Item, task: Option<Task>) -> Option<BaselineSpec> {
    let map = item.map(&keys::BASELINE.names())?;
    let place = |key| {
        let item = map.get(key)?;
        let text = item.text("a path or URL")?;
        let rest = text.replace("{version}", "");
        if rest.contains(['{', '}']) {
            return item
                .fail(format!("expected a path, read {}: the only placeholder is {{version}}", units::quote(text)));
        }
        Some(text.to_owned())
    };
    let (snapshot, reference) = (place("snapshot"), place("reference"));
    let columns = map.get("columns").and_then(|item| item.map(&keys::COLUMNS.names()));
    let column = |key| columns.as_ref()?.get(key)?.name("a column's name").map(str::to_owned);
    let null_values = map.get("null_values").and_then(|item| item.texts("texts that mean null"));
    let (used, other, of) = match task {
        Some(Task::Multiclass) => {
            ("prediction", "score", "`task: multiclass` the column of predicted classes is `prediction`")
        }
        _ => ("score", "prediction", "this task the column of predictions is `score`"),
    };
    if let Some(item) = columns.as_ref().and_then(|columns| columns.get(other)) {
        return item.fail(format!("with {of}: write `{used}` in place of `{other}`"));
    }
    Some(BaselineSpec { snapshot, reference, score_column: column(used), label_column: column("label"), null_values })
}

fn threshold(item: &Item) -> Option<f64> {
    let map = item.map(&keys::SCORE.names())?;
    // Scores may be probabilities, logits or points: whatever can be compared with a finite number.
    map.require("threshold", "0.5")?.number("a finite number", f64::is_finite)
}

/// `/user_id`: where events name the unit whose rows depend on each other. The snapshot has it as a column of that name.
fn unit(item: &Item) -> Option<String> {
    let text = item.text("where events name the unit, like /user_id")?;
    let name = text.rsplit('/').next().unwrap_or(text).replace("~1", "/").replace("~0", "~");
    if name.is_empty() {
        return item
            .fail(format!("expected where events name the unit, read {}: write it like /user_id", units::quote(text)));
    }
    Some(name)
}

/// Labels that come once a day are not silent yet.
const SILENT_AFTER: Millis = 2 * 86_400_000;

fn silent_after(item: &Item, horizon: Option<Millis>) -> Option<Millis> {
    let millis = item.duration(false)?;
    match horizon.filter(|horizon| millis < *horizon) {
        Some(_) => item.fail("shorter than the horizon, within which labels may come: write at least the horizon"),
        None => Some(millis),
    }
}

fn labels(item: &Item, lateness: Millis) -> Option<LabelSpec> {
    let map = item.map(&keys::LABELS.names())?;
    let horizon = map.require("horizon", "2d").and_then(|item| item.duration(false));
    let attribute = map.get("attribute").and_then(|item| {
        item.choice(&[("label_time", LabelAttribute::LabelTime), ("prediction_time", LabelAttribute::PredictionTime)])
    });
    let lateness = map.get("lateness").map_or(Some(lateness), |item| item.duration(true));
    let silent_after = map.get("silent_after").map(|item| silent_after(&item, horizon));
    let values = map.get("values").map_or_else(|| Some(BTreeMap::new()), |item| class_values(&item));
    let horizon = horizon?;
    Some(LabelSpec {
        horizon,
        attribute: attribute.unwrap_or(LabelAttribute::LabelTime),
        lateness: lateness?,
        silent_after: match silent_after {
            Some(millis) => millis?,
            None => SILENT_AFTER.max(horizon.saturating_mul(2)),
        },
        values: values?,
    })
}

fn decision(item: &Item) -> Option<BTreeMap<String, bool>> {
    let map = item.map(&keys::DECISION.names())?;
    map.require("values", "{approve: 1, deny: 0}").and_then(|item| class_values(&item))
}

/// What values stand for which class. One that the mapping names is what it says, 0, 1, true and false too.
fn class_values(item: &Item) -> Option<BTreeMap<String, bool>> {
    let map = item.open_map("a mapping such as {\"yes\": 1, \"no\": 0}")?;
    let mut values: BTreeMap<String, bool> = BTreeMap::new();
    for (value, item) in map.entries() {
        let Some(class) = item.choice(&[("1", true), ("0", false), ("true", true), ("false", false)]) else {
            continue;
        };
        let number = number_of(value);
        let same = |other: &str| number.is_some() && number_of(other) == number;
        if let Some((other, _)) = values.iter().find(|(other, c)| **c != class && same(other)) {
            item.report(format!(
                "{} and {} are one number: give it one class",
                units::quote(other),
                units::quote(value)
            ));
        }
        values.insert(value.to_owned(), class);
    }
    Some(values)
}

/// The number that a text writes in digits.
#[must_use]
pub fn number_of(text: &str) -> Option<f64> {
    let of_number = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    if !text.bytes().all(of_number) {
        return None;
    }
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

fn mutes(item: &Item, outline: &Outline, groups: Option<&[Group]>, names: &PolicyNames) -> Option<Vec<Mute>> {
    Some(item.list("mutes")?.iter().filter_map(|item| mute(item, outline, groups, names)).collect())
}

fn mute(item: &Item, outline: &Outline, groups: Option<&[Group]>, names: &PolicyNames) -> Option<Mute> {
    let map = item.map(&keys::MUTE.names())?;
    let rule = map.get("rule").map(|item| outline.rule(&item).map(|place| (place, item)));
    let subject = map.get("of").map(|item| {
        let name = item.text("a subject")?;
        // Which subjects there are is known only once every group has been read.
        let only = rule.as_ref().and_then(|rule| rule.as_ref().map(|(place, _)| *place));
        let Some(groups) = groups else { return Some(name) };
        let mut known = subjects(groups, only, names);
        if known.iter().any(|known| known == name) {
            return Some(name);
        }
        known.dedup();
        item.fail(format!(
            "unknown subject {}; {}",
            units::quote(name),
            item.known_names(name, known.iter().map(String::as_str))
        ))
    });
    if rule.is_none() && subject.is_none() {
        item.report("this would mute every rule: name a `rule`, a subject (`of`), or both");
    }
    let until = map.require("until", "2013-10-01").and_then(|item| item.convert("a time", units::time));
    let reason = reason(&map);
    Some(Mute {
        rule: all(rule)?.and_then(|(_, item)| item.scalar().map(str::to_owned)),
        of: all(subject)?.map(str::to_owned),
        until: until?,
        reason: reason?,
    })
}

/// What the results of one rule, or of all, are about.
fn subjects(groups: &[Group], only: Option<(usize, usize)>, names: &PolicyNames) -> Vec<String> {
    let rules = groups
        .iter()
        .enumerate()
        .flat_map(|(group, spec)| spec.rules.iter().enumerate().map(move |(place, rule)| ((group, place), rule)));
    let mut subjects: Vec<String> = rules
        .filter(|(place, _)| only.is_none_or(|only| only == *place))
        .flat_map(|(_, rule)| rule.kind.subjects(names))
        .collect();
    subjects.sort_unstable();
    subjects
}

fn reason(map: &Map) -> Option<String> {
    map.require("reason", "why, or a ticket").and_then(|item| item.text("a reason")).map(str::to_owned)
}

fn ignores(item: &Item) -> Option<Vec<Ignore>> {
    Some(item.list("time spans")?.iter().filter_map(ignore).collect())
}

fn ignore(item: &Item) -> Option<Ignore> {
    let map = item.map(&keys::IGNORE.names())?;
    let from = map.require("from", "2013-05-01T00:00Z").and_then(|item| item.convert("a time", units::time));
    let to = map.require("to", "2013-05-02T00:00Z").and_then(|item| item.convert("a time", units::time));
    let reason = reason(&map);
    let (from, to) = (from?, to?);
    if from >= to {
        return item.fail("`from` is not before `to`: write the earlier time first");
    }
    Some(Ignore { from, to, reason: reason? })
}
