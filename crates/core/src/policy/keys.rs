//! The keys of a policy file: one description from which the parser knows its keys, and the JSON Schema and the reference page
//! are written. What a rule's own keys are is in its definition (`crate::rule`).
//!
//! Long: one table, which is read best in one place.

/// The kinds of evidence that a transition may ask for.
pub const EVIDENCE_KINDS: [&str; 14] = [
    "artifact_digest",
    "env_lock",
    "tests",
    "security_scan",
    "data_snapshot",
    "code_commit",
    "signature",
    "pii_controls",
    "schema",
    "model_card",
    "params",
    "offline",
    "baseline_version",
    "schema_diff",
];

/// The changes of a schema that a transition may let pass.
pub const SCHEMA_CHANGES: [&str; 3] = ["add_optional", "remove_optional", "widen"];

/// One key of a mapping.
pub struct Key {
    pub name: &'static str,
    pub takes: Shape,
    /// What leaving it out means: the default as it would be written, `required`, or nothing at all.
    pub default: &'static str,
    /// As one sentence of Markdown.
    pub documentation: &'static str,
}

/// A mapping with known keys.
pub struct Mapping {
    /// As the reference calls it: where it stands.
    pub path: &'static str,
    pub keys: &'static [Key],
    /// Keys of which exactly one is written; empty where there is no such choice.
    pub one_of: &'static [&'static str],
}

