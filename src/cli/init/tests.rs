//! Drafts from snapshots of several kinds: each is a valid policy that can read its own snapshot, without advice against it.

use std::fmt::Write as _;

use super::*;
use crate::snapshot;
use driftgate_core::policy::lint::lint;
use driftgate_core::policy::{Policy, parse};

fn args(snapshot: &Path) -> Args {
    Args {
        events: sources::Events::default(),
        snapshot: snapshot.to_owned(),
        model: None,
        task: What::Binary,
        score: None,
        label: None,
        positive: None,
        id: Vec::new(),
        slo: false,
        promotion: false,
        out: None,
        force: false,
    }
}

/// A table of 200 rows: a header, and what stands in row i.
fn csv(header: &str, row: impl Fn(usize) -> String) -> String {
    (0..200).fold(format!("{header}\n"), |mut text, i| {
        let _ = writeln!(text, "{}", row(i));
        text
    })
}

fn share(i: usize) -> f64 {
    f64::from(u32::try_from(i % 10).unwrap()) / 10.0
}

fn third(i: usize) -> f64 {
    f64::from(u32::try_from(i).unwrap()) / 3.0
}

/// The draft of a CSV text, as text and as policy; its baseline must be buildable.
fn drafted(text: &str, change: impl FnOnce(&mut Args)) -> (String, Policy) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train set v1.csv");
    std::fs::write(&path, text).unwrap();
    let out = folder.path().join("policy.yaml");
    let mut args = args(&path);
    change(&mut args);
    args.out = Some(out.clone());
    assert_eq!(run(&args).map_err(|f| f.error).unwrap(), exit::PASS);
    let draft = std::fs::read_to_string(&out).unwrap();
    let policy = parse(&draft, &out).unwrap_or_else(|e| panic!("{e}\n{draft}"));
    let location = snapshot::location_for(&policy, "1").unwrap().unwrap();
    assert_eq!(location, "train set v1.csv");
    assert_eq!(policy.baseline.snapshot.as_deref(), Some("train set v{version}.csv"));
    snapshot::load(&policy, "1", &location).unwrap_or_else(|e| panic!("{e}\n{draft}"));
    (draft, policy)
}

fn refused(text: &str, change: impl FnOnce(&mut Args)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let mut args = args(&path);
    change(&mut args);
    let failure = run(&args).unwrap_err();
    assert_eq!(failure.code, exit::INPUT);
    format!("{:#}", failure.error)
}

#[test]
fn a_usual_snapshot() {
    let header = "transaction_id,amount,attempts,age,country,channel,constant,empty,score,label";
    let text = csv(header, |i| {
        format!(
            "t{i},{},{},{},{},{},7,,{},{}",
            third(i),
            i % 4,
            18 + i % 50,
            ["DE", "US", "FR"][i % 3],
            ["web", "app"][i % 2],
            share(i),
            i % 2
        )
    });
    let (draft, policy) = drafted(&text, |_| {});
    assert_eq!(policy.model, "train_set");
    assert_eq!(policy.features.numeric, ["amount", "age"], "{draft}");
    assert_eq!(policy.features.categorical, ["attempts", "country", "channel"]);
    assert_eq!(policy.baseline.score_column.as_deref(), Some("score"));
    assert_eq!(policy.baseline.label_column.as_deref(), Some("label"));
    let segments: Vec<&str> = policy.segments.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(segments, ["channel", "country", "attempts"], "the fewest values first");
    for comment in [
        "# - transaction_id: all values differ: it names rows",
        "# - constant: is constant",
        "# - empty: has no values",
        "- amount  # 0 to 66.33, 200 values",
    ] {
        assert!(draft.contains(comment), "{comment}\n{draft}");
    }
    assert_eq!(lint(&policy), [], "{draft}");
    let groups: Vec<&str> = policy.groups.iter().map(|g| g.name.as_str()).collect();
    assert_eq!((groups, policy.transitions.len(), policy.rollback.is_none()), (vec!["drift", "fairness"], 0, true));
    let (draft, policy) = drafted(&text, |args| (args.slo, args.promotion) = (true, true));
    assert_eq!(lint(&policy), [], "{draft}");
    assert_eq!((policy.groups.len(), policy.transitions.len()), (3, 2));
    assert_eq!(policy.rollback.as_ref().map(|r| r.triggers.len()), Some(2));
    let (draft, policy) = drafted(&text, |args| args.promotion = true);
    assert_eq!((policy.groups.len(), policy.transitions.len(), policy.rollback.is_none()), (2, 2, true), "{draft}");
}

