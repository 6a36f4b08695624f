//! Tests of what is gone by, and of the roles.

use super::*;

fn standby() -> ClusterView {
    let owner = Member {
        instance: "a".into(),
        advertise: "http://a:1".into(),
        host: "/10.0.0.1".into(),
        owns: true,
        units: vec![],
    };
    ClusterView {
        instance: "b".into(),
        session: Duration::from_secs(6),
        owner: Some(owner),
        copy_at_ms: Some(100_000),
        checked_at_ms: Some(110_000),
        ..ClusterView::default()
    }
}

#[test]
fn a_copy_is_gone_by_only_while_it_is_young_and_somebody_owns() {
    let view = standby();
    assert_eq!((view.not_current(None, 116_000), view.copy_age_ms(116_000)), (None, Some(16_000)));
    assert_eq!(view.not_current(None, 116_001), Some(NotCurrent::Old { age_ms: 16_001, most_ms: 16_000 }));
    // A clock that was set back makes no copy newer than now.
    assert_eq!(view.copy_age_ms(0), Some(0));
    let orphan = ClusterView { owner: None, ..view.clone() };
    assert_eq!(orphan.not_current(None, 100_000), Some(NotCurrent::NoOwner));
    let new = ClusterView { copy_at_ms: None, ..view.clone() };
    assert_eq!((new.not_current(None, 0), new.is_ready()), (Some(NotCurrent::NotReached), false));
    let alone = ClusterView { checked_at_ms: None, ..view.clone() };
    assert_eq!(alone.not_current(None, 100_000), Some(NotCurrent::NotAsked));
    let owner = ClusterView { role: Role::Owner, owner: None, copy_at_ms: None, ..view };
    assert_eq!(owner.not_current(None, 116_000), None);
    // Cut off from the brokers, or stopped for a while, it may be no owner any more.
    assert_eq!(owner.not_current(None, 116_001), Some(NotCurrent::NotConfirmed { age_ms: 6_001, most_ms: 6_000 }));
    assert_eq!((owner.copy_age_ms(0), owner.is_ready()), (Some(0), true));
    // What it refuses counts for less than the session, which runs from a heartbeat that may be older; its age is no longer nothing then.
    assert_eq!((owner.may_be_replaced(114_000), owner.copy_age_ms(114_000)), (None, Some(0)));
    let replaced = Some(NotCurrent::NotConfirmed { age_ms: 4_001, most_ms: 4_000 });
    assert_eq!((owner.may_be_replaced(114_001), owner.copy_age_ms(114_001)), (replaced, Some(4_001)));
}

#[test]
fn who_takes_over_or_gives_back_goes_by_its_copy_as_a_standby_does() {
    for role in [Role::Standby, Role::TakingOver, Role::GivingBack] {
        let view = ClusterView { role, ..standby() };
        assert_eq!(view.not_current(None, 100_000), None);
        assert_eq!(ClusterView { owner: None, ..view }.not_current(None, 100_000), Some(NotCurrent::NoOwner));
    }
}

#[test]
fn nobody_is_sent_to_oneself_or_nowhere() {
    let view = standby();
    assert_eq!(view.elsewhere(), Some("http://a:1"));
    assert_eq!(ClusterView { instance: "a".into(), ..view.clone() }.elsewhere(), None);
    let nameless = Member { advertise: String::new(), ..view.owner.clone().unwrap() };
    assert_eq!(ClusterView { owner: Some(nameless), ..view }.elsewhere(), None);
}

#[test]
fn becoming_the_owner_is_counted_once() {
    let mut view = standby();
    for role in [Role::Standby, Role::TakingOver, Role::Owner, Role::Owner, Role::GivingBack, Role::Standby] {
        view.change_role(role);
    }
    assert_eq!((view.takeovers, view.role), (1, Role::Standby));
    view.change_role(Role::Owner);
    assert_eq!(view.takeovers, 2);
    view.units = vec![unit("u", &["m"])];
    for role in [Role::TakingOver, Role::Owner, Role::Owner] {
        view.change_role_of("u", role);
    }
    view.change_role_of("nobody's", Role::Owner);
    assert_eq!((view.takeovers, view.counts(), view.role_in_all()), (3, true, Role::Owner));
    view.role = Role::Standby;
    assert_eq!(view.role_in_all(), Role::Counting);
    view.units[0].role = Role::TakingOver;
    assert_eq!((view.counts(), view.role_in_all()), (false, Role::TakingOver));
}

fn unit(name: &str, models: &[&str]) -> UnitView {
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    UnitView { name: name.into(), models, ..UnitView::default() }
}

#[test]
fn a_model_is_decided_on_only_while_somebody_counts_its_unit() {
    let mut view = ClusterView { checked_at_ms: Some(100_000), units: vec![unit("u", &["m", "n"])], ..standby() };
    let not_counted = Some(NotCurrent::NotCounted { unit: "u".into() });
    let of = |view: &ClusterView, model| view.not_current(Some(model), 100_000);
    assert_eq!((of(&view, "m"), of(&view, "n"), of(&view, "other")), (not_counted.clone(), not_counted, None));
    assert_eq!(view.not_current(None, 100_000), None);
    view.units[0].owner = view.owner.clone();
    assert_eq!(of(&view, "m"), None);
    // Who counts it is as strict as an owner: another process may do so since.
    (view.units[0].owner, view.units[0].role) = (None, Role::Owner);
    assert_eq!(of(&view, "m"), None);
    let late = view.not_current(Some("m"), 106_001);
    assert_eq!(late, Some(NotCurrent::NotConfirmed { age_ms: 6_001, most_ms: 6_000 }));
    // Counting alone is no ledger.
    view.owner = None;
    assert_eq!(of(&view, "m"), Some(NotCurrent::NoOwner));
}

#[test]
fn the_oldest_commit_of_all_units_is_told() {
    let claimed = |name: &str, at_ms| UnitView {
        claim: Some(ClaimView { seq: 1, writer: "a".into(), at_ms }),
        ..unit(name, &[])
    };
    let view = ClusterView { units: vec![claimed("u", 900), claimed("v", 400), unit("w", &[])], ..standby() };
    assert_eq!(view.oldest_claim(1000).map(|(unit, age)| (unit.name.as_str(), age)), Some(("v", 600)));
    assert_eq!(standby().oldest_claim(1000), None);
}

#[test]
fn roles_have_one_name_each() {
    for role in Role::ALL {
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.name()));
    }
}
