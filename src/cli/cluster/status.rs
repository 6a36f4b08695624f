//! `driftgate cluster status`: the processes of a cluster, each as it sees itself.

use std::fmt::Write as _;

use crate::api::{Cluster, ClusterStatus, MemberStatus};
use crate::cli::client::{Client, ServerArgs};
use crate::cli::display;
use crate::cli::exit::{self, Failure};
use crate::cli::output::Output;
use crate::cli::terminal::shown;

/// Prints the processes of a cluster: who owns the ledger, who counts which models, and how old each copy of the registry is
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The daemon at --server names the others, and each is asked at the address that it advertises. The token goes to them, too, but not without TLS where --server has it.\n\nExit codes: 0 also if there is no owner or a process does not answer, 5 the daemon cannot be reached.\n\nExamples:\n  driftgate cluster status\n  driftgate cluster status --json"
)]
pub struct Args {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

const PATH: [&str; 3] = ["api", "v1", "cluster"];

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let asked: Cluster = client.get(&PATH, &[])?;
    let status = all(asked, |advertise| client.get_of_member(advertise, &PATH));
    args.output.print(&status, || Ok(text(&status)))?;
    Ok(exit::PASS)
}

/// Every member with what it says of itself; `ask` asks at an address.
fn all(asked: Cluster, ask: impl Fn(&str) -> Result<Cluster, String>) -> ClusterStatus {
    let mut members: Vec<MemberStatus> = asked
        .members
        .iter()
        .map(|member| {
            let said = if member.instance == asked.instance { Ok(asked.clone()) } else { ask(&member.advertise) };
            // A name that leads elsewhere would be taken for a process that lives.
            let said = match said {
                Ok(other) if other.instance != member.instance => {
                    Err(format!("{} answers there", shown(&other.instance)))
                }
                said => said,
            };
            let (says, unreachable) = match said {
                Ok(says) => (Some(says), None),
                Err(why) => (None, Some(why)),
            };
            MemberStatus {
                instance: member.instance.clone(),
                advertise: member.advertise.clone(),
                host: member.host.clone(),
                owns: member.owns,
                units: member.units.clone(),
                says,
                unreachable,
            }
        })
        .collect();
    members.sort_by(|a, b| a.instance.cmp(&b.instance));
    ClusterStatus { asked, members }
}

fn text(status: &ClusterStatus) -> String {
    let ClusterStatus { asked, members } = status;
    let mut out = match &asked.owner {
        Some(owner) => format!("{} owns the ledger\n", shown(owner)),
        None => "no process owns the ledger: every gate is inconclusive\n".to_owned(),
    };
    for unit in &asked.units {
        let models = unit.models.iter().map(|model| shown(model)).collect::<Vec<_>>().join(", ");
        let owner = match &unit.owner {
            Some(owner) => format!("counted by {}", shown(owner)),
            None => "counted by no process".to_owned(),
        };
        let _ = write!(out, "unit {} ({models}): {owner}", shown(&unit.unit));
        if let Some(claim) = &unit.claim {
            let (writer, age) = (shown(&claim.writer), seconds(claim.age_ms));
            let _ = write!(out, "; last commit: {} by {writer}, {age} ago", claim.seq);
        }
        out.push('\n');
    }
    let mut table = display::table(&["instance", "role", "address", "copy", "ledger", "not read", "remark"]);
    for member in members {
        let says = member.says.as_ref();
        let cell = |of: &dyn Fn(&Cluster) -> Option<String>| says.and_then(of).unwrap_or_else(|| "–".to_owned());
        let remark = member.unreachable.as_ref().map(|why| format!("does not answer: {why}"));
        let remark = remark.or_else(|| says?.not_current.clone()).unwrap_or_default();
        let role = says.map_or(if member.owns { "assigned" } else { "?" }, |says| says.role.words());
        display::row(
            &mut table,
            [
                member.instance.clone(),
                role.to_owned(),
                member.advertise.clone(),
                cell(&|says| says.copy_age_ms.map(|ms| format!("{} old", seconds(ms)))),
                cell(&|says| Some(display::count(says.ledger_seq))),
                cell(&|says| says.lag.map(display::count)),
                remark,
            ],
        );
    }
    if members.is_empty() {
        out.push_str("the group has no members yet, or the brokers do not say\n");
    } else {
        let _ = writeln!(out, "{table}");
    }
    out
}

fn seconds(ms: i64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cluster::{Claim, Member, Unit};
    use crate::view::cluster::Role;

    fn member(instance: &str) -> Member {
        Member {
            instance: instance.into(),
            advertise: format!("http://{instance}:9464"),
            host: "/10.0.0.1".into(),
            owns: instance == "a",
            units: Vec::new(),
        }
    }

    fn claim() -> Claim {
        Claim { seq: 812, writer: "a".into(), at: "2026-01-02T00:00:00Z".into(), age_ms: 4200 }
    }

    fn cluster(instance: &str, role: Role) -> Cluster {
        let is_owner = role == Role::Owner;
        Cluster {
            instance: instance.into(),
            advertise: format!("http://{instance}:9464"),
            role,
            units: vec![
                Unit {
                    unit: "fraud".into(),
                    models: vec!["fraud".into(), "risk".into()],
                    role: Role::Standby,
                    owner: Some("a".into()),
                    claim: Some(claim()),
                },
                Unit { unit: "shop".into(), models: vec!["shop".into()], role, owner: None, claim: None },
            ],
            owner: Some("a".into()),
            members: ["c", "a", "b"].map(member).into(),
            claim: Some(claim()),
            ledger_seq: 1042,
            copy_age_ms: Some(if is_owner { 0 } else { 1350 }),
            checked_age_ms: Some(900),
            lag: is_owner.then_some(12_345),
            takeovers: u64::from(is_owner),
            session_ms: 6000,
            not_current: None,
        }
    }

    #[test]
    fn every_member_is_shown_as_it_sees_itself_and_one_that_does_not_answer_is_told() {
        let status = all(cluster("b", Role::Standby), |advertise| match advertise {
            "http://a:9464" => Ok(cluster("a", Role::Owner)),
            _ => Err("connection refused".to_owned()),
        });
        insta::assert_snapshot!(text(&status));
        let members = &serde_json::to_value(&status).unwrap()["members"];
        assert_eq!(
            (&members[0]["says"]["lag"], &members[2]["unreachable"]),
            (&12_345.into(), &"connection refused".into())
        );
    }

    #[test]
    fn another_process_at_an_address_is_not_taken_for_the_member() {
        let status = all(cluster("b", Role::Standby), |_| Ok(cluster("a", Role::Owner)));
        let of = |instance: &str| status.members.iter().find(|m| m.instance == instance).unwrap();
        assert_eq!((of("a").unreachable.as_deref(), of("c").unreachable.as_deref()), (None, Some("a answers there")));
    }

    #[test]
    fn a_cluster_without_an_owner_says_so_first() {
        let mut asked = cluster("b", Role::Standby);
        (asked.owner, asked.members, asked.units) = (None, Vec::new(), Vec::new());
        let text = text(&all(asked, |_| Err(String::new())));
        assert!(text.starts_with("no process owns the ledger: ") && text.contains("no members yet"), "{text}");
    }
}