#[test]
fn a_snapshot_without_scores_and_labels() {
    let (draft, policy) = drafted(&csv("a,b", |i| format!("{},{}", i % 77, ["x", "y"][i % 2])), |_| {});
    assert!(policy.segments.is_empty() && policy.groups.iter().all(|g| g.name != "fairness"), "{draft}");
    assert!(draft.contains("# segments: [b]") && draft.contains("no column of scores or labels was found"), "{draft}");
    assert!(lint(&policy).iter().all(|l| l.message.contains("fairness")), "{:?}", lint(&policy));
}

#[test]
fn labels_that_are_texts_are_mapped() {
    let row = |values: [&'static str; 2]| move |i: usize| format!("{},{},{}", i % 77, share(i), values[i % 2]);
    let (draft, policy) = drafted(
        &csv("a,g,Probability,OUTCOME", |i| {
            format!("{},{},{},{}", i % 77, ["x", "z"][i / 2 % 2], share(i), ["settled", "chargeback"][i % 2])
        }),
        |_| {},
    );
    let values = &policy.labels.as_ref().unwrap().values;
    assert_eq!((values.get("chargeback"), values.get("settled")), (Some(&true), Some(&false)), "{draft}");
    assert!(!draft.contains("which value is 1"), "{draft}");
    let (draft, _) = drafted(&csv("a,score,y", row(["blue", "red"])), |_| {});
    assert!(draft.contains("# unclear: which label means 1: \"blue\", \"red\"; say it with --positive"), "{draft}");
    let (draft, _) = drafted(&csv("a,score,y", row(["blue", "red"])), |args| args.positive = Some("blue".into()));
    assert!(!draft.contains("unclear"), "{draft}");
    let text =
        csv("a,g,score,y", |i| format!("{},{},{},{}", i % 77, ["x", "z"][i / 2 % 2], share(i), ["blue", "red"][i % 2]));
    let (draft, policy) = drafted(&text, |args| args.positive = Some("blue".into()));
    let values = &policy.labels.as_ref().unwrap().values;
    assert_eq!((values.get("blue"), values.get("red")), (Some(&true), Some(&false)), "{draft}");
    let message = refused(&text, |args| args.positive = Some("green".into()));
    assert!(message.contains("--positive \"green\": the labels are \"blue\", \"red\""), "{message}");
}

#[test]
fn what_is_said_wins_over_names() {
    let text =
        csv("row,a,score,p,label,bought", |i| format!("{},{},{},{},{},{}", i % 90, i % 77, i, share(i), i, i % 2));
    let (draft, policy) = drafted(&text, |args| {
        args.model = Some("fraud".into());
        args.score = Some("p".into());
        args.label = Some("bought".into());
        args.id = vec!["row".into()];
    });
    assert_eq!(
        (policy.model.as_str(), policy.features.numeric.as_slice()),
        ("fraud", &["a".to_owned()][..]),
        "{draft}"
    );
    assert_eq!(policy.baseline.score_column.as_deref(), Some("p"));
    assert_eq!(policy.baseline.label_column.as_deref(), Some("bought"));
    assert!(draft.contains("# - row: named as an id") && draft.contains("# - score: by its name an output"), "{draft}");
    // What cannot be meant is refused, with a reason.
    let message = refused(&text, |args| args.score = Some("label".into()));
    assert!(message.contains("--score \"label\": its numbers are not from 0 to 1"), "{message}");
    let message = refused(&text, |args| args.label = Some("a".into()));
    assert!(message.contains("--label \"a\": 77 values differ; two values are needed"), "{message}");
    let message = refused(&text, |args| args.id = vec!["none".into()]);
    assert!(message.contains("--id: there is no column \"none\"; there are \"row\", \"a\""), "{message}");
    let message = refused(&text, |args| args.model = Some("a/b".into()));
    assert!(message.contains("the draft would not be valid") && message.contains("without slashes"), "{message}");
}

#[test]
fn names_of_every_kind_stay_names() {
    let header = "\"on\",\"a: b # c\",\"x*y\",\"1.10\",\"features\",\"Größe\",\"it's \"\"q\"\"\",\"null\"";
    let text = csv(header, |i| format!("{0},{0},{1},{0},{0},{0},{1},{1}", i % 77, i % 3));
    let (draft, policy) = drafted(&text, |_| {});
    assert_eq!(policy.features.numeric, ["on", "a: b # c", "1.10", "Größe"], "{draft}");
    assert_eq!(policy.features.categorical, ["x*y", "it's \"q\"", "null"], "{draft}");
}

#[test]
fn the_flights() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights/train_v1.parquet");
    let out = path.with_file_name("draft-that-is-not-written.yaml");
    let text = super::draft(&args(&path), Some(&out)).unwrap();
    let policy = parse(&text, &out).unwrap();
    assert!(
        policy.features.numeric.iter().any(|f| f == "temp")
            && policy.features.categorical.iter().any(|f| f == "carrier"),
        "{text}"
    );
    assert!(policy.segments.iter().any(|s| s.name == "origin"), "{text}");
    assert_eq!(lint(&policy), []);
    let location = snapshot::location_for(&policy, "1").unwrap().unwrap();
    assert_eq!(
        (location.as_str(), policy.baseline.snapshot.as_deref()),
        ("train_v1.parquet", Some("train_v{version}.parquet"))
    );
    snapshot::load(&policy, "1", &location).unwrap();
}

