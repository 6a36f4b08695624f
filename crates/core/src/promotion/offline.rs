//! Offline metrics against another version's, in decimal arithmetic: numbers are what their shortest text says, so that
//! 0.95 − 0.93 is 0.02 and not a little less.

use rust_decimal::Decimal;
use serde_json::Value;

use super::types::{Dossier, Finding, GateOutcome};
use crate::codec::decimal;
use crate::policy::{OfflineGate, OfflineLimit, Tolerance, Transition};
use crate::stats::limit::ratio;

/// A decimal with its sign, without needless zeros.
fn signed(x: Decimal) -> String {
    let sign = if x.is_sign_negative() && !x.is_zero() { "" } else { "+" };
    format!("{sign}{}", x.normalize())
}

/// Judges every offline gate of a transition.
#[must_use]
pub fn judge(transition: &Transition, dossier: &Dossier) -> Vec<Finding> {
    transition.offline.iter().map(|gate| one(gate, dossier)).collect()
}

fn one(gate: &OfflineGate, dossier: &Dossier) -> Finding {
    let name = format!("offline/{}", gate.metric);
    match compare(gate, dossier) {
        Ok((outcome, detail)) => Finding::new(name, outcome, detail),
        Err(why) => Finding::new(name, GateOutcome::Inconclusive, why),
    }
}

/// Outcome and sentence; the error says what is missing.
fn compare(gate: &OfflineGate, dossier: &Dossier) -> Result<(GateOutcome, String), String> {
    let metric = gate.metric.as_str();
    let own = attached(dossier, metric).ok_or_else(|| {
        let reported = dossier.reported.get("offline").and_then(|offline| offline.get(metric));
        let reported = reported.map_or_else(String::new, |value| {
            format!("; reported by the external registry, not confirmed: {metric} {value}")
        });
        format!("{metric} is not known offline: attach offline evidence, like {{\"{metric}\": 0.88}}{reported}")
    })?;
    let Some((other, whose)) = theirs(gate, dossier)? else {
        let detail = format!("{metric} {own} has nothing to compare with: no version is in prod yet");
        return Ok((GateOutcome::Warn, detail));
    };
    let read = |value: &Value| {
        decimal::read(&value.to_string()).ok_or_else(|| {
            format!("{metric} {value} has more digits than are compared exactly: attach a rounded value")
        })
    };
    let (new, old) = (read(own)?, read(other)?);
    let (tolerance, is_gain) = match gate.limit {
        OfflineLimit::MinGain(tolerance) => (tolerance, true),
        OfflineLimit::MaxIncrease(tolerance) => (tolerance, false),
    };
    let too_large = || format!("{metric} {new} and {old} are too large to be compared exactly");
    let change = new.checked_sub(old).ok_or_else(too_large)?;
    // Compared as ratios: a product or a difference of decimals may have more digits than a decimal holds.
    let exact = ratio(new).minus(ratio(old)).ok_or_else(too_large)?;
    let (bound, asked, shown) = match tolerance {
        Tolerance::Absolute(x) => (x.ratio(), signed(x.decimal()), signed(change)),
        Tolerance::Relative(x) => {
            if old <= Decimal::ZERO {
                return Err(format!(
                    "{metric} of {whose} is {old}: a relative change needs one above 0, ask for an absolute one"
                ));
            }
            let bound = ratio(old).times(x.ratio()).ok_or_else(too_large)?;
            (bound, format!("+{}", x.percent()), percent(change.checked_div(old).ok_or_else(too_large)?))
        }
    };
    let (passes, verdict) = match (is_gain, exact.cmp(&bound)) {
        (true, order) if order.is_ge() => (true, format!("at least the {asked} asked for")),
        (true, _) => (false, format!("below the {asked} asked for")),
        (false, order) if order.is_le() => (true, format!("at most the {asked} allowed")),
        (false, _) => (false, format!("above the {asked} allowed")),
    };
    let outcome = if passes { GateOutcome::Pass } else { GateOutcome::Block };
    Ok((outcome, format!("{metric} {new} is {shown} against {old} of {whose}, {verdict}")))
}

/// A share as a percentage of at most two decimals.
fn percent(share: Decimal) -> String {
    share.checked_mul(Decimal::ONE_HUNDRED).map_or_else(|| signed(share), |p| format!("{}%", signed(p.round_dp(2))))
}

/// A number of the version's own offline evidence.
fn attached<'d>(dossier: &'d Dossier, metric: &str) -> Option<&'d Value> {
    dossier.evidence.get("offline")?.value.get(metric).filter(|value| value.is_number())
}

