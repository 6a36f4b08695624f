//! The overview of forty models with three versions of a hundred features each: what is wrong stands first, and the page is small and quick.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;

use super::Server;
use super::status_view::{END, HOUR};
use crate::history::columns::{self, rows_of, settled};
use crate::history::record::tests::{measured, window};
use crate::history::{Options, Reader};
use crate::http::{Access, Tokens};
use crate::view::{Keep, ModelView, VersionView, View};
use driftgate_core::intake::Counters;
use driftgate_core::judge::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};
use driftgate_core::policy;

const MODELS: usize = 40;
const FEATURES: usize = 100;
const DAYS: i64 = 7;

fn model(at: usize) -> ModelView {
    let features = (0..FEATURES).map(|f| format!("f{f}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: model_{at:02}\nmetadata: {{team: team_{}}}\nfeatures: {{numeric: [{features}]}}\nscore: {{threshold: 0.5}}\n\
         checks:\n  drift: {{window: {{size: 7d, slide: 1d}}, rules: [psi: {{of: features, lt: 0.2}}, ks_p: {{of: features, gte: 0.01}}]}}\n  \
         slo: {{window: {{size: 1m, slide: 1m}}, stale_after: 30d, rules: [error_rate: {{lt: 0.01, unit: fraction}}]}}\n",
        at % 5
    );
    let policy = Arc::new(policy::parse(&text, Path::new("policy.yaml")).unwrap());
    let mut seen = ModelView {
        policy,
        counters: Counters::default(),
        versions: [].into(),
        waiting: (0, 0),
        join_bytes: 0,
        closed: [].into(),
        incomplete: 0,
        left_out: 0,
        refused: driftgate_core::intake::newcomers::Refused::default(),
    };
    for version in ["1", "2", "3"] {
        // One model is blocked, and one was not judged for two months.
        let worst = if at == 17 && version == "2" { Status::Block } else { Status::Pass };
        let end = if at == 5 { END - 60 * 24 * HOUR } else { END };
        let mut view = VersionView { predictions: 1000, ..VersionView::default() };
        view.push(verdict(&seen.policy.model, version, end, worst), Keep::default());
        seen.versions.insert(version.to_owned(), view);
    }
    seen
}

fn verdict(model: &str, version: &str, end: i64, worst: Status) -> Arc<Verdict> {
    let result = |f: usize, rule: &str, metric: &'static str| RuleResult {
        rule: format!("drift/{rule}"),
        metric: metric.into(),
        subject: format!("f{f}"),
        status: if f < 7 { worst } else { Status::Pass },
        value: Some(0.25),
        evidence: vec![("limit", serde_json::json!({"lt": 0.2}))].into(),
        reason: None,
        since: None,
        pending: false,
        muted: false,
        bins: Some(
            (0..10)
                .map(|bin| serde_json::json!({"le": bin, "reference": 100, "window": 90 + bin}))
                .collect::<serde_json::Value>()
                .into(),
        ),
    };
    Arc::new(Verdict {
        verdict_id: format!("{model}-{version}"),
        model: model.to_owned(),
        version: version.to_owned(),
        stage: None,
        group: "drift".into(),
        window: WindowSpan { start: end - 7 * 24 * HOUR, end, complete: true },
        status: worst,
        results: (0..FEATURES).flat_map(|f| [result(f, "psi", "psi"), result(f, "ks_p", "ks_p")]).collect(),
        counted: Counted { predictions: 1000, labels: 0 },
        policy_sha256: "p".into(),
        baseline_sha256: None,
    })
}

/// A week of every model on disk: a window a day, and of the blocked version one every quarter of an hour.
fn history(root: &Path) -> Reader {
    for at in 0..MODELS {
        let folder = root.join(format!("model_{at:02}"));
        std::fs::create_dir_all(&folder).unwrap();
        for day in 0..DAYS {
            let end = END - day * 24 * HOUR;
            let of = |version: &str, end: i64| {
                let results = (0..FEATURES)
                    .flat_map(|f| ["drift/psi", "drift/ks_p"].map(|rule| measured(rule, &format!("f{f}"), 0.1)));
                window(version, end, results.collect())
            };
            let mut windows: Vec<_> = ["1", "2", "3"].map(|version| of(version, end)).into();
            if at == 17 {
                let midnight = end - end.rem_euclid(24 * HOUR);
                windows.extend((0..96).map(|quarter| of("2", midnight + quarter * HOUR / 4)));
            }
            let rows = settled(windows.into_iter().flat_map(rows_of).collect());
            let name = jiff::Timestamp::from_millisecond(end).unwrap().to_string();
            let file = std::fs::File::create(folder.join(format!("{}.parquet", &name[..10]))).unwrap();
            columns::write(&format!("model_{at:02}"), &rows, file).unwrap();
        }
    }
    Reader::of(Options { path: root.to_owned(), keep: Duration::from_hours(24 * 90), store: None })
}

