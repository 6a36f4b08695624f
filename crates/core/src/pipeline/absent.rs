//! Names that a policy reads and that no event had: they count as missing, and nobody would say why.

use crate::decode::plan::{EventKind, Field, Fields};
use crate::decode::seen::Seen;
use crate::policy::{Policy, RuleKind, Target};
use crate::schema::Schema;
use crate::window::layout::Reads;

/// The names that the policy's rules, or a source's `fields`, ask of such events and that none had.
#[must_use]
pub fn absent(seen: &Seen, policy: &Policy, schema: &Schema, fields: &Fields, kind: EventKind) -> Vec<String> {
    let mut absent: Vec<String> = Vec::new();
    let mut name = |name: String| {
        if !absent.contains(&name) {
            absent.push(name);
        }
    };
    let incoming = |name: &String| {
        fields.rename.iter().find(|(_, to)| to == name).map_or_else(|| name.clone(), |(from, _)| from.clone())
    };
    let unseen = |names: &[String], seen: &[bool], reads: &dyn Fn(usize) -> bool| -> Vec<String> {
        let all = names.iter().zip(seen).enumerate();
        all.filter(|(at, (_, seen))| !**seen && reads(*at)).map(|(_, (n, _))| incoming(n)).collect()
    };
    if matches!(kind, EventKind::Predictions | EventKind::Features) {
        let reads: Vec<Reads> = policy.groups.iter().map(Reads::new).collect();
        let read = |target: Target| reads.iter().any(|r| r.targets.contains(&target));
        unseen(&schema.numeric, &seen.numeric, &|at| read(Target::Numeric(at))).into_iter().for_each(&mut name);
        unseen(&schema.categorical, &seen.categorical, &|at| read(Target::Categorical(at)))
            .into_iter()
            .for_each(&mut name);
    }
    if kind == EventKind::Predictions {
        unseen(&schema.attributes, &seen.attributes, &|_| true).into_iter().for_each(&mut name);
    }
    if kind == EventKind::Labels {
        unseen(&schema.kpis, &seen.kpis, &|_| true).into_iter().for_each(&mut name);
    }
    let plain = Fields::default();
    for (field, place, usual) in places(fields, &plain, kind) {
        if !seen.fields.contains(&field) && (place != usual || is_read(seen, policy, field)) {
            name(place.join("/"));
        }
    }
    absent
}

/// Whether a rule reads a field that events need not have.
fn is_read(seen: &Seen, policy: &Policy, field: Field) -> bool {
    let reads = || policy.groups.iter().map(Reads::new);
    match field {
        Field::Score => {
            let decided = seen.fields.contains(&Field::Decision);
            reads().any(|r| {
                r.targets.contains(&Target::Score)
                    || r.auc
                    || (!decided && policy.threshold.is_some() && !r.segmentations.is_empty())
            })
        }
        Field::LatencyMs => reads().any(|r| r.latency),
        Field::Error => reads().any(|r| r.error),
        Field::Label => policy.rules().any(|r| r.kind.reads_labels() && !matches!(r.kind, RuleKind::KpiDrop { .. })),
        _ => false,
    }
}

/// The optional fields of such events: where they stand, and where they usually do.
fn places<'f>(fields: &'f Fields, plain: &'f Fields, kind: EventKind) -> Vec<(Field, &'f [String], &'f [String])> {
    match kind {
        EventKind::Predictions => vec![
            (Field::Score, &fields.score, &plain.score),
            (Field::LatencyMs, &fields.latency_ms, &plain.latency_ms),
            (Field::Error, &fields.error, &plain.error),
            (Field::Decision, &fields.decision, &plain.decision),
            (Field::Stage, &fields.stage, &plain.stage),
        ],
        EventKind::Labels => vec![(Field::Label, &fields.label, &plain.label)],
        EventKind::Measurements => vec![(Field::Weight, &fields.n, &plain.n)],
        EventKind::Features => Vec::new(),
    }
}

/// A sentence about names that none of so many events had.
#[must_use]
pub fn sentence(source: &str, events: u64, absent: &[String], nested: Option<&str>) -> String {
    let names: Vec<String> = absent.iter().take(20).map(|name| format!("`{name}`")).collect();
    let more = absent.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let hint = nested.map_or_else(String::new, |column| {
        format!(
            "; its column `{column}` holds columns of its own, which are not read: write each as a column of the file"
        )
    });
    format!("{source}: no event of {} has {}{more}{hint}", grouped(events), names.join(", "))
}

/// Thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