/// The other version's number and whose it is; `None` where there is no champion to compare with.
fn theirs<'d>(gate: &OfflineGate, dossier: &'d Dossier) -> Result<Option<(&'d Value, String)>, String> {
    let (metric, versus) = (gate.metric.as_str(), gate.versus.as_str());
    let peer = |role: &str| dossier.peers.get(role);
    let of_peer = |role: &str| {
        let peer = peer(role)?;
        let whose =
            if role == peer.version { format!("version {role}") } else { format!("version {} ({role})", peer.version) };
        Some((peer.offline.get(metric).filter(|value| value.is_number())?, whose))
    };
    let beside = |role: &str, whose: String| Some((attached(dossier, &format!("{role}_{metric}"))?, whose));
    let named = dossier.evidence.get("baseline_version").and_then(|e| e.value.as_str());
    let baseline = named.or_else(|| peer("baseline").map(|p| p.version.as_str()));
    let by_baseline = || {
        let whose =
            baseline.map_or_else(|| "the baseline".to_owned(), |version| format!("version {version} (baseline)"));
        of_peer("baseline").or_else(|| beside("baseline", whose))
    };
    match versus {
        "baseline" => by_baseline().map(Some).ok_or_else(|| {
            format!(
                "{metric} of the baseline is not known: attach baseline_{metric} in offline, or offline evidence of the baseline's \
                 own version"
            )
        }),
        "champion" => match (of_peer("champion").or_else(|| beside("champion", "the champion".to_owned())), peer("champion")) {
            (Some(found), _) => Ok(Some(found)),
            (None, None) => Ok(None),
            (None, Some(champion)) => Err(format!(
                "{metric} of version {} (champion) is not known: attach offline evidence to it",
                champion.version
            )),
        },
        version => {
            let same = || (baseline == Some(version)).then(by_baseline).flatten();
            of_peer(version).or_else(same).map(Some).ok_or_else(|| {
                format!("{metric} of version {version}, the baseline that the policy names, is not known: attach offline evidence to it")
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{dossier, policy};
    use super::super::types::Peer;
    use super::*;

    fn peer(version: &str, metric: &str, value: Value) -> Peer {
        Peer { version: version.into(), offline: [(metric.to_owned(), value)].into(), schema: None }
    }

    fn ask(gate: &str, dossier: &Dossier) -> (GateOutcome, String) {
        let policy = policy(&format!("offline: [{{metric: auc, {gate}}}]"));
        let found = judge(&policy.transitions[1], dossier).remove(0);
        assert_eq!(found.gate, "offline/auc");
        (found.outcome, found.detail)
    }

    fn with(offline: Value) -> Dossier {
        dossier(&[("offline", offline)])
    }

    #[test]
    fn gains_are_decimal() {
        for (new, old, outcome) in [
            (0.95, 0.93, GateOutcome::Pass),
            (0.88, 0.85, GateOutcome::Pass),
            (0.901, 0.892, GateOutcome::Block),
            (0.12, 0.1, GateOutcome::Pass),
            (0.949_999_999_999, 0.93, GateOutcome::Block),
        ] {
            let (found, detail) = ask("min_gain: {absolute: 0.02}", &with(json!({"auc": new, "baseline_auc": old})));
            assert_eq!(found, outcome, "{detail}");
        }
        let (_, detail) = ask("min_gain: {absolute: 0.02}", &with(json!({"auc": 0.901, "baseline_auc": 0.892})));
        assert_eq!(detail, "auc 0.901 is +0.009 against 0.892 of the baseline, below the +0.02 asked for");
    }

    #[test]
    fn gains_are_absolute_or_relative() {
        let of = |new: f64| with(json!({"auc": new, "baseline_auc": 0.5}));
        assert_eq!(ask("min_gain: {relative: 0.02}", &of(0.51)).0, GateOutcome::Pass);
        let (outcome, detail) = ask("min_gain: {relative: 0.02}", &of(0.509));
        assert_eq!(
            (outcome, detail.as_str()),
            (GateOutcome::Block, "auc 0.509 is +1.8% against 0.5 of the baseline, below the +2% asked for")
        );
        let (outcome, detail) = ask("min_gain: {relative: 0.02}", &with(json!({"auc": 1, "baseline_auc": 0})));
        assert!(outcome == GateOutcome::Inconclusive && detail.contains("ask for an absolute one"), "{detail}");
    }

    #[test]
    fn a_relative_change_is_compared_with_all_its_digits() {
        // The product of the limit and the old value has 39 decimals, eleven more than a decimal holds.
        let old = 0.123_456_789_012_345_6;
        let of = |gain: &str| {
            ask(&format!("min_gain: {{relative: {gain}}}"), &with(json!({"auc": 0.2, "baseline_auc": old})))
        };
        // 0.2 / 0.1234567890123456 - 1 = 0.62000001458000116802001984338...
        assert_eq!(of("0.62000001458000116802001").0, GateOutcome::Pass);
        let (outcome, detail) = of("0.62000001458000116802002");
        assert_eq!(outcome, GateOutcome::Block, "{detail}");
        assert!(detail.ends_with("below the +62.000001458000116802002% asked for"), "{detail}");
    }

    #[test]
    fn a_cost_may_rise_so_far() {
        let of = |new: f64| with(json!({"auc": new, "baseline_auc": 10}));
        assert_eq!(ask("max_increase: {absolute: 0.5}", &of(10.5)).0, GateOutcome::Pass);
        assert_eq!(ask("max_increase: {absolute: 0.5}", &of(9.0)).0, GateOutcome::Pass);
        let (outcome, detail) = ask("max_increase: {relative: 0.1}", &of(11.5));
        assert_eq!(
            (outcome, detail.as_str()),
            (GateOutcome::Block, "auc 11.5 is +15% against 10 of the baseline, above the +10% allowed")
        );
    }

    #[test]
    fn against_whom() {
        let mut dossier = with(json!({"auc": 0.9, "baseline_auc": 0.5}));
        let gate = |versus: &str| format!("min_gain: {{absolute: 0.02}}, versus: {versus}");
        let (outcome, detail) = ask(&gate("champion"), &dossier);
        assert!(outcome == GateOutcome::Warn && detail.ends_with("no version is in prod yet"), "{detail}");
        let (outcome, detail) = ask(&gate("\"10\""), &dossier);
        assert!(
            outcome == GateOutcome::Inconclusive && detail.starts_with("auc of version 10, the baseline"),
            "{detail}"
        );
        dossier
            .evidence
            .insert("baseline_version".into(), super::super::testing::evidence("baseline_version", json!("10")));
        assert!(ask(&gate("\"10\""), &dossier).1.contains("0.5 of version 10 (baseline)"), "as attached beside it");
        dossier.peers.insert("champion".into(), peer("6", "auc", json!(0.89)));
        dossier.peers.insert("baseline".into(), peer("10", "auc", json!(0.87)));
        dossier.peers.insert("4".into(), peer("4", "auc", json!(0.8)));
        let (outcome, detail) = ask(&gate("champion"), &dossier);
        assert!(
            outcome == GateOutcome::Block && detail.contains("+0.01 against 0.89 of version 6 (champion)"),
            "{detail}"
        );
        assert!(ask(&gate("baseline"), &dossier).1.contains("0.87 of version 10 (baseline)"), "its own before a copy");
        assert!(ask(&gate("\"10\""), &dossier).1.contains("0.87 of version 10 (baseline)"));
        assert!(ask(&gate("\"4\""), &dossier).1.contains("0.8 of version 4,"));
        dossier.peers.insert("champion".into(), Peer { version: "6".into(), ..Peer::default() });
        assert!(ask(&gate("champion"), &dossier).1.contains("version 6 (champion) is not known"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (outcome, detail) = ask("min_gain: {absolute: 0.02}", &Dossier::default());
        assert!(outcome == GateOutcome::Inconclusive && detail.contains("attach offline evidence"), "{detail}");
        let (outcome, detail) = ask("min_gain: {absolute: 0.02}", &with(json!({"auc": 0.9})));
        assert!(outcome == GateOutcome::Inconclusive && detail.contains("attach baseline_auc in offline"), "{detail}");
        let tiny = with(json!({"auc": 1e-40, "baseline_auc": 0.1}));
        assert!(ask("min_gain: {absolute: 0.02}", &tiny).1.contains("attach a rounded value"));
    }

    proptest! {
        #[test]
        fn a_gain_of_exactly_what_is_asked_passes(old in 0u32..9000, gain in 1u32..1000) {
            let of = |n: u32| format!("0.{n:04}").parse::<f64>().unwrap();
            let dossier = with(json!({"auc": of(old + gain), "baseline_auc": of(old)}));
            let more = format!("min_gain: {{absolute: 0.{gain:04}1}}");
            prop_assert_eq!(ask(&format!("min_gain: {{absolute: {}}}", of(gain)), &dossier).0, GateOutcome::Pass);
            prop_assert_eq!(ask(&more, &dossier).0, GateOutcome::Block);
        }
    }
}