#[test]
fn nothing_is_overwritten_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let (snapshot, out) = (folder.path().join("t.csv"), folder.path().join("p.yaml"));
    std::fs::write(&snapshot, csv("a", |i| (i % 77).to_string())).unwrap();
    std::fs::write(&out, "mine").unwrap();
    let with = |force| run(&Args { out: Some(out.clone()), force, ..args(&snapshot) });
    let failure = with(false).unwrap_err();
    assert!(failure.code == exit::INPUT && failure.error.to_string().contains("overwrite it with --force"));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
    assert_eq!(with(true).unwrap(), exit::PASS);
    assert!(std::fs::read_to_string(&out).unwrap().starts_with("# Drafted from \"t.csv\" (200 rows)"));
}

#[test]
fn what_has_no_features_is_refused() {
    let message = refused(&csv("label,k", |i| format!("{},1", i % 2)), |_| {});
    assert!(message.contains("none of its columns can be a feature (\"k\": is constant)"), "{message}");
    assert!(refused("", |_| {}).contains("none of its columns can be a feature"));
    assert!(refused("a", |args| args.snapshot = "none.csv".into()).contains("none.csv"));
}

/// Profiles a table and gives every column its part; `answer` is what a person says.
fn parts(
    header: &str,
    row: impl Fn(usize) -> String,
    answer: Option<usize>,
) -> (Vec<String>, Option<String>, Option<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, csv(header, row)).unwrap();
    let profile = profile::profile(&path).unwrap();
    let mut asked = Vec::new();
    let mut ask = |question: &str, _: &[String]| {
        asked.push(question.to_owned());
        answer
    };
    let roles = Roles::of(&profile, &Wishes::default(), &mut ask).unwrap();
    let features = roles.numeric.iter().chain(&roles.categorical).map(|c| c.name.clone()).collect();
    let unclear = if answer.is_some() { asked } else { roles.unclear };
    (features, roles.score.map(|c| c.name.clone()), roles.label.map(|l| l.column), unclear)
}