#[test]
fn forty_models_of_three_versions_are_shown_quickly_the_worst_first() {
    let folder = tempfile::tempdir().unwrap();
    let models = (0..MODELS).map(model).map(|seen| (seen.policy.model.clone(), seen)).collect();
    let view = View { started: true, models, ..View::default() };
    let server = Server::keeping(view, Access::open(Tokens::parse("").unwrap()), Some(history(folder.path())));
    let page = |path: &str| {
        let began = Instant::now();
        let response = server.ask(Method::GET, path, None, "");
        let (status, text) = (response.status().as_u16(), response.text().unwrap());
        println!("{path}: {status}, {} bytes in {:?}", text.len(), began.elapsed());
        (status, text)
    };
    let rows =
        |text: &str| text.matches("<span class=\"state ").count() - text.matches("<li><span class=\"state ").count();
    let (_, first) = page("/");
    page("/");
    assert!(first.len() < 300_000, "{}", first.len());
    assert_eq!(rows(&first), 20);
    // What is blocked is the first row, with its link, its drifted features and its week.
    let row = first.split("<tbody>").nth(1).unwrap().split("</tr>").next().unwrap();
    for part in
        ["✕ block", "href=\"/models/model_17/versions/2\"", ">7 of 100<", "<svg class=\"bars\"", "10s ago", "team_2"]
    {
        assert!(row.contains(part), "{part}: {row}");
    }
    assert!(first.contains("block 1</a>") && first.contains("stale 3</a>") && first.contains(">101–120<"), "{first}");
    let (_, stale) = page("/?status=stale");
    assert!(rows(&stale) == 3 && stale.contains("<tr class=\"stale\">") && stale.contains("60d ago"), "{stale}");
    let (_, found) = page("/?q=MODEL_17+team_2&status=block&refresh=30");
    assert!(rows(&found) == 1 && found.contains("value=\"MODEL_17 team_2\""), "{found}");
    assert_eq!(rows(&page("/?page=6").1), 20);
    assert_eq!(rows(&page("/?team=team_3&status=&stage=none&page=2").1), 4);
    assert!(page("/?q=%3Cscript%3E").1.contains("No version is like this"));
    for (wrong, why) in [
        ("status=bad", "it can be block"),
        ("page=0", "the first is 1"),
        ("refresh=1", "5 to 3600"),
        ("x=1", "unknown field"),
    ] {
        let (status, text) = page(&format!("/?{wrong}"));
        assert!(status == 400 && text.contains(why), "{wrong}: {text}");
    }
    // A browser reads an error as a page.
    let asked = server.client.get(format!("{}/?page=0", server.base)).header("accept", "text/html").send().unwrap();
    assert_eq!(asked.status(), 400);
    assert!(asked.text().unwrap().starts_with("<!doctype html>"));
    // What cannot be current says so.
    server.view.write().readiness.hold(crate::view::readiness::NotReady::Brokers { error: "no broker answers".into() });
    let (_, gone) = page("/");
    assert!(gone.contains("no broker answers") && gone.matches("<tr class=\"stale\">").count() == 20, "{gone}");
    let (status, one) = page("/models/model_17/versions/2");
    assert!(status == 200 && one.len() < 300_000 && one.contains("drift/psi"), "{}", one.len());
    assert_eq!(one.matches("<path class=\"value\"").count(), 36, "so many features have their values over time");
    let (_, found) = page("/models/model_17/versions/2?sort=near&find=f9");
    assert_eq!(found.matches("<path class=\"value\"").count(), 11, "f9, and f90 to f99");
    assert_eq!(page("/models/model_17/versions/2?sort=size").0, 400);
}
