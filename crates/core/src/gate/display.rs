//! The answer for people.

use std::fmt;

use super::types::{Answer, FromCopy};
use crate::policy::Millis;
use crate::promotion::types::GateOutcome;

/// A duration for people: its two largest units.
pub fn span(ms: Millis) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = ms.max(0);
    let largest = units.iter().position(|(_, size)| rest >= *size).unwrap_or(units.len() - 1);
    let mut out = String::new();
    for (unit, size) in units.iter().skip(largest).take(2) {
        let count = rest / size;
        rest %= size;
        if count > 0 || out.is_empty() {
            out.push_str(&count.to_string());
            out.push_str(unit);
        }
    }
    out
}

fn mark(outcome: GateOutcome) -> &'static str {
    match outcome {
        GateOutcome::Pass => "pass",
        GateOutcome::Warn => "warn",
        GateOutcome::Pending => "pending",
        GateOutcome::Inconclusive => "inconclusive",
        GateOutcome::Block => "block",
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} version {} to {}", self.verdict.name(), self.model, self.version, self.to)?;
        for reason in &self.reasons {
            writeln!(f, "  - {reason}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        if !self.gates.is_empty() {
            writeln!(f, "  gates:")?;
        }
        for gate in &self.gates {
            writeln!(f, "    {:<12}  {}", mark(gate.outcome), gate.detail)?;
        }
        let policy = self.policy_sha256.get(..12).unwrap_or(&self.policy_sha256);
        write!(f, "  policy {policy}, evaluated at {}", self.evaluated_at)?;
        match self.age_s {
            Some(age) => write!(f, ", oldest window ended {} ago", span(age.saturating_mul(1000))),
            None => write!(f, ", no window judged"),
        }?;
        match &self.copy {
            None => Ok(()),
            Some(FromCopy { age_ms, owner }) => {
                let age = age_ms.map_or_else(|| "not read to its end yet".to_owned(), |ms| format!("{} old", span(ms)));
                write!(f, "\n  from a copy of the registry, {age}; owner: {}", owner.as_deref().unwrap_or("none"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        const HOUR: i64 = 3_600_000;
        let texts = [0, 999, 61_000, 3 * HOUR, 50 * HOUR + 1, 86_400_000 + 1000].map(span);
        assert_eq!(texts, ["0ms", "999ms", "1m1s", "3h", "2d2h", "1d"]);
    }
}