#[test]
fn labels_and_scores_of_real_tables_are_found() {
    let yes = |i: usize| ["no", "yes"][i % 2];
    let own = |parts: (Vec<String>, Option<String>, Option<String>, Vec<String>)| {
        (parts.0.join(" "), parts.1, parts.2, parts.3.len())
    };
    let some = |text: &str| Some(text.to_owned());
    // A hard prediction beside a probability, and the other class's.
    let found = parts(
        "customerID,tenure,Churn,prediction,proba_0,proba_1",
        |i| format!("c{i},{},{},{},{},{}", i % 72, yes(i), yes(i / 2), 1.0 - share(i), share(i)),
        None,
    );
    assert_eq!(own(found), ("tenure".to_owned(), some("proba_1"), some("Churn"), 0));
    let found = parts("age,y_pred,y_true", |i| format!("{},{},{}", i % 60, i % 2, i / 2 % 2), None);
    assert_eq!(own(found), ("age".to_owned(), None, some("y_true"), 0));
    // What could be a label is one where nothing says better so.
    let found = parts("age,default,balance,y", |i| format!("{},{},{},{}", i % 60, yes(i / 3), i * 7, yes(i)), None);
    assert_eq!(own(found), ("age balance default".to_owned(), None, some("y"), 0));
    let found = parts("age,default,class", |i| format!("{},{},{}", i % 60, yes(i / 3), ["good", "bad"][i % 2]), None);
    assert_eq!(own(found), ("age default".to_owned(), None, some("class"), 1));
    let found = parts("age,sex,Attrited", |i| format!("{},{},{}", i % 60, ["f", "m"][i % 2], i / 2 % 2), None);
    assert_eq!(own(found), ("age sex".to_owned(), None, some("Attrited"), 1));
    // Somebody who answers is heard.
    let found =
        parts("age,default,class", |i| format!("{},{},{}", i % 60, yes(i / 3), ["good", "bad"][i % 2]), Some(1));
    assert_eq!(own(found), ("age class".to_owned(), None, some("default"), 1));
    let found =
        parts("age,default,class", |i| format!("{},{},{}", i % 60, yes(i / 3), ["good", "bad"][i % 2]), Some(2));
    assert_eq!(own(found), ("age default class".to_owned(), None, None, 1));
    let found = parts("age,income", |i| format!("{}, {}", i % 60, ["<=50K", ">50K"][i % 2]), None);
    assert_eq!(own(found), ("age".to_owned(), None, some("income"), 0));
}

#[test]
fn what_names_rows_is_left_out_and_numbers_that_differ_are_not() {
    let found = parts(
        "row_id,Name,city,fnlwgt,seen,code",
        |i| format!("{},Ms {i},c{},{},2013-03-{:02},7", i + 5, i % 7, i * 37, i % 28 + 1),
        None,
    );
    assert_eq!(found.0, ["fnlwgt", "city"]);
}

#[test]
fn a_version_in_the_files_name_stands_for_all() {
    for (stem, expected) in [
        ("fraud_v1", Some(("fraud", "1"))),
        ("fraud-V12.3", Some(("fraud", "12.3"))),
        ("a v2", Some(("a", "2"))),
        ("fraud_v", None),
        ("v1", None),
        ("_v1", None),
        ("rev2", None),
        ("fraud_v1_final", None),
    ] {
        assert_eq!(versioned(stem), expected, "{stem}");
    }
}

