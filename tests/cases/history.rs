//! Results over time: what the daemon judged is there after it was killed, each window once, in files that others read.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::broker::{Daemon, wait_for};
use crate::cluster::free_port;
use crate::moto::Moto;
use crate::service::{CANARY, MINUTE, Service, serving};
use crate::store;

/// Minutes of a day.
const DAY: i64 = 1440;
/// Streams here begin so many days earlier than those of others.
const BACK: i64 = 10;

fn service(model: &str, extra: &str) -> Service {
    let service = Service::new(model, "", CANARY, extra);
    Service { start: service.start - BACK * DAY * MINUTE, ..service }
}

/// Publishes the first three minutes of some days before now.
fn days(service: &Service, days: impl IntoIterator<Item = i64>) {
    for day in days {
        service.minutes((BACK + day) * DAY, (BACK + day) * DAY + 3, &[serving("1", "dev")]);
    }
}

fn get(service: &Service, daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.get(&format!("/api/v1/models/{}/versions/1/{path}", service.model));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Ends and values of a series, which is the only one of its rule.
fn points(service: &Service, daemon: &Daemon, rule: &str) -> Vec<(String, f64)> {
    let path = format!("/api/v1/models/{}/versions/1/series?rule={rule}&from=2020-01-01", service.model);
    let (status, body) = daemon.get(&path);
    if status != 200 {
        return Vec::new();
    }
    let found: Value = serde_json::from_str(&body).unwrap();
    let series = found["series"].as_array().unwrap_or_else(|| panic!("{body}"));
    assert!(series.len() <= 1, "{body}");
    let points = series.iter().flat_map(|s| s["points"].as_array().unwrap());
    points.map(|p| (p["end"].as_str().unwrap().to_owned(), p["value"].as_f64().unwrap())).collect()
}

#[test]
fn what_was_judged_is_there_after_a_kill_each_window_once_and_in_files_that_others_read() {
    let service = service("series", "");
    let daemon = Daemon::start(&service.config(), &[]);
    days(&service, -9..-5);
    wait_for("three days", || (points(&service, &daemon, "slo/p95").len() >= 9).then_some(()));
    daemon.signal("KILL");
    drop(daemon);
    // The last record that it wrote was not whole.
    let folder = service.folder.path("state/history/series");
    let open = fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "open"));
    let newest = open.max().unwrap();
    fs::write(&newest, [fs::read(&newest).unwrap(), vec![200, 0, 0, 0, 1, 2, 3]].concat()).unwrap();

    let daemon = Daemon::start(&service.config(), &[]);
    days(&service, -5..0);
    // Eight days are over; the last minute of the ninth waits for the next event.
    let p95 = wait_for("all days", || Some(points(&service, &daemon, "slo/p95")).filter(|found| found.len() >= 26));
    assert_eq!(p95.len(), 26, "{p95:?}");
    assert!(p95.windows(2).all(|pair| pair[0].0 < pair[1].0), "each window once: {p95:?}");
    let start = |day: i64| {
        jiff::Timestamp::from_millisecond(service.start + ((BACK + day) * DAY + 1) * MINUTE).unwrap().to_string()
    };
    assert_eq!(p95[0].0, start(-9));
    let psi = points(&service, &daemon, "drift/psi");
    assert_eq!(psi.len(), 16, "{psi:?}");
    assert!(daemon.log().contains("was not whole and is cut off"), "{}", daemon.log());

    // Also of windows that pass there is a distribution, beside that of the snapshot.
    let found = get(&service, &daemon, "distributions?subject=x&from=2020-01-01");
    let all = found["distributions"].as_array().unwrap();
    assert_eq!(all.len(), 16);
    for of in all {
        assert_eq!(of["status"], "pass", "{of}");
        let sum = |key: &str| of["bins"].as_array().unwrap().iter().map(|bin| bin[key].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("reference"), sum("window")), (1000, of["n"].as_u64().unwrap()));
    }
    assert_eq!(found["every"], 1);
    let few = get(&service, &daemon, "distributions?subject=x&from=2020-01-01&most=4");
    let left = few["distributions"].as_array().unwrap();
    // Sixteen windows; those that lie in two files for a moment are counted twice.
    let every = few["every"].as_u64().unwrap();
    assert!((4..=8).contains(&every) && left.len() >= 4 && left.iter().all(|of| all.contains(of)), "{few}");
    // A part of the time.
    let some = get(&service, &daemon, &format!("series?rule=slo/p95&from={}&to={}", start(-8), start(-7)));
    assert_eq!(some["series"][0]["points"].as_array().unwrap().len(), 3);
    for wrong in [
        "series?from=yesterday",
        "series?format=xml",
        "series?from=2020-01-02&to=2020-01-01",
        "distributions",
        "distributions?subject=x&most=0",
    ] {
        assert_eq!(daemon.get(&format!("/api/v1/models/series/versions/1/{wrong}")).0, 400, "{wrong}");
    }
    assert_eq!(daemon.get("/api/v1/models/series/versions/9/series").0, 404);
    is_exported(&service, &daemon, &folder);
    is_shown(&service, &daemon);
}

