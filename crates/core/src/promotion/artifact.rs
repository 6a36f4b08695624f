//! The artifact's digest: as registered, as attached and as recomputed it must be one.

use super::types::{Dossier, Finding, GateOutcome, Recomputed};
use super::value::parse_sha256_hex;

/// The artifact's digest, lower-case hex: as registered, else as attached.
#[must_use]
pub fn artifact_sha256(dossier: &Dossier) -> Option<String> {
    dossier.artifact_sha256.as_deref().and_then(parse_sha256_hex).or_else(|| attached_digest(dossier))
}

fn attached_digest(dossier: &Dossier) -> Option<String> {
    dossier.evidence.get("artifact_digest")?.value.as_str().and_then(parse_sha256_hex)
}

/// The artifact's digest as registered, as attached and as recomputed must be one.
#[must_use]
pub fn judge(dossier: &Dossier) -> Finding {
    judge_as(dossier, dossier.recomputed_sha256.as_ref())
}

/// The same with what is found of its files now.
#[must_use]
pub fn judge_as(dossier: &Dossier, recomputed: Option<&Recomputed>) -> Finding {
    let gate = "evidence/artifact_digest";
    let (registered, attached) = (dossier.artifact_sha256.as_deref(), attached_digest(dossier));
    if let Some(other) = registered.filter(|text| parse_sha256_hex(text).is_none()) {
        let detail =
            format!("the artifact is registered with {other:?}, which is no SHA-256: expected 64 hexadecimal digits");
        return Finding::new(gate, GateOutcome::Block, detail);
    }
    let Some(digest) = artifact_sha256(dossier) else {
        let detail = format!(
            "the artifact has no digest: register the version with one, or attach artifact_digest{}",
            dossier.reported_only(["artifact_digest"])
        );
        return Finding::new(gate, GateOutcome::Block, detail);
    };
    if let (Some(registered), Some(attached)) = (registered, &attached)
        && !registered.eq_ignore_ascii_case(attached)
    {
        let detail = format!(
            "the artifact is mutable: registered as sha256:{registered}, attached as sha256:{attached}; register what was built \
             as a version of its own"
        );
        return Finding::new(gate, GateOutcome::Block, detail);
    }
    let how = match recomputed {
        Some(Recomputed::Known(now)) if *now == digest => "recomputed from its files".to_owned(),
        Some(Recomputed::Known(_)) => {
            // Not which: the place may be one that whoever asks may not read.
            let detail = format!(
                "the artifact is mutable: recorded as sha256:{digest}, its files now have another digest, which the daemon's log \
                 has; put the recorded files back, or register the new ones as a version of their own"
            );
            return Finding::new(gate, GateOutcome::Block, detail);
        }
        Some(Recomputed::Computing(how_far)) => return Finding::new(gate, GateOutcome::Pending, how_far.clone()),
        Some(Recomputed::Refused(why)) => {
            return Finding::new(gate, GateOutcome::Block, format!("the artifact is not recomputed: {why}"));
        }
        Some(Recomputed::Unreachable(why)) => {
            let detail = format!(
                "the artifact is recorded as sha256:{digest}, and whether its files are still so is not known: {why}; make the \
                 recorded files readable there again, then ask again"
            );
            return Finding::new(gate, GateOutcome::Inconclusive, detail);
        }
        None => "not recomputed: no place of its files is registered".to_owned(),
    };
    Finding::new(gate, GateOutcome::Pass, format!("artifact sha256:{digest}, {how}"))
}
