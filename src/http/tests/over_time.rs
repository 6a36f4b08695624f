//! Results over time: segments are series of their own, and a version that only the history knows has its page.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::super::{Access, Tokens};
use super::status_view::{END, HOUR, MODEL, status_view};
use super::{AT, Server};
use crate::history::columns::{self, rows_of, settled};
use crate::history::record::series::joined;
use crate::history::record::tests::{measured, window};
use crate::history::{Options, Reader};
use driftgate_core::judge::verdict::Status;

/// A day of windows of version 1, and of version 9, which nobody registered; the segment `eu` of `amount` fails in the last one.
fn history(root: &std::path::Path) -> Reader {
    let folder = root.join("credit%20eu");
    std::fs::create_dir_all(&folder).unwrap();
    let of = |version: &'static str| {
        (0..3).map(move |at| {
            let status = if at == 0 { Status::Block } else { Status::Pass };
            let mut results = vec![measured("drift/psi", "amount", 0.1)];
            results.extend(["eu", "us"].map(|name| measured("drift/psi", &joined("amount", name), 0.2)));
            results[1].status = status;
            window(version, END - at * HOUR, results)
        })
    };
    let rows = settled(of("1").chain(of("9")).flat_map(rows_of).collect());
    let day = jiff::Timestamp::from_millisecond(END).unwrap().to_string();
    let file = std::fs::File::create(folder.join(format!("{}.parquet", &day[..10]))).unwrap();
    columns::write(MODEL, &rows, file).unwrap();
    Reader::of(Options { path: root.to_owned(), keep: Duration::from_hours(24 * 90), store: None })
}

#[test]
fn segments_are_series_of_their_own_and_a_forgotten_version_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::open(Tokens::parse("").unwrap());
    let server = Server::keeping(status_view(), access, Some(history(folder.path())));
    let segments = |more: &str| -> Vec<(Value, usize)> {
        let (code, found) = server.get(&format!("{AT}/versions/1/series?subject=amount&from=2013-01-01{more}"));
        assert_eq!(code, 200, "{found}");
        let series = found["series"].as_array().unwrap();
        series.iter().map(|of| (of["segment"].clone(), of["points"].as_array().unwrap().len())).collect()
    };
    assert_eq!(segments(""), [(Value::Null, 3)]);
    assert_eq!(segments("&segments=true"), [(Value::Null, 3), ("eu".into(), 3), ("us".into(), 3)]);
    let page = |path: &str| {
        let response = server.ask(Method::GET, &format!("/models/credit%20eu/versions/{path}"), None, "");
        (response.status().as_u16(), response.text().unwrap())
    };
    let (code, shown) = page("1/subjects/amount?from=2013-01-01");
    let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text}: {shown}"));
    assert!(code == 200 && at("drift/psi by segment over time") < at("<td>eu</td>"), "{shown}");
    assert!(at("<td>eu</td>") < at("<td>us</td>") && shown.contains("<td>1 of 3</td>"), "{shown}");

    let (code, shown) = page("9?from=2013-01-01");
    assert!(code == 200 && shown.contains("Only the history has this version"), "{code} {shown}");
    assert!(shown.contains("/versions/9/subjects/amount") && !shown.contains("<td>eu</td>"), "{shown}");
    assert_eq!((page("9/subjects/amount").0, page("10").0, page("10/subjects/amount").0), (200, 404, 404));
}
