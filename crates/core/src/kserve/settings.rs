//! How the events of one source are read: which values are what.

/// What the messages of a source are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Logged {
    /// Events of `KServe`'s logger: a request or a response each.
    #[default]
    Kserve,
    /// Bodies of the Open Inference Protocol, a request or a response each: where the time stands in them, by the parts of a JSON pointer.
    /// Without it, it is the record's.
    Oip { time: Option<Vec<String>> },
    /// The same as `MLServer` reads and writes them on Kafka: the key of the record is the id, before the body's.
    Mlserver,
    /// The same as Protobuf, as Seldon Core 2 has them on its topics: all of them responses, or requests.
    Seldon { is_responses: bool },
    /// Events of Seldon Core 1's logger: a request or a response each.
    SeldonLogger,
    /// The same of its feedback: a label each.
    SeldonFeedback,
    /// Records of `SageMaker`'s data capture: a request and its response each.
    SageMaker,
    /// Records of `SageMaker`'s ground truth: a label each.
    GroundTruth,
    /// Rows of Databricks' inference tables, as objects: a request and its response each.
    Databricks,
}

/// How the events of one source are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub logged: Logged,
    /// The names of values that have none: of V1 instances that are arrays, and of a V2 tensor with several values a row.
    pub inputs: Vec<String>,
    /// Where the score stands in a row of outputs, by the parts of a JSON pointer. Empty: it is the row's only value.
    pub score: Vec<String>,
    /// The same of the decision, where there is one.
    pub decision: Option<Vec<String>>,
    pub version: Version,
    /// Whether the inference service is the model: where the source names none.
    pub names_model: bool,
    /// How far the times of a request and its response may lie apart, in ms.
    pub wait: i64,
    /// How many bytes of halves may wait.
    pub most_bytes: usize,
}

/// What names a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// `model_version` of a V2 response.
    Response,
    /// It is the same for all.
    Fixed(String),
    /// An attribute of the event: of the response, or else of the request.
    Attribute(String),
    /// A place in the bodies, where these are all there is.
    Parameter(Vec<String>),
    /// A header that the logger was told to keep.
    Metadata(String),
    /// An annotation that the logger was told to keep.
    Annotation(String),
}

impl Version {
    /// The version, where it is the same for all.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match self {
            Self::Fixed(version) => Some(version),
            _ => None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            logged: Logged::Kserve,
            inputs: Vec::new(),
            score: Vec::new(),
            decision: None,
            version: Version::Response,
            names_model: true,
            wait: 600_000,
            most_bytes: 256 << 20,
        }
    }
}