#[test]
fn limits_are_those_that_the_training_data_keeps() {
    // Half of the rows are another season's, one column has many categories, and one is missing in places.
    let text = (0..1200).fold("season,noise,shop,gap\n".to_owned(), |text, i| {
        let (season, noise) = (if i < 600 { i % 97 } else { 60 + i % 97 }, i * 7919 % 1009);
        format!(
            "{text}{season},{noise},s{},{}\n",
            i * 31 % 400,
            if (300..400).contains(&i) { String::new() } else { (i % 80).to_string() }
        )
    });
    let (draft, policy) = drafted(&text, |_| {});
    assert!(draft.contains("except: {season: {lt: "), "{draft}");
    assert!(draft.contains("# - shop: so many categories differ by a PSI of"), "{draft}");
    assert!(draft.contains("ks_p: {of: [noise, gap]"), "{draft}");
    assert!(
        draft.contains("missing_rate: {of: features, max_increase: 0.05, except: {gap: {max_increase: "),
        "{draft}"
    );
    assert_eq!(policy.features.categorical, Vec::<String>::new());
}

#[test]
fn a_column_of_many_categories_alone_is_kept_with_the_limit_that_fits() {
    let text = (0..2000).fold("ticket\n".to_owned(), |text, i| format!("{text}k{}\n", i * 7919 % 450));
    let (draft, policy) = drafted(&text, |_| {});
    assert_eq!(policy.features.categorical, ["ticket"], "{draft}");
    // (1/200 + 1/2000)·χ²_isf(0.001, 450) is 3.0164 (scipy): no limit lies below it.
    let psi = policy.rules().find(|rule| rule.kind.metric() == "psi");
    let limits = psi.and_then(|rule| rule.kind.bounds().first().map(|bound| bound.limit.value()));
    assert!(limits.is_some_and(|lt| lt >= 3.0163), "{draft}");
}

