//! The text of a drafted policy: valid YAML with a comment on every choice. What data cannot tell is called a guess.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::limits::{self, Limits};
use super::profile::{Column, Profile};
use super::roles::{Label, Roles};
use crate::cli::display;
use driftgate_core::codec::number::short;
use driftgate_core::policy::Task;

/// What a draft is made of.
pub struct Draft<'a> {
    pub model: &'a str,
    /// The name was made of the file's.
    pub model_is_guessed: bool,
    /// As the policy names it.
    pub snapshot: &'a str,
    pub profile: &'a Profile,
    pub roles: &'a Roles<'a>,
    pub limits: &'a Limits,
    /// Groups of rules that a snapshot says nothing about, if they are asked for.
    pub slo: bool,
    pub promotion: bool,
}

const SLO: &str = "  slo:
    window: {size: 5m, slide: 1m, lateness: 10s}  # guess: needs min_samples requests in each
    rules:
    - latency_p95_ms: {id: p95, lt: 200}  # guess: what was promised to callers, in milliseconds
    - error_rate: {lt: 0.01, unit: fraction}  # guess: one request in a hundred
";

const ERRORS: &str = "  errors:
    window: {size: 28d, slide: 7d}
    rules:
    - mae: {max_increase: {relative: 0.25}}  # guess: a quarter above the snapshot's, on which the model is better than on new rows
    - rmse: {max_increase: {relative: 0.25}}  # guess: the same, where large errors weigh more
";

const QUALITY: &str = "  quality:
    window: {size: 28d, slide: 7d}
    rules:
    - accuracy: {max_drop: 0.05}  # guess: below the snapshot's, on which the model is better than on new rows
    - balanced_accuracy: {max_drop: 0.05}  # guess: the same, where rare classes weigh as much as frequent ones
";

const ROLLBACK: &str = "
rollback:  # by itself and without asking a gate
  to: last_stable
  triggers: [{rule: slo/p95, for: 5m}, {rule: slo/error_rate, for: 5m}]  # what a version does, not what the world does
";