/// The pages: what they show stands in them as text and tables too, and they have no script but the server's own.
fn is_shown(service: &Service, daemon: &Daemon) {
    let page = |path: &str| {
        let (status, page) = daemon.get(&format!("/models/series/versions/1{path}"));
        assert_eq!(status, 200, "{page}");
        assert!(page.starts_with("<!doctype html>") && page.matches("<script").count() == 1, "{page}");
        page
    };
    let feature = page("/subjects/x?from=2020-01-01");
    for part in [
        "<title>x of series 1",
        "<h2>drift/psi <span class=\"pass\">",
        "<span class=\"soft\">lt 0.2, warn 0.1</span>",
        "stroke=\"var(--window)\"",
        "stroke=\"var(--block)\"",
        "Distribution of the window",
        "<td>≤ ",
        "1000 training rows",
        "name=\"from\" value=\"2020-01-01T00:00\"",
    ] {
        assert!(feature.contains(part), "{part}: {feature}");
    }
    assert_eq!(feature.matches("#distribution\">").count(), 16, "a row per window: {feature}");
    // The link of the first window, which is the last row, shows that one.
    let link = feature.rsplit("<a href=\"").find(|link| link.contains("#distribution")).unwrap();
    let link = link.split("#distribution").next().unwrap().replace("&amp;", "&");
    let (_, first) = daemon.get(&link);
    let end = link.rsplit("window=").next().unwrap().replace('T', " ");
    let end = end.trim_end_matches('Z').trim_end_matches(":00");
    assert!(first.contains(&format!(" to {end}</h2>")), "{end}: {first}");
    assert!(page("/subjects/%3Cb%3E").contains("&lt;b&gt;"), "a name is text");
    assert_eq!(daemon.get("/models/series/versions/1/subjects/x?from=yesterday").0, 400);
    assert_eq!(daemon.get("/models/series/versions/7").0, 404);
    let version = page("");
    for part in
        ["<h2>drift ", "<h2>fairness ", "<h2>slo ", "class=\"spark\"", "href=\"/models/series/versions/1/subjects/x\""]
    {
        assert!(version.contains(part), "{part}: {version}");
    }
    // A block, and what it says, stands on the page of the version.
    service.shifted(BACK * DAY, BACK * DAY + 3, &[serving("1", "dev")], 50);
    days(service, [1]);
    let version = wait_for("the block", || Some(page("")).filter(|page| page.contains("<td>block</td>")));
    assert!(version.contains("drift/psi x") && version.contains(" block: "), "{version}");
    assert!(page("/subjects/x").contains("<circle"), "a window that does not pass is a point");
}

/// Days that are over become Parquet files, and all of them one file, by the daemon and without it.
fn is_exported(service: &Service, daemon: &Daemon, folder: &std::path::Path) {
    let parquet = || {
        let files = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        files.filter(|p| p.extension().is_some_and(|e| e == "parquet")).count()
    };
    wait_for("days that are over", || (parquet() >= 4).then_some(()));
    let bytes = wait_for("a figure", || daemon.metric("driftgate_history_bytes").filter(|bytes| *bytes > 0.0));
    assert!(bytes < 1e6, "{bytes}");
    assert_eq!(daemon.metric("driftgate_history_write_failures_total"), Some(0.0));
    let of = "history export --model series --version 1 --from 2020-01-01 --rule slo/p95";
    let out = |name: &str| service.folder.path(name).display().to_string();
    service.run(daemon, "op", &format!("{of} --from 2026-01-01 --out {}", out("never.csv"))).exits(2);
    let asked = of.replace("--from 2020-01-01", &format!("--from {}", start_of(service)));
    service.run(daemon, "op", &format!("{asked} --out {}", out("one.csv"))).exits(0).prints("26 rows");
    let csv = service.folder.read("one.csv");
    assert_eq!(csv.lines().count(), 27, "{csv}");
    assert!(csv.lines().nth(1).unwrap().contains(",slo/p95,latency_p95_ms,"), "{csv}");
    let config = service.config().display().to_string();
    service.folder.driftgate(&format!("{asked} --config {config} --out {}", out("two.csv"))).exits(0);
    assert_eq!(service.folder.read("two.csv"), csv);
    service.folder.driftgate(&format!("{asked} --config {config} --out {}", out("one.parquet"))).exits(0);
    assert!(fs::read(service.folder.path("one.parquet")).unwrap().starts_with(b"PAR1"));
    service.folder.driftgate(&format!("{asked} --config {config} --out {}", out("one.xlsx"))).exits(2).says(".parquet");
}

/// The day before the first.
fn start_of(service: &Service) -> String {
    jiff::Timestamp::from_millisecond(service.start).unwrap().to_string()
}