/// UCI writes good and bad credit as 1 and 2, and LIBSVM's classes are 1 and -1.
#[test]
fn two_numbers_are_a_label() {
    let text = csv("amount,num_dependents,class", |i| format!("{},{},{}", third(i), 1 + i % 2, 1 + i % 3 / 2));
    let (draft, policy) = drafted(&text, |_| {});
    assert_eq!(policy.features.categorical, ["num_dependents"], "{draft}");
    assert!(draft.contains(r#"# unclear: which label means 1: "1", "2"; say it with --positive"#), "{draft}");
    assert!(!draft.contains("which column"), "{draft}");
    let text = csv("amount,score,channel,target", |i| {
        format!("{},{},{},{}", third(i), share(i), ["a", "b"][i % 2], if i % 3 == 0 { 1 } else { -1 })
    });
    let (draft, policy) = drafted(&text, |_| {});
    assert!(!draft.contains("unclear"), "{draft}");
    let values = policy.labels.as_ref().map(|l| l.values.clone()).unwrap();
    assert_eq!(values.into_iter().collect::<Vec<_>>(), [("-1".to_owned(), false), ("1".to_owned(), true)], "{draft}");
    assert!(
        refused(&csv("a,b", |i| format!("{},{}", third(i), i % 5)), |args| args.label = Some("b".into()))
            .contains("5 values differ")
    );
}

/// `check` has nothing to say of a draft, however many features and however few rows there are.
#[test]
fn no_rule_of_a_draft_alarms_too_often() {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    };
    let header: Vec<String> = (0..30).map(|i| format!("f{i}")).collect();
    let mut text = format!("{},age\n", header.join(","));
    for _ in 0..500 {
        let values: Vec<String> = (0..30).map(|_| next().to_string()).collect();
        let age = if next() % 5 == 0 { String::new() } else { (next() % 80).to_string() };
        let _ = writeln!(text, "{},{age}", values.join(","));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, &text).unwrap();
    let out = folder.path().join("policy.yaml");
    run(&Args { out: Some(out.clone()), ..args(&path) }).map_err(|f| f.error).unwrap();
    let draft = std::fs::read_to_string(&out).unwrap();
    let policy = parse(&draft, &out).unwrap();
    let baseline = snapshot::load(&policy, "1", &snapshot::location_for(&policy, "1").unwrap().unwrap()).unwrap();
    let said: Vec<_> = alarms(&policy, Some(&baseline), &Simulated::default())
        .iter()
        .filter_map(super::super::check::alarms::Alarm::lint)
        .collect();
    assert_eq!(said, [], "{draft}");
    assert!(draft.contains("above the customary 0.2"), "{draft}");
}

#[test]
fn a_snapshot_of_predicted_numbers() {
    let text = csv("dep_delay,carrier,prediction,label", |i| {
        format!("{},{},{},{}", third(i), ["AA", "UA", "DL"][i % 3], third(i) * 2.0 - 5.0, third(i) * 2.0)
    });
    let (draft, policy) = drafted(&text, |args| (args.task, args.promotion) = (What::Regression, true));
    assert_eq!(policy.task, Task::Regression);
    assert_eq!(
        (&policy.features.numeric, &policy.features.categorical),
        (&vec!["dep_delay".into()], &vec!["carrier".into()])
    );
    let columns = (policy.baseline.score_column.as_deref(), policy.baseline.label_column.as_deref());
    assert_eq!(columns, (Some("prediction"), Some("label")), "{draft}");
    let groups: Vec<&str> = policy.groups.iter().map(|g| g.name.as_str()).collect();
    assert_eq!((groups, policy.transitions[1].checks.len()), (vec!["drift", "errors"], 2), "{draft}");
    // Without the task it is said how the labels would be ones.
    let (draft, policy) = drafted(&text, |_| {});
    assert!(policy.baseline.label_column.is_none());
    assert!(draft.contains("# unclear: \"label\" has 200 values: as labels they need --task regression"), "{draft}");
    let why = refused(&text, |args| (args.task, args.label) = (What::Regression, Some("carrier".into())));
    assert!(why.contains("--label \"carrier\": it holds no numbers"), "{why}");
    // Labels alone are no reason for a rule on errors.
    let (draft, policy) =
        drafted(&csv("a,label", |i| format!("{},{}", i % 50, third(i))), |args| args.task = What::Regression);
    assert!(policy.groups.len() == 1 && draft.contains("# no group on errors"), "{draft}");
}

#[test]
fn a_snapshot_of_several_classes() {
    let classes = ["on_time", "late", "very late", "late"];
    let text = csv("dep_delay,carrier,predicted,label", |i| {
        format!("{},{},{},{}", third(i), ["AA", "UA"][i % 2], classes[i % 4], classes[(i + i % 7 / 6) % 3])
    });
    let (draft, policy) = drafted(&text, |args| (args.task, args.slo) = (What::Multiclass, true));
    assert_eq!(policy.classes, ["late", "on_time", "very late"], "{draft}");
    let columns = (policy.baseline.score_column.as_deref(), policy.baseline.label_column.as_deref());
    assert_eq!(columns, (Some("predicted"), Some("label")), "{draft}");
    let groups: Vec<&str> = policy.groups.iter().map(|g| g.name.as_str()).collect();
    assert_eq!(groups, ["drift", "quality", "slo"], "{draft}");
    assert!(policy.rules().any(|rule| rule.id == "psi_prediction"), "{draft}");
    let (draft, _) = drafted(&text, |_| {});
    assert!(draft.contains("has 3 values: as labels they need --task multiclass"), "{draft}");
    let why = refused(&text, |args| (args.task, args.label) = (What::Multiclass, Some("dep_delay".into())));
    assert!(why.contains("classes are at most 20 texts or whole numbers"), "{why}");
    let why = refused(&csv("a,b", |i| format!("{},{}", i % 50, third(i))), |args| args.task = What::Multiclass);
    assert!(why.contains("no column of labels or predictions was found"), "{why}");
}
