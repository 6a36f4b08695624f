//! Black-box tests: they run the binary as a user would and read what it writes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test may fail loudly"
)]

#[path = "cases/allocations.rs"]
mod allocations;
#[path = "cases/attacks/mod.rs"]
mod attacks;
#[path = "cases/backlog.rs"]
mod backlog;
#[path = "cases/bad_input.rs"]
mod bad_input;
#[path = "cases/batch.rs"]
mod batch;
#[path = "cases/bounded_memory.rs"]
mod bounded_memory;
#[path = "cases/bounds.rs"]
mod bounds;
#[path = "cases/broker.rs"]
mod broker;
#[path = "cases/budgets.rs"]
mod budgets;
#[path = "cases/by_segment.rs"]
mod by_segment;
#[path = "cases/chart.rs"]
mod chart;
#[path = "cases/cloudevents.rs"]
mod cloudevents;
#[path = "cases/cluster/mod.rs"]
mod cluster;
#[path = "cases/cluster_topics.rs"]
mod cluster_topics;
#[path = "support/counting.rs"]
mod counting;
#[path = "cases/course.rs"]
mod course;
#[path = "cases/distances.rs"]
mod distances;
#[path = "cases/documents.rs"]
mod documents;
#[path = "cases/estimated.rs"]
mod estimated;
#[path = "cases/events.rs"]
mod events;
#[path = "cases/failing.rs"]
mod failing;
#[path = "cases/faults/mod.rs"]
mod faults;
#[path = "cases/formats.rs"]
mod formats;
#[path = "fuzz/mod.rs"]
mod fuzz;
#[path = "cases/golden.rs"]
mod golden;
#[path = "cases/guide.rs"]
mod guide;
#[path = "cases/history.rs"]
mod history;
#[path = "imports/mod.rs"]
mod imports;
#[path = "cases/in_process.rs"]
mod in_process;
#[path = "cases/inference.rs"]
mod inference;
#[path = "cases/init.rs"]
mod init;
#[path = "cases/joining.rs"]
mod joining;
#[path = "cases/kafka.rs"]
mod kafka;
#[path = "cases/kpis.rs"]
mod kpis;
#[path = "cases/kserve.rs"]
mod kserve;
#[path = "cases/kserve_served.rs"]
mod kserve_served;
#[path = "cases/ledger_log.rs"]
mod ledger_log;
#[path = "cases/limits.rs"]
mod limits;
#[path = "cases/local_days.rs"]
mod local_days;
#[path = "support/long_stream.rs"]
mod long_stream;
#[path = "cases/many.rs"]
mod many;
#[path = "cases/measurements.rs"]
mod measurements;
#[path = "cases/mirror.rs"]
mod mirror;
#[path = "cases/mlflow.rs"]
mod mlflow;
#[path = "cases/mlserver.rs"]
mod mlserver;
#[path = "cases/mlserver_served.rs"]
mod mlserver_served;
#[path = "cases/moto.rs"]
mod moto;
#[path = "cases/multiclass.rs"]
mod multiclass;
#[path = "cases/oci.rs"]
mod oci;
#[path = "support/otlp.rs"]
mod otlp;
#[path = "cases/outcomes.rs"]
mod outcomes;
#[path = "cases/outward.rs"]
mod outward;
#[path = "cases/pages.rs"]
mod pages;
#[path = "cases/positions.rs"]
mod positions;
#[path = "cases/python.rs"]
mod python;
#[path = "cases/quality.rs"]
mod quality;
#[path = "cases/reference.rs"]
mod reference;
#[path = "cases/regression.rs"]
mod regression;
#[path = "cases/rejected.rs"]
mod rejected;
#[path = "cases/replay.rs"]
mod replay;
#[path = "cases/rollouts.rs"]
mod rollouts;
#[path = "cases/routing/mod.rs"]
mod routing;
#[path = "cases/rules.rs"]
mod rules;
#[path = "cases/sagemaker_registry.rs"]
mod sagemaker_registry;
#[path = "cases/schemas.rs"]
mod schemas;
#[path = "cases/secure.rs"]
mod secure;
#[path = "cases/served.rs"]
mod served;
#[path = "cases/service.rs"]
mod service;
#[path = "cases/small_pairs.rs"]
mod small_pairs;
#[path = "cases/store.rs"]
mod store;
#[path = "cases/subjects.rs"]
mod subjects;
#[path = "cases/support.rs"]
mod support;
#[path = "cases/telemetry.rs"]
mod telemetry;
#[path = "cases/topics.rs"]
mod topics;
#[path = "cases/tune.rs"]
mod tune;
#[path = "cases/upgrade.rs"]
mod upgrade;
#[path = "cases/whole_path.rs"]
mod whole_path;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;