#[test]
fn a_history_that_cannot_be_written_is_told_first_and_stops_nothing() {
    let service = service("unkept", "history: {path: elsewhere, keep: 30d}\n");
    fs::create_dir_all(service.folder.path("elsewhere")).unwrap();
    service.folder.write("elsewhere/unkept", "a file where the model's folder would be");
    let daemon = Daemon::start(&service.config(), &[]);
    days(&service, -3..0);
    let judged = || daemon.get("/api/v1/models/unkept/versions/1/verdicts?group=slo").1;
    wait_for("verdicts", || judged().contains("slo/p95").then_some(()));
    let first = || service.run(&daemon, "op", "status").stdout.lines().next().unwrap_or_default().to_owned();
    wait_for("the first line", || first().contains("results over time are not kept").then_some(()));
    assert!(daemon.metric("driftgate_history_lag_seconds").unwrap() > 0.0);
    assert_eq!(daemon.log().matches("the history is not written").count(), 1);
    fs::remove_file(service.folder.path("elsewhere/unkept")).unwrap();
    let found = wait_for("what waited", || Some(points(&service, &daemon, "slo/p95")).filter(|found| found.len() >= 8));
    assert_eq!(found.len(), 8);
    wait_for("no lag", || daemon.metric("driftgate_history_lag_seconds").filter(|lag| *lag == 0.0));
}

#[test]
fn nothing_is_kept_where_the_configuration_says_so() {
    let service = service("unhistoric", "history: none\n");
    let daemon = Daemon::start(&service.config(), &[]);
    days(&service, -2..0);
    let judged = || daemon.get("/api/v1/models/unhistoric/versions/1/verdicts?group=slo").1;
    wait_for("verdicts", || judged().contains("slo/p95").then_some(()));
    let (status, body) = daemon.get("/api/v1/models/unhistoric/versions/1/series");
    assert!(status == 404 && body.contains("history: none"), "{body}");
    assert!(!service.folder.path("state/history").exists());
}

/// Days of a model that are in a server's bucket.
fn days_there(moto: &Moto, model: &str) -> usize {
    let url = format!("{}/lake?list-type=2&prefix=history/{model}/", moto.url());
    let listed = reqwest::blocking::get(url).unwrap().text().unwrap();
    listed.matches(".parquet</Key>").count()
}

/// The configuration of a process of a cluster that keeps its history in the store.
fn member(service: &Service, name: &str) -> PathBuf {
    let port = free_port();
    let config = service.folder.read("driftgate.yaml");
    let config = config
        .replace("path: state,", &format!("path: state-{name},"))
        .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    service.folder.write(
        &format!("{name}.yaml"),
        format!(
            "{config}registry: {{embedded: {{path: {name}.db}}}}\nhistory: {{store: \"s3://lake/history\"}}\ncluster:\n  instance: {name}\n\
             \x20 session: 6s\n  commit: 1s\n  advertise: \"http://127.0.0.1:{port}\"\n\
             \x20 topics: {{prefix: \"{}.in.\", replication: 1}}\n  audit_key: audit.key\n",
            service.predictions
        ),
    );
    service.folder.path(&format!("{name}.yaml"))
}

#[test]
fn a_process_of_a_cluster_that_takes_over_has_the_days_that_lie_in_the_store() {
    let moto = Moto::start();
    let service = service("lake", "");
    service.folder.write_audit_key("audit.key");
    let (a, b) = (member(&service, "a"), member(&service, "b"));
    service.folder.driftgate("cluster topics --create --config a.yaml").exits(0);
    let first = Daemon::start(&a, &store::variables(moto.url()));
    days(&service, -9..0);
    // Of nine days five are over; what is appended to stays in the folder.
    wait_for("days in the store", || (days_there(&moto, "lake") >= 5).then_some(()));
    let second = Daemon::start(&b, &store::variables(moto.url()));
    let fetched = || fs::read_dir(service.folder.path("state-b/history/lake")).map_or(0, Iterator::count);
    wait_for("days in the folder of the other", || (fetched() >= 5).then_some(()));
    let stored = 15;
    // Who does not write asks the one who does, and that one may judge on meanwhile.
    let before = wait_for("an answer of the other", || {
        let own = points(&service, &first, "slo/p95");
        (own.len() >= stored && points(&service, &second, "slo/p95") == own).then_some(own)
    });
    first.signal("KILL");
    drop(first);
    // Until then it leads to the one that is gone.
    wait_for("the takeover", || second.log().contains("this process writes the ledger").then_some(()));
    days(&service, 0..3);
    let after = wait_for("windows of both", || {
        let found = points(&service, &second, "slo/p95");
        (found.len() >= stored + 7).then_some(found)
    });
    assert!(after.windows(2).all(|pair| pair[0].0 < pair[1].0), "each window once: {after:?}");
    assert_eq!(after[..stored], before[..stored]);
    assert_eq!(second.stop(), Some(0));
}
