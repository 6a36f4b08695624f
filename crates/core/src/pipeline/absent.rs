//! Names that a policy reads and that no event had: they count as missing, and nothing else would report why.

use crate::decode::seen::Seen;
use crate::event::{EventKind, Field, FieldMap};
use crate::policy::{Policy, Target};
use crate::schema::Schema;
use crate::window::layout::Reads;

/// The names that the policy's rules, or a source's `fields`, ask of such events and that none had.
#[must_use]
pub fn absent(seen: &Seen, policy: &Policy, schema: &Schema, fields: &FieldMap, kind: EventKind) -> Vec<String> {
    let mut absent: Vec<String> = Vec::new();
    let mut name = |name: String| {
        if !absent.contains(&name) {
            absent.push(name);
        }
    };
    let unseen = |names: &[String], seen: &[bool], reads: &dyn Fn(usize) -> bool| -> Vec<String> {
        let all = names.iter().zip(seen).enumerate();
        all.filter(|(at, (_, seen))| !**seen && reads(*at)).map(|(_, (n, _))| fields.incoming(n).to_owned()).collect()
    };
    if kind.has(Field::Features) {
        let reads: Vec<Reads> = policy.groups.iter().map(Reads::new).collect();
        let read = |target: Target| reads.iter().any(|r| r.targets.contains(&target));
        unseen(&schema.numeric, &seen.numeric, &|at| read(Target::Numeric(at))).into_iter().for_each(&mut name);
        unseen(&schema.categorical, &seen.categorical, &|at| read(Target::Categorical(at)))
            .into_iter()
            .for_each(&mut name);
    }
    if kind.has(Field::Segments) {
        unseen(&schema.attributes, &seen.attributes, &|_| true).into_iter().for_each(&mut name);
    }
    if kind.has(Field::Kpi) {
        unseen(&schema.kpis, &seen.kpis, &|_| true).into_iter().for_each(&mut name);
    }
    let plain = FieldMap::default();
    for &field in Field::ALL.iter().filter(|field| kind.has(**field) && field.is_optional()) {
        let place = fields.place(field);
        if !seen.fields.contains(&field) && (place != plain.place(field) || is_read(seen, policy, field)) {
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
                    || (!decided && policy.threshold.is_some() && (r.counts_classes() || r.confusion))
            })
        }
        Field::Prediction => policy.is_multiclass(),
        Field::LatencyMs => reads().any(|r| r.latency),
        Field::Error => reads().any(|r| r.error),
        Field::Label => policy.rules().any(|r| r.kind.reads_classes()),
        _ => false,
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
            "; its column `{column}` holds columns of its own, which are not read: write each as a column of the file{}",
            // Other columns have the names of features; a class could be called like one.
            if column == "scores" { ", `scores.` and the class" } else { "" }
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