/// What can be written as a value.
pub enum Shape {
    /// In words.
    Text(&'static str),
    /// A name for paths and labels: `[A-Za-z0-9_-]`, at most 64.
    Slug(&'static str),
    /// A number, as JSON Schema's bounds on it.
    Number(&'static [(&'static str, f64)]),
    Whole {
        least: u64,
        most: u64,
    },
    /// A text, in words and as a regular expression.
    Pattern {
        written: &'static str,
        pattern: &'static str,
    },
    Boolean,
    /// A whole number with a unit.
    Duration {
        zero: bool,
    },
    /// A date or a time in UTC.
    Time,
    Words(&'static [&'static str]),
    /// Values that mean class 1 or 0.
    Classes,
    /// One value of any type.
    Scalar,
    List(&'static Shape),
    Map(&'static Mapping),
    /// A mapping whose keys are names that the writer chooses.
    Named(&'static Shape),
    Either(&'static [Shape]),
    /// A list of rules: one metric with its options each.
    Rules,
}

/// Marks a key that must be written.
pub const REQUIRED: &str = "required";

impl Mapping {
    /// The names of its keys, in the order that messages list them.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }
}

const fn key(name: &'static str, takes: Shape, default: &'static str, documentation: &'static str) -> Key {
    Key { name, takes, default, documentation }
}

const fn mapping(path: &'static str, keys: &'static [Key]) -> Mapping {
    Mapping { path, keys, one_of: &[] }
}

const SPAN: Shape = Shape::Duration { zero: false };
const LATENESS: Shape = Shape::Duration { zero: true };
const COUNT: Shape = Shape::Whole { least: 1, most: 1_000_000_000 };
const NAME: Shape = Shape::Text("a name");
const NAMES: Shape = Shape::List(&NAME);
const RULE: Shape = Shape::Text("`group/id` of a rule");
const GROUPS: Shape = Shape::List(&Shape::Text("the name of a group of `checks:`"));
const ZERO_TO_ONE: &[(&str, f64)] = &[("minimum", 0.0), ("maximum", 1.0)];
const FROM_ZERO: &[(&str, f64)] = &[("minimum", 0.0)];
/// `3`, consecutive windows, `3 of 5`, some of the last ones, or `5m`, a span of event time.
pub(crate) const HYSTERESIS: Shape = Shape::Either(&[
    Shape::Whole { least: 1, most: 1000 },
    Shape::Pattern { written: "so many of the last windows, like `3 of 5`", pattern: "^[0-9]+ of [0-9]+$" },
    SPAN,
]);

pub static POLICY: Mapping = mapping(
    "",
    &[
        key("apiVersion", Shape::Words(&["driftgate/v1"]), REQUIRED, "The version of this format."),
        key("model", Shape::Text("the model's name, without slashes"), REQUIRED, "The model that the policy judges."),
        key(
            "extends",
            Shape::Text("a path such as base.yaml"),
            "",
            "A file whose keys this policy has too, by its path from this file's folder. Mappings are merged, lists and other values replaced, `null` deletes.",
        ),
        key(
            "vars",
            Shape::Named(&Shape::Either(&[Shape::Scalar, Shape::List(&Shape::Scalar)])),
            "",
            "Variables: `$name` as a whole value, or `${name}` within a text, is replaced by the value of `name`; `$$` is a dollar.",
        ),
        key(
            "task",
            Shape::Words(&["binary", "regression", "multiclass"]),
            "binary",
            "What the model predicts: one of two classes, a number (`score`), whose label is a number too, or one of several `classes`.",
        ),
        key(
            "classes",
            NAMES,
            "",
            "Of `task: multiclass`, from 2 to 100: what predictions and labels name; those of the labels in the snapshot files at hand, in order, where it is left out. Of equal `scores` the first in this order is predicted.",
        ),
        key(
            "metadata",
            Shape::Named(&Shape::Scalar),
            "",
            "Texts that are shown and sent along: `team`, `severity`, `runbook`, whatever the receiver of a block needs.",
        ),
        key("baseline", Shape::Map(&BASELINE), "", "The training snapshot that windows are compared with."),
        key("features", Shape::Map(&FEATURES), "", "The features that rules may read."),
        key(
            "importance",
            Shape::Either(&[Shape::Named(&Shape::Number(FROM_ZERO)), Shape::Map(&IMPORTANCE)]),
            "",
            "How much features matter, from 0 on, or a column of a CSV file (`file`): results over them carry it, and are ranked by it times value over limit.",
        ),
        key("score", Shape::Map(&SCORE), "", "What the score means; rules that count decisions need it."),
        key(
            "segments",
            Shape::List(&Shape::Text("an attribute, or up to four crossed by `*`")),
            "[]",
            "Attributes that rules compare groups by; they need not be features.",
        ),
        key(
            "unit",
            Shape::Text("where events name the unit, like /user_id"),
            "",
            "Whose rows depend on each other: the snapshot's column of that name gives rules with a bound their `design_effect`.",
        ),
        key("labels", Shape::Map(&LABELS), "", "How labels join predictions; rules that read labels need it."),
        key("decision", Shape::Map(&DECISION), "", "What the values of `decision` in events mean."),
        key("lateness", LATENESS, "1m", "How far a record may lie behind the newest one of its stream."),
        key("min_samples", COUNT, "200", "A window with fewer samples is `insufficient`, neither pass nor block."),
        key(
            "min_reference",
            COUNT,
            "`min_samples`",
            "A training sample with fewer values is nothing to compare with: `insufficient`.",
        ),
        key(
            "windows",
            Shape::Map(&WINDOWS),
            "",
            "Whose days and weeks windows are; without it they are counted from the epoch in UTC.",
        ),
        key("retire_after", SPAN, "7d", "A version without predictions for so long is no longer active."),
        key(
            "checks",
            Shape::Named(&Shape::Map(&GROUP)),
            REQUIRED,
            "From 1 to 32 groups of rules by name, each with its own window.",
        ),
        key(
            "mute",
            Shape::List(&Shape::Map(&MUTE)),
            "[]",
            "Results that are judged and published but decide nothing, up to a time.",
        ),
        key("ignore", Shape::List(&Shape::Map(&IGNORE)), "[]", "Spans of event time whose events are counted nowhere."),
        key(
            "transitions",
            Shape::List(&Shape::Map(&TRANSITION)),
            "[]",
            "What a version needs to move from one stage to the next.",
        ),
        key("rollback", Shape::Map(&ROLLBACK), "", "What takes a version back from prod."),
        key("signing", Shape::Map(&SIGNING), "", "The public keys whose signatures count."),
    ],
);

pub static BASELINE: Mapping = mapping(
    "baseline",
    &[
        key(
            "snapshot",
            Shape::Text(
                "a path relative to the policy, or an s3://, gs:// or az:// URL; `{version}` stands for the version",
            ),
            "what the registry names",
            "The training data.",
        ),
        key("columns", Shape::Map(&COLUMNS), "", "Which of its columns are no features."),
        key(
            "reference",
            Shape::Text("a path or URL, written as `snapshot`"),
            "the snapshot",
            "Labelled rows that the model was not trained on, with the same columns of score and label: `estimated` is calibrated by them.",
        ),
        key(
            "null_values",
            Shape::List(&Shape::Scalar),
            "`\"\"`, NA, NaN, null, None, \\N and their spellings",
            "Texts of CSV files that mean null, in every column.",
        ),
    ],
);

pub static COLUMNS: Mapping = mapping(
    "baseline.columns",
    &[
        key("score", NAME, "", "The column with the score."),
        key("prediction", NAME, "", "The column with the predicted class, of `task: multiclass`."),
        key("label", NAME, "", "The column with the label."),
    ],
);

pub static FEATURES: Mapping = mapping(
    "features",
    &[
        key("numeric", NAMES, "[]", "Numeric features, as events name them."),
        key("categorical", NAMES, "[]", "Categorical features, as events name them."),
        key("grid", Shape::Map(&GRID), "{points: 1021}", "How finely numeric features are counted."),
    ],
);

pub static GRID: Mapping = mapping(
    "features.grid",
    &[key(
        "points",
        Shape::Either(&[Shape::Whole { least: 21, most: 100_000 }, Shape::Words(&["exact"])]),
        REQUIRED,
        "Reference values that are kept per feature: with `exact`, D is exact; with so many, it lies in an interval narrower than 1/(points − 1).",
    )],
);

pub static IMPORTANCE: Mapping = mapping(
    "importance",
    &[
        key(
            "file",
            Shape::Text("a path such as importance.csv"),
            REQUIRED,
            "A CSV or Parquet file with a row per feature, by its path from the policy's folder.",
        ),
        key("feature", NAME, "feature", "Its column with the features' names."),
        key("weight", NAME, "weight", "Its column with their importance."),
    ],
);

pub static SCORE: Mapping = mapping(
    "score",
    &[key("threshold", Shape::Number(&[]), REQUIRED, "Scores at or above it are predicted positive.")],
);

pub static LABELS: Mapping = mapping(
    "labels",
    &[
        key("horizon", SPAN, REQUIRED, "Labels join predictions that are at most so much older."),
        key(
            "attribute",
            Shape::Words(&["label_time", "prediction_time"]),
            "label_time",
            "Whether a pair counts in the window of the label's time or of the prediction's.",
        ),
        key("lateness", LATENESS, "the policy's `lateness`", "How far a label may lie behind the newest one."),
        key(
            "silent_after",
            SPAN,
            "two days or two horizons, what is longer",
            "Labels that are so far behind the predictions are not waited for any more.",
        ),
        key("values", Shape::Classes, "{}", "The class of values beside 0, 1, true and false."),
    ],
);

pub static DECISION: Mapping = mapping(
    "decision",
    &[key("values", Shape::Classes, REQUIRED, "The class of decisions beside 0, 1, true and false.")],
);

pub static GROUP: Mapping = mapping(
    "checks.NAME",
    &[
        key("window", Shape::Map(&WINDOW), REQUIRED, "The span of event time that is judged together."),
        key(
            "traffic",
            Shape::Words(&["version", "model"]),
            "version",
            "Whose requests count: the version's own, or all of the model's (for rules about features only).",
        ),
        key(
            "enforce",
            Shape::Words(&["block", "warn", "observe"]),
            "block",
            "Whether a blocking result blocks; with `warn` and `observe` it is judged and published, and decides nothing.",
        ),
        key(
            "stale_after",
            SPAN,
            "three slides and the lateness",
            "A verdict that is older than this no longer promotes a version.",
        ),
        key(
            "budget",
            Shape::Text("blocks per day, week, month or year, like 1/month"),
            "",
            "How many false blocks all rules of the group together may make: each that has no `budget` of its own gets an equal share.",
        ),
        key("rules", Shape::Rules, REQUIRED, "The rules of the group: one metric with its options each."),
    ],
);

pub static WINDOW: Mapping = mapping(
    "checks.NAME.window",
    &[
        key("size", SPAN, REQUIRED, "The length of a window: a multiple of `slide`."),
        key("slide", SPAN, REQUIRED, "The time from one window to the next."),
        key(
            "lateness",
            LATENESS,
            "the policy's `lateness`",
            "How far a record of this group may lie behind the newest one.",
        ),
    ],
);

/// The days that a week may begin with.
pub const WEEKDAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

pub static WINDOWS: Mapping = mapping(
    "windows",
    &[
        key(
            "timezone",
            Shape::Text("a time zone of the IANA database such as Europe/Berlin"),
            "UTC",
            "Windows whose slide is whole days start at midnight there. A day of 23 or 25 hours is a whole day; other windows do not change.",
        ),
        key("week", Shape::Words(WEEKDAYS), "monday", "The day that windows whose slide is whole weeks start with."),
    ],
);

pub static MUTE: Mapping = mapping(
    "mute[]",
    &[
        key("rule", RULE, "every rule", "The rule; `rule` or `of` is written, or both."),
        key("of", NAME, "every subject", "The subject, as verdicts name it."),
        key("until", Shape::Time, REQUIRED, "Windows that end at or before this are muted."),
        key("reason", Shape::Text("why, or a ticket"), REQUIRED, "It is shown with the result."),
    ],
);

pub static IGNORE: Mapping = mapping(
    "ignore[]",
    &[
        key("from", Shape::Time, REQUIRED, "The first time that is ignored."),
        key("to", Shape::Time, REQUIRED, "The first time after it that counts again."),
        key("reason", Shape::Text("why, or a ticket"), REQUIRED, "Why these events do not count."),
    ],
);

pub static TRANSITION: Mapping = mapping(
    "transitions[]",
    &[
        key("from", Shape::Slug("a stage"), REQUIRED, "The stage that the version is in; without one it is in `dev`."),
        key("to", Shape::Slug("a stage"), REQUIRED, "The stage that it moves to."),
        key("evidence", Shape::List(&Shape::Words(&EVIDENCE_KINDS)), "[]", "What must be attached to the version."),
        key("schema", Shape::Map(&SCHEMA), "", "Which changes of the schema pass."),
        key("offline", Shape::List(&Shape::Map(&OFFLINE)), "[]", "Offline metrics against another version's."),
        key("checks", GROUPS, "[]", "Groups whose newest verdicts must pass."),
        key(
            "approvals",
            Shape::Either(&[Shape::Words(&["auto"]), Shape::Map(&APPROVALS)]),
            "auto",
            "Who must approve; with `auto` the version moves once everything else passes.",
        ),
        key(
            "rollout",
            Shape::Map(&ROLLOUT),
            "",
            "The steps in which the traffic moves; without it, all moves at once.",
        ),
    ],
);

pub static SCHEMA: Mapping = mapping(
    "transitions[].schema",
    &[key(
        "allow",
        Shape::List(&Shape::Words(&SCHEMA_CHANGES)),
        REQUIRED,
        "Changes against the version in prod that pass; every other one blocks.",
    )],
);

pub static OFFLINE: Mapping = Mapping {
    path: "transitions[].offline[]",
    keys: &[
        key("metric", NAME, REQUIRED, "The offline metric."),
        key(
            "min_gain",
            Shape::Map(&RATE_TOLERANCE),
            "",
            "For a metric that should be high: at least so much above the other's.",
        ),
        key("max_increase", Shape::Map(&TOLERANCE), "", "For a cost-like metric: at most so much above the other's."),
        key(
            "versus",
            Shape::Text("`baseline`, `champion`, or a version in quotes"),
            "baseline",
            "Which version it is compared with.",
        ),
    ],
    one_of: &["min_gain", "max_increase"],
};

pub static TOLERANCE: Mapping = Mapping {
    path: "max_increase",
    keys: &[
        key("absolute", Shape::Number(FROM_ZERO), "", "In the metric's own unit."),
        key("relative", Shape::Number(FROM_ZERO), "", "As a share of the other's value."),
    ],
    one_of: &["absolute", "relative"],
};

pub static RATE_TOLERANCE: Mapping = Mapping {
    path: "min_gain",
    keys: &[
        key("absolute", Shape::Number(ZERO_TO_ONE), "", "As a difference."),
        key("relative", Shape::Number(ZERO_TO_ONE), "", "As a share of the other's value."),
    ],
    one_of: &["absolute", "relative"],
};

pub static APPROVALS: Mapping = mapping(
    "transitions[].approvals",
    &[
        key(
            "roles",
            Shape::Named(&Shape::Whole { least: 1, most: 20 }),
            REQUIRED,
            "How many people must sign as each role.",
        ),
        key("people", Shape::Named(&NAMES), "everybody with a token for the role", "Who may sign as a role."),
        key("distinct", Shape::Boolean, "true", "Whether a person counts once over all roles."),
        key(
            "exclude",
            Shape::List(&Shape::Words(&["requester", "evidence"])),
            "[]",
            "Who cannot sign: those who registered the version or asked for the promotion, those who attached evidence.",
        ),
        key("expires", SPAN, "never", "How long a signature holds."),
    ],
);

pub static ROLLOUT: Mapping = mapping(
    "transitions[].rollout",
    &[
        key(
            "controller",
            Shape::Words(&["driftgate", "external"]),
            "driftgate",
            "Who moves the traffic; with `external`, Argo or Flagger does, and `steps` may be left out.",
        ),
        key(
            "steps",
            Shape::List(&Shape::Map(&STEP)),
            "",
            "The steps, with ascending weights; the last has weight 100 and a `bake`.",
        ),
        key("checks", GROUPS, REQUIRED, "Groups that end the rollout when they block."),
        key(
            "on_inconclusive",
            Shape::Words(&["pause", "fail"]),
            "pause",
            "What happens where a step has too little data.",
        ),
        key("initial_delay", LATENESS, "0s", "From the candidate's first verdict to the first step."),
        key("dry_run", Shape::Boolean, "false", "Decide and record, but move nothing."),
        key(
            "traffic",
            Shape::List(&Shape::Map(&ROUTER)),
            "[]",
            "Routers that driftgate sets to the weights. Without them, something else reads the weights and follows.",
        ),
        key("shadow", SPAN, "", "A step of mirrored traffic before the first."),
        key("confirm", Shape::Boolean, "false", "Wait for a person before the last step."),
        key(
            "compare",
            Shape::Map(&COMPARE),
            "",
            "The candidate's KPI against the champion's, at the end of each step.",
        ),
    ],
);

/// A name in which versions may stand.
const VERSIONED: Shape =
    Shape::Text("a name, in which `{version}` is the candidate and `{champion}` the version before");
const NAMESPACE: Key = key("namespace", Shape::Text("a namespace"), "default", "Its namespace.");

pub static ROUTER: Mapping = Mapping {
    path: "transitions[].rollout.traffic[]",
    keys: &[
        key("gateway_api", Shape::Map(&GATEWAY_API), "", "A route of Kubernetes' Gateway API."),
        key("istio", Shape::Map(&ISTIO), "", "A `VirtualService` of Istio."),
        key("kserve", Shape::Map(&KSERVE_ROUTER), "", "An `InferenceService` of KServe."),
        key("seldon", Shape::Map(&SELDON), "", "An `Experiment` of Seldon Core 2."),
        key("sagemaker", Shape::Map(&SAGEMAKER), "", "A real-time endpoint of SageMaker."),
        key("webhook", Shape::Map(&WEBHOOK_ROUTER), "", "A receiver of the configuration's `routing.webhooks`."),
    ],
    one_of: &["gateway_api", "istio", "kserve", "seldon", "sagemaker", "webhook"],
};

pub static GATEWAY_API: Mapping = mapping(
    "transitions[].rollout.traffic[].gateway_api",
    &[
        key("route", VERSIONED, REQUIRED, "The route whose `backendRefs[].weight` are set."),
        NAMESPACE,
        key("kind", Shape::Words(&["HTTPRoute", "GRPCRoute"]), "HTTPRoute", "What the route is."),
        key("rule", NAME, "every rule with both backends", "The name of the rule of the route."),
        key("stable", VERSIONED, REQUIRED, "The backend of the version that serves."),
        key("canary", VERSIONED, REQUIRED, "The backend of the candidate."),
    ],
);

pub static ISTIO: Mapping = mapping(
    "transitions[].rollout.traffic[].istio",
    &[
        key("virtual_service", VERSIONED, REQUIRED, "The service whose `http[].route[].weight` are set."),
        NAMESPACE,
        key("route", NAME, "every route with both destinations", "The name of the HTTP route."),
        key("host", NAME, "", "The host of both destinations, whose subsets `stable` and `canary` then are."),
        key("stable", VERSIONED, REQUIRED, "The host or subset of the version that serves."),
        key("canary", VERSIONED, REQUIRED, "The host or subset of the candidate."),
    ],
);

pub static KSERVE_ROUTER: Mapping = mapping(
    "transitions[].rollout.traffic[].kserve",
    &[
        key(
            "inference_service",
            VERSIONED,
            REQUIRED,
            "The service whose `spec.predictor.canaryTrafficPercent` is set: the share of its latest revision.",
        ),
        NAMESPACE,
        key(
            "predictor",
            VERSIONED,
            "",
            "In raw deployment mode: the predictor in `spec.canary` whose `trafficPercent` is set.",
        ),
    ],
);

pub static SELDON: Mapping = mapping(
    "transitions[].rollout.traffic[].seldon",
    &[
        key("experiment", VERSIONED, REQUIRED, "The experiment whose `candidates[].weight` are set."),
        NAMESPACE,
        key("stable", VERSIONED, REQUIRED, "The model or pipeline of the version that serves."),
        key("canary", VERSIONED, REQUIRED, "The model or pipeline of the candidate."),
    ],
);

pub static SAGEMAKER: Mapping = mapping(
    "transitions[].rollout.traffic[].sagemaker",
    &[
        key("endpoint", VERSIONED, REQUIRED, "The endpoint, in the region of the environment (`AWS_REGION`)."),
        key("stable", VERSIONED, REQUIRED, "The production variant of the version that serves."),
        key("canary", VERSIONED, REQUIRED, "The production variant of the candidate."),
    ],
);

pub static WEBHOOK_ROUTER: Mapping = mapping(
    "transitions[].rollout.traffic[].webhook",
    &[
        key("to", Shape::Slug("a name"), REQUIRED, "The name of one of the configuration's `routing.webhooks`."),
        key(
            "body",
            Shape::Text("a JSON text"),
            "all of these as a JSON object",
            "What it is sent: `{model}`, `{version}`, `{champion}`, `{weight}`, `{champion_weight}` and `{rollout_id}` are replaced.",
        ),
    ],
);

pub static STEP: Mapping = mapping(
    "transitions[].rollout.steps[]",
    &[
        key("weight", Shape::Number(&[("minimum", 0.0), ("maximum", 100.0)]), REQUIRED, "Percent of the traffic."),
        key("for", SPAN, "", "How long a step before the last holds its weight, in event time."),
        key("bake", SPAN, "", "How long the last step is watched."),
    ],
);

pub static COMPARE: Mapping = mapping(
    "transitions[].rollout.compare",
    &[
        key("of", NAME, REQUIRED, "A KPI that a `kpi_drop` rule reads."),
        key(
            "min_gain",
            Shape::Map(&RATE_TOLERANCE),
            REQUIRED,
            "The candidate's rate must be at least so much above the champion's.",
        ),
        key(
            "confidence",
            Shape::Number(&[("exclusiveMinimum", 0.5), ("exclusiveMaximum", 1.0)]),
            "0.95",
            "Of the whole rollout's comparison.",
        ),
        key("latency", Shape::Map(&LATENCY), "", "How much slower than the champion the candidate may be."),
        key(
            "design_effect",
            Shape::Number(&[("minimum", 1.0)]),
            "1",
            "How many rows that depend on each other count as one.",
        ),
    ],
);

pub static LATENCY: Mapping = mapping(
    "transitions[].rollout.compare.latency",
    &[key(
        "max_increase",
        Shape::Map(&TOLERANCE),
        REQUIRED,
        "Absolute in milliseconds, or relative to the champion's.",
    )],
);

pub static ROLLBACK: Mapping = mapping(
    "rollback",
    &[
        key("to", Shape::Words(&["last_stable"]), "last_stable", "The version that takes over."),
        key(
            "triggers",
            Shape::List(&Shape::Map(&TRIGGER)),
            REQUIRED,
            "Rules that take a version back while they block it in prod.",
        ),
    ],
);

pub static TRIGGER: Mapping = mapping(
    "rollback.triggers[]",
    &[
        key("rule", RULE, REQUIRED, "The rule."),
        key(
            "for",
            HYSTERESIS,
            "the rule's own",
            "How long it must block: a number of windows in a row, so many of the last ones (`3 of 5`), or a duration.",
        ),
    ],
);

pub static SIGNING: Mapping = mapping(
    "signing",
    &[key(
        "keys",
        Shape::List(&Shape::Either(&[Shape::Map(&SIGNING_KEY), Shape::Map(&MODEL_SIGNER)])),
        REQUIRED,
        "Keys for signatures over artifacts, and keys or CAs for bundles of model signatures.",
    )],
);

pub static SIGNING_KEY: Mapping = mapping(
    "signing.keys[]",
    &[
        key("id", Shape::Slug("a key's id"), REQUIRED, "Unique in the policy; signatures may name it."),
        key("format", Shape::Words(&["raw"]), "raw", "A signature over the artifact's digest."),
        key("algorithm", Shape::Words(&["ed25519", "ecdsa_p256"]), REQUIRED, "How it signs."),
        key("public_key", Shape::Text("PEM, or DER or the bare key in base64"), REQUIRED, "The public key."),
    ],
);

pub static MODEL_SIGNER: Mapping = Mapping {
    path: "signing.keys[] (model_signing)",
    keys: &[
        key("id", Shape::Slug("a key's id"), REQUIRED, "Unique in the policy."),
        key(
            "format",
            Shape::Words(&["model_signing"]),
            REQUIRED,
            "A bundle of the OpenSSF's model signing (`model.sig`).",
        ),
        key("public_key", Shape::Text("PEM, or DER in base64"), "", "A key of P-256, P-384 or P-521."),
        key("ca_certificates", Shape::Text("PEM"), "", "CAs whose certificates sign."),
        key(
            "identity",
            Shape::Text("an e-mail address, DNS name, URI, or common name"),
            "any",
            "What the signer's certificate must name.",
        ),
    ],
    one_of: &["public_key", "ca_certificates"],
};
