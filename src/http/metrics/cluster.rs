//! What this process is among several.

use prometheus::proto::MetricFamily;

use super::page::{Page, Result, flag, real, seconds, set};
use crate::telemetry::metrics;
use crate::view::cluster::{ClusterView, Role};

/// The families of it.
///
/// # Errors
/// Metrics that contradict each other, which a test would have shown.
pub fn cluster(cluster: &ClusterView, now_ms: i64) -> Result<Vec<MetricFamily>> {
    let page = Page::new();
    let role = page.gauges(&metrics::CLUSTER_ROLE)?;
    for one in Role::ALL {
        set(&role, &[one.name()], flag(one == cluster.role_in_all()))?;
    }
    page.gauge(&metrics::CLUSTER_OWNER, flag(cluster.owns() || cluster.owner.is_some()))?;
    page.gauge(&metrics::CLUSTER_MEMBERS, real(cluster.members.len() as u64))?;
    if let Some(age) = cluster.copy_age_ms(now_ms) {
        page.gauge(&metrics::CLUSTER_COPY_AGE, seconds(age))?;
    }
    if let Some((_, age)) = cluster.oldest_claim(now_ms) {
        page.gauge(&metrics::CLUSTER_CLAIM_AGE, seconds(age))?;
    }
    page.gauge(&metrics::CLUSTER_LEDGER_SEQ, real(cluster.ledger_seq))?;
    page.count(&metrics::CLUSTER_TAKEOVERS, cluster.takeovers)?;
    Ok(page.families())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::cluster::{ClaimView, Member, UnitView};

    #[test]
    fn a_standby_and_an_owner_tell_what_is_known() {
        let mut seen = ClusterView {
            role: Role::Standby,
            owner: Some(Member::default()),
            members: vec![Member::default(); 3],
            copy_at_ms: Some(1000),
            units: vec![UnitView {
                claim: Some(ClaimView { seq: 7, writer: "a".into(), at_ms: 500 }),
                ..UnitView::default()
            }],
            ledger_seq: 42,
            takeovers: 2,
            ..ClusterView::default()
        };
        let text = |seen: &ClusterView| super::super::text(&cluster(seen, 3500).unwrap()).unwrap();
        for line in [
            "driftgate_cluster_role{role=\"standby\"} 1",
            "driftgate_cluster_role{role=\"owner\"} 0",
            "driftgate_cluster_owner 1",
            "driftgate_cluster_members 3",
            "driftgate_cluster_copy_age_seconds 2.5",
            "driftgate_cluster_claim_age_seconds 3",
            "driftgate_cluster_ledger_seq 42",
            "driftgate_cluster_takeovers_total 2",
        ] {
            assert!(text(&seen).lines().any(|l| l == line), "{line}\n{}", text(&seen));
        }
        (seen.owner, seen.copy_at_ms, seen.units) = (None, None, Vec::new());
        let unknown = text(&seen);
        assert!(unknown.contains("driftgate_cluster_owner 0") && !unknown.contains("_age_seconds"), "{unknown}");
        seen.role = Role::Owner;
        assert!(text(&seen).contains("driftgate_cluster_copy_age_seconds 0"));
    }
}
