//! An `AdmissionReview` (admission.k8s.io/v1): which version an object names, and the answer.

use serde_json::{Value, json};

/// The labels or annotations that name a version and the stage that it serves.
const MODEL: &str = "driftgate.io/model";
const VERSION: &str = "driftgate.io/version";
const STAGE: &str = "driftgate.io/stage";

/// What an object names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub model: String,
    pub version: String,
    pub stage: String,
}

/// What a review asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It names no model.
    Unlabelled,
    /// It named the same version before.
    Unchanged,
    /// It names a model without a version, or the other way round.
    Unclear(String),
    Version(Subject),
}

/// What came of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    Deny(String),
}

/// A review that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    uid: String,
    /// `CREATE Deployment ml/fraud`.
    pub object: String,
    pub asked: Asked,
}

impl Review {
    /// Reads a review; `stage` is that of objects that name none.
    ///
    /// # Errors
    /// What is no review of version 1.
    pub fn read(given: &Value, stage: &str) -> Result<Self, String> {
        let text = |pointer: &str| given.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/apiVersion") != "admission.k8s.io/v1" || text("/request/uid").is_empty() {
            return Err(format!(
                "expected an AdmissionReview of admission.k8s.io/v1 with a request, read apiVersion {:?}: write admissionReviewVersions: [v1]",
                text("/apiVersion")
            ));
        }
        let namespace = match text("/request/namespace") {
            "" => String::new(),
            namespace => format!("{namespace}/"),
        };
        let object = format!(
            "{} {} {namespace}{}",
            text("/request/operation"),
            text("/request/kind/kind"),
            text("/request/name")
        );
        let of = |pointer: &str| given.pointer(pointer).map_or(Asked::Unlabelled, |object| named(object, stage));
        let asked = match of("/request/object") {
            Asked::Version(now) if of("/request/oldObject") == Asked::Version(now.clone()) => Asked::Unchanged,
            asked => asked,
        };
        Ok(Self { uid: text("/request/uid").to_owned(), object, asked })
    }

    /// The answer as the API server takes it.
    #[must_use]
    pub fn answer(&self, decision: &Decision) -> Value {
        let response = match decision {
            Decision::Allow => json!({"uid": self.uid, "allowed": true}),
            Decision::Deny(why) => {
                json!({"uid": self.uid, "allowed": false, "status": {"code": 403, "message": format!("driftgate: {why}")}})
            }
        };
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }
}

/// What an object names by itself, or by its pod template.
fn named(object: &Value, stage: &str) -> Asked {
    let places = ["", "/spec/template", "/spec/predictor"];
    let found = |key: &str| {
        let in_place = |place: &&str| {
            let of = |kind: &str| {
                // A predictor of KServe has its labels without metadata.
                let metadata = object.pointer(&format!("{place}/metadata/{kind}"));
                metadata.or_else(|| object.pointer(&format!("{place}/{kind}")))?.get(key)?.as_str()
            };
            of("labels").or_else(|| of("annotations")).map(str::to_owned)
        };
        places.iter().find_map(in_place)
    };
    match (found(MODEL), found(VERSION)) {
        (None, None) => Asked::Unlabelled,
        (Some(model), Some(version)) => {
            Asked::Version(Subject { model, version, stage: found(STAGE).unwrap_or_else(|| stage.to_owned()) })
        }
        (Some(_), None) => {
            Asked::Unclear(format!("it has {MODEL} and no {VERSION}: write both as labels or annotations"))
        }
        (None, Some(_)) => {
            Asked::Unclear(format!("it has {VERSION} and no {MODEL}: write both as labels or annotations"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(object: &Value, old: &Value) -> Review {
        let given = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u1", "operation": "UPDATE", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "namespace": "ml", "name": "fraud",
            "object": object, "oldObject": old}});
        Review::read(&given, "prod").unwrap()
    }

    fn of(version: &str) -> Value {
        json!({"metadata": {"labels": {MODEL: "fraud", VERSION: version}}})
    }

    fn subject(version: &str, stage: &str) -> Asked {
        Asked::Version(Subject { model: "fraud".to_owned(), version: version.to_owned(), stage: stage.to_owned() })
    }

    #[test]
    fn an_object_names_its_version_itself_or_by_its_pods() {
        assert_eq!(review(&of("7"), &Value::Null).asked, subject("7", "prod"));
        assert_eq!(review(&of("7"), &of("6")).asked, subject("7", "prod"));
        assert_eq!(review(&of("7"), &of("7")).asked, Asked::Unchanged);
        let pods = json!({"metadata": {"labels": {"app": "fraud"}}, "spec": {"template": {"metadata": {"annotations": {MODEL: "fraud", VERSION: "7", STAGE: "staging"}}}}});
        assert_eq!(review(&pods, &Value::Null).asked, subject("7", "staging"));
        let predictor = json!({"spec": {"predictor": {"labels": {MODEL: "fraud", VERSION: "8"}}}});
        assert_eq!(review(&predictor, &Value::Null).asked, subject("8", "prod"));
        assert_eq!(review(&json!({"metadata": {}}), &Value::Null).asked, Asked::Unlabelled);
        let half = json!({"metadata": {"labels": {MODEL: "fraud"}}});
        assert!(
            matches!(review(&half, &Value::Null).asked, Asked::Unclear(why) if why.contains("no driftgate.io/version"))
        );
    }

    #[test]
    fn an_answer_has_the_id_of_its_question() {
        let review = review(&of("7"), &Value::Null);
        assert_eq!(review.object, "UPDATE Deployment ml/fraud");
        assert_eq!(review.answer(&Decision::Allow)["response"], json!({"uid": "u1", "allowed": true}));
        let denied = review.answer(&Decision::Deny("no".to_owned()));
        assert_eq!(denied["response"]["status"], json!({"code": 403, "message": "driftgate: no"}));
        assert!(
            Review::read(&json!({"apiVersion": "admission.k8s.io/v1beta1"}), "prod").unwrap_err().contains("v1beta1")
        );
    }
}