impl Draft<'_> {
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.head(&mut out);
        self.features(&mut out);
        self.outcomes(&mut out);
        self.checks(&mut out);
        if self.promotion {
            self.transitions(&mut out);
        }
        out
    }

    /// Categorical features that PSI can judge.
    fn judged(&self) -> impl Iterator<Item = &&Column> {
        self.roles.categorical.iter().filter(|c| !self.limits.too_many.contains_key(&c.name))
    }

    fn can_judge_segments(&self) -> bool {
        self.roles.task == Task::Binary && self.can_judge_labels() && !self.roles.segments.is_empty()
    }

    /// Whether predictions can be compared with labels.
    fn can_judge_labels(&self) -> bool {
        self.roles.score.is_some() && self.roles.label.is_some()
    }

    /// Whether rules of the draft read labels.
    fn reads_labels(&self) -> bool {
        self.can_judge_segments() || self.roles.task != Task::Binary && self.can_judge_labels()
    }

    /// The label, where the policy says what its values mean or need not.
    fn label_in_snapshot(&self) -> Option<&Label> {
        self.roles.label.as_ref().filter(|l| l.values.is_empty() || self.reads_labels())
    }

    fn head(&self, out: &mut String) {
        let guess = if self.model_is_guessed { "  # guess: by the file's name" } else { "" };
        let rows = display::count(self.profile.rows);
        let _ = writeln!(
            out,
            "# Drafted from {} ({rows} rows). Read every line before it guards anything:",
            shown(self.snapshot)
        );
        let _ = writeln!(
            out,
            "# what the data cannot tell is called a guess. `driftgate check --policy FILE` gives advice."
        );
        for unclear in &self.roles.unclear {
            let _ = writeln!(out, "# unclear: {}", one_line(unclear));
        }
        let _ = writeln!(out, "apiVersion: driftgate/v1\nmodel: {}{guess}", name(self.model));
        out.push_str(&self.task());
        out.push_str("\nbaseline:\n");
        let _ = writeln!(
            out,
            "  snapshot: {}  # from this file's folder; {{version}} in it stands for the model's version",
            quoted(self.snapshot)
        );
        let columns = [
            self.roles.score.map(|c| format!("{}: {}", self.predicted(), name(&c.name))),
            self.label_in_snapshot().map(|l| format!("label: {}", name(&l.column))),
        ];
        let columns: Vec<String> = columns.into_iter().flatten().collect();
        if let (Some(label), None) = (&self.roles.label, self.label_in_snapshot()) {
            let _ = writeln!(out, "  # the labels are in {}, and nothing here reads them", shown(&label.column));
        } else if columns.is_empty() {
            out.push_str("  # no column of scores or labels was found: name them with --score and --label\n");
        }
        if !columns.is_empty() {
            let _ = writeln!(out, "  columns: {{{}}}", columns.join(", "));
        }
    }

    /// What the model predicts, where that is not one of two classes.
    fn task(&self) -> String {
        let classes: Vec<String> = self.roles.classes.iter().map(|class| name(class)).collect();
        match self.roles.task {
            Task::Binary => String::new(),
            Task::Regression => "task: regression  # predicted numbers, and labels that are numbers\n".to_owned(),
            Task::Multiclass => format!(
                "task: multiclass\nclasses: [{}]  # those of the snapshot: add what predictions or labels may name beside them\n",
                classes.join(", ")
            ),
        }
    }

    /// What the policy calls the column of predictions.
    fn predicted(&self) -> &'static str {
        if self.roles.task == Task::Multiclass { "prediction" } else { "score" }
    }

    fn features(&self, out: &mut String) {
        out.push_str("\nfeatures:\n");
        if !self.roles.numeric.is_empty() {
            out.push_str("  numeric:\n");
        }
        for c in &self.roles.numeric {
            let range = format!("{} to {}", short(c.min), short(c.max));
            let _ = writeln!(out, "  - {}  # {range}, {}{}", name(&c.name), values(c), missing(c));
        }
        if self.judged().next().is_some() {
            out.push_str("  categorical:\n");
        }
        for c in self.judged() {
            let _ = writeln!(out, "  - {}  # {}{}", name(&c.name), values(c), missing(c));
        }
        if !self.roles.left.is_empty() || !self.limits.too_many.is_empty() {
            out.push_str("  # left out:\n");
        }
        for (column, limit) in &self.limits.too_many {
            let _ = writeln!(
                out,
                "  # - {}: so many categories differ by a PSI of {} without drift; with a larger min_samples it can be judged",
                shown(column),
                short(*limit)
            );
        }
        for (column, why) in &self.roles.left {
            let _ = writeln!(out, "  # - {}: {why}", shown(column));
        }
    }

    fn outcomes(&self, out: &mut String) {
        if self.roles.score.is_some() && self.roles.task == Task::Binary {
            out.push_str("\nscore: {threshold: 0.5}  # guess: scores from here on are predicted positive\n");
        }
        let segments: Vec<String> = self.roles.segments.iter().map(|s| name(s)).collect();
        if self.can_judge_segments() {
            let _ = writeln!(
                out,
                "\nsegments: [{}]  # categories with 2 to 20 values; a*b crosses two",
                segments.join(", ")
            );
        } else if !segments.is_empty() {
            let why = match self.roles.task {
                Task::Binary => "to compare, once there are scores and labels",
                Task::Regression => "for `by` of rules on features and the score",
                Task::Multiclass => "for `by`, and for gap and ratio of classes",
            };
            let _ = writeln!(out, "\n# segments: [{}]  # {why}", segments.join(", ").replace('\n', " "));
        }
        if let Some(label) = &self.roles.label {
            let values: Vec<String> =
                label.values.iter().map(|(text, yes)| format!("{}: {}", quoted(text), u8::from(*yes))).collect();
            let values = if values.is_empty() { String::new() } else { format!(", values: {{{}}}", values.join(", ")) };
            let guess = if label.guessed { "which value is 1, and " } else { "" };
            // Labels make predictions need an id.
            let mark = if self.reads_labels() { "" } else { "# " };
            let _ = writeln!(
                out,
                "\n{mark}labels: {{horizon: 30d, attribute: label_time, lateness: 1h{}}}  # guess: {guess}how long after its prediction a label comes",
                one_line(&values)
            );
        }
        out.push_str("\nlateness: 5m  # guess: how far a record may lie behind the newest one of its stream\n");
        out.push_str("min_samples: 200  # below it nothing is said of a window\n");
    }

    fn checks(&self, out: &mut String) {
        out.push_str("\n# No limit lies below what parts of the training data come to among themselves, in windows of min_samples rows and more.\n");
        out.push_str("checks:\n  drift:\n    window: {size: 7d, slide: 1d}  # whole weeks, so that weekends do not look like drift\n    rules:\n");
        let psi = |limit: f64| format!("{{lt: {}, warn: {}}}", short(limit), short((limit * 50.0).round() / 100.0));
        let except = except(&self.limits.psi, psi);
        let _ = writeln!(
            out,
            "    - psi: {{of: features, lt: {}, warn: {}{except}}}  # {}",
            short(self.limits.psi_all),
            short((self.limits.psi_all * 50.0).round() / 100.0),
            if self.limits.psi_all > limits::PSI {
                "above the customary 0.2, which so few rows of so many features reach without drift"
            } else {
                "the customary limits: 0.1 has moved, 0.2 has moved far"
            }
        );
        if self.roles.score.is_some() && self.roles.task == Task::Multiclass {
            out.push_str(
                "    - psi: {id: psi_prediction, of: prediction, lt: 0.2, warn: 0.1}  # of the predicted classes\n",
            );
        } else if self.roles.score.is_some() {
            let limit = self.limits.psi_score.unwrap_or(limits::PSI);
            let warn = (limit * 50.0).round() / 100.0;
            let _ =
                writeln!(out, "    - psi: {{id: psi_score, of: score, lt: {}, warn: {}}}", short(limit), short(warn));
        }
        if !self.limits.tested.is_empty() {
            let names: Vec<String> = self.limits.tested.iter().map(|n| name(n)).collect();
            let effect = short(self.limits.min_effect);
            let _ = writeln!(
                out,
                "    - ks_p: {{of: [{}], gte: 0.01, correction: holm, min_effect: {effect}}}  # corrected for many features; no small effects",
                names.join(", ")
            );
        }
        let except = self::except(&self.limits.missing, |limit| format!("{{max_increase: {}}}", short(limit)));
        let _ = writeln!(
            out,
            "    - missing_rate: {{of: features, max_increase: {}{except}}}  # against the training data",
            short(self.limits.missing_all)
        );
        out.push_str("    - invalid_rate: {of: features, lte: 0.01}  # a changed type upstream\n");
        match self.quality() {
            Some((_, rules)) => out.push_str(rules),
            None => self.fairness(out),
        }
        if self.slo {
            out.push_str(SLO);
        }
    }

    /// The group on predictions beside their labels, of a task that has one, and its name.
    fn quality(&self) -> Option<(&'static str, &'static str)> {
        match self.roles.task {
            Task::Regression if self.can_judge_labels() => Some(("errors", ERRORS)),
            Task::Multiclass if self.can_judge_labels() => Some(("quality", QUALITY)),
            Task::Regression | Task::Multiclass => {
                Some(("", "  # no group on errors: it needs predictions and labels, named with --score and --label\n"))
            }
            Task::Binary => None,
        }
    }

    fn fairness(&self, out: &mut String) {
        if self.can_judge_segments() {
            out.push_str("  fairness:\n    window: {size: 28d, slide: 7d}  # long, since positives of small segments are rare\n    rules:\n");
            for (at, segment) in self.roles.segments.iter().enumerate() {
                let id = if at == 0 { String::new() } else { format!("id: tpr_gap_lcb_{}, ", at + 1) };
                let limit = short(self.limits.gaps.get(at).copied().unwrap_or(limits::GAP));
                let comment = if at == 0 {
                    "  # the rates are surely further apart than this, and than in the training data"
                } else {
                    ""
                };
                let _ = writeln!(
                    out,
                    "    - tpr_gap_lcb: {{{id}by: {}, lte: {limit}, min_positives: 30}}{comment}",
                    name(segment)
                );
            }
        } else {
            out.push_str("  # no fairness group: it needs scores, labels, and a category with 2 to 20 values\n");
        }
    }

    fn transitions(&self, out: &mut String) {
        let fairness = match self.quality() {
            Some(("", _)) => String::new(),
            Some((group, _)) => format!(", {group}"),
            None if self.can_judge_segments() => ", fairness".to_owned(),
            None => String::new(),
        };
        let (slo, watched) = if self.slo { (", slo", "slo") } else { ("", "drift") };
        let _ = write!(
            out,
            "
transitions:
- from: dev
  to: staging
  approvals: auto  # happens by itself once everything here is attached and passes
  evidence: [artifact_digest, env_lock, tests, security_scan, schema]
  schema: {{allow: [add_optional]}}  # a new optional input is fine, a removed one is not
- from: staging
  to: prod
  evidence: [data_snapshot, code_commit, pii_controls]  # add signature once keys are pinned under signing
  checks: [drift{fairness}{slo}]
  approvals: {{roles: {{owner: 1, reviewer: 1}}, distinct: true, expires: 72h}}  # two people, each in a role
  rollout:
    steps: [{{weight: 10, for: 30m}}, {{weight: 50, for: 2h}}, {{weight: 100, bake: 1h}}]  # percent of the traffic
    checks: [{watched}]
    on_inconclusive: pause  # too little data stops a step, and does not fail it
"
        );
        if self.slo {
            out.push_str(ROLLBACK);
        }
    }
}

/// The exceptions of a rule, by feature.
fn except(limits: &BTreeMap<String, f64>, of: impl Fn(f64) -> String) -> String {
    if limits.is_empty() {
        return String::new();
    }
    let each: Vec<String> =
        limits.iter().map(|(feature, limit)| format!("{}: {}", name(feature), of(*limit))).collect();
    format!(", except: {{{}}}", each.join(", "))
}

fn values(column: &Column) -> String {
    format!("{} values", display::count(column.distinct as u64))
}

fn missing(column: &Column) -> String {
    if column.missing == 0 {
        return String::new();
    }
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let share = column.missing as f64 / (column.missing + column.count).max(1) as f64;
    format!(", {}% missing", short(share * 100.0))
}

/// A name in YAML: plain where no reader could take it for something else.
fn name(text: &str) -> String {
    const WORDS: [&str; 11] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !WORDS.iter().any(|w| text.eq_ignore_ascii_case(w));
    if plain { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes; JSON's escapes are YAML's, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name in a comment, which ends where its line does.
fn shown(text: &str) -> String {
    one_line(&name(text))
}

/// A text without what ends a line or is no character of YAML.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || "\u{85}\u{2028}\u{2029}".contains(c) { '\u{fffd}' } else { c }).collect()
}
