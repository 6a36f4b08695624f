use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::ops::deliver;
use super::pull::pull;
use super::*;

/// A group of packages as the API has it: what an update leaves out stays, or is lost as in simulators of the API.
struct Group {
    packages: Mutex<BTreeMap<u64, Value>>,
    forgets: bool,
    calls: Mutex<Vec<&'static str>>,
}

impl Group {
    fn of(approvals: &[&str], forgets: bool) -> Self {
        let package = |(at, approval): (usize, &&str)| {
            let version = at as u64 + 1;
            let package = json!({
                "ModelPackageArn": format!("arn:{version}"), "ModelPackageVersion": version, "CreationTime": 1_700_000_000.5,
                "ModelPackageStatus": "Completed", "ModelApprovalStatus": approval, "CustomerMetadataProperties": {"owner": "ann"},
            });
            (version, package)
        };
        let packages = Mutex::new(approvals.iter().enumerate().map(package).collect());
        Self { packages, forgets, calls: Mutex::default() }
    }

    fn approvals(&self) -> Vec<String> {
        let packages = self.packages.lock().unwrap();
        packages.values().map(|package| package["ModelApprovalStatus"].as_str().unwrap_or("-").to_owned()).collect()
    }

    fn properties(&self, version: u64) -> Value {
        self.packages.lock().unwrap()[&version]["CustomerMetadataProperties"].clone()
    }

    fn calls(&self, of: &str) -> usize {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.into_iter().filter(|call| *call == of).count()
    }

    fn update(&self, asked: &Value) {
        let mut packages = self.packages.lock().unwrap();
        let package = packages.values_mut().find(|p| p["ModelPackageArn"] == asked["ModelPackageArn"]).unwrap();
        for key in ["ModelApprovalStatus", "ApprovalDescription"] {
            if self.forgets || asked.get(key).is_some() {
                package[key] = asked[key].clone();
            }
        }
        if self.forgets {
            package["CustomerMetadataProperties"] = json!({});
        }
        let properties = package["CustomerMetadataProperties"].as_object_mut().unwrap();
        for (key, value) in asked["CustomerMetadataProperties"].as_object().unwrap() {
            properties.insert(key.clone(), value.clone());
        }
        for key in asked["CustomerMetadataPropertiesToRemove"].as_array().into_iter().flatten() {
            properties.remove(key.as_str().unwrap());
        }
    }
}

impl Ask for Group {
    fn call(&self, operation: &'static str, asked: &Value) -> Result<Value, AwsError> {
        self.calls.lock().unwrap().push(operation);
        match operation {
            "DescribeModelPackageGroup" => Ok(json!({})),
            "DescribeModelPackage" => {
                let packages = self.packages.lock().unwrap();
                let found = packages.values().find(|p| p["ModelPackageArn"] == asked["ModelPackageName"]);
                let missing = AwsError::Missing { service: "SageMaker", operation, said: "it is not there".to_owned() };
                found.cloned().ok_or(missing)
            }
            _ => {
                self.update(asked);
                Ok(json!({}))
            }
        }
    }

    fn pages(&self, operation: &'static str, _: Value) -> Result<Vec<Value>, AwsError> {
        self.calls.lock().unwrap().push(operation);
        let mut listed: Vec<Value> = self.packages.lock().unwrap().values().cloned().collect();
        for package in &mut listed {
            package.as_object_mut().unwrap().remove("CustomerMetadataProperties");
        }
        Ok(listed.chunks(2).map(|page| json!({"ModelPackageSummaryList": page})).collect())
    }
}

fn set_alias(alias: &str, version: &str, expected: Option<&str>) -> Op {
    let (model, alias, version) = ("m".to_owned(), alias.to_owned(), version.to_owned());
    Op::SetAlias { model, alias, version, expected: expected.map(str::to_owned), created_ms: Some(1_700_000_000_500) }
}

fn aliases(group: &Group) -> BTreeMap<String, String> {
    pull(group, "g", Vec::new(), &mut BTreeMap::new()).unwrap().aliases
}

#[test]
fn prod_is_the_newest_package_that_is_approved() {
    for forgets in [false, true] {
        let pending = "PendingManualApproval";
        let group = Group::of(&["Approved", pending, pending], forgets);
        assert_eq!(aliases(&group)["prod"], "1");
        assert_eq!(deliver(&group, "g", &set_alias("prod", "3", Some("1"))), Ok(Delivered::Done));
        assert_eq!(
            (group.approvals(), aliases(&group)["prod"].as_str()),
            (vec!["Approved".to_owned(), pending.to_owned(), "Approved".to_owned()], "3")
        );
        assert_eq!(deliver(&group, "g", &set_alias("prod", "3", Some("1"))), Ok(Delivered::Already));
        // Back: what deployments take is the old one again.
        assert_eq!(deliver(&group, "g", &set_alias("prod", "1", Some("3"))), Ok(Delivered::Done));
        assert_eq!(group.approvals(), ["Approved", pending, "Rejected"]);
        assert_eq!(group.properties(3), json!({"owner": "ann"}), "forgets: {forgets}");
        // Somebody approves another by hand.
        group.update(
            &json!({"ModelPackageArn": "arn:2", "ModelApprovalStatus": "Approved", "CustomerMetadataProperties": {}}),
        );
        let found = Some("2".to_owned());
        assert_eq!(deliver(&group, "g", &set_alias("prod", "3", Some("1"))), Ok(Delivered::Drift { found }));
        assert_eq!(group.approvals(), ["Approved", "Approved", "Rejected"]);
    }
}

#[test]
fn other_pointers_are_properties_of_one_package() {
    let group = Group::of(&["Approved"; 3], true);
    assert_eq!(deliver(&group, "g", &set_alias("staging", "1", None)), Ok(Delivered::Done));
    assert_eq!(deliver(&group, "g", &set_alias("staging", "2", Some("1"))), Ok(Delivered::Done));
    assert_eq!(deliver(&group, "g", &set_alias("staging", "2", Some("1"))), Ok(Delivered::Already));
    assert_eq!((group.properties(1), aliases(&group)["staging"].as_str()), (json!({"owner": "ann"}), "2"));
    let found = Some("2".to_owned());
    assert_eq!(deliver(&group, "g", &set_alias("staging", "3", Some("1"))), Ok(Delivered::Drift { found }));
    assert_eq!(group.approvals(), ["Approved"; 3]);
}

#[test]
fn tags_are_metadata_as_sagemaker_takes_it() {
    let group = Group::of(&["Rejected"], true);
    let tags = vec![("gate.prod.reasons".to_owned(), "psi 0.3 >= 0.2; p95".to_owned())];
    let op = Op::SetTags { model: "m".into(), version: "1".into(), tags: tags.clone(), created_ms: None };
    assert_eq!(deliver(&group, "g", &op), Ok(Delivered::Done));
    assert_eq!(deliver(&group, "g", &op), Ok(Delivered::Already));
    let expected = json!({"owner": "ann", "gate.prod.reasons": "psi 0.3 at least 0.2 p95"});
    assert_eq!((group.properties(1), group.approvals()), (expected, vec!["Rejected".to_owned()]));
    let found = pull(&group, "g", Vec::new(), &mut BTreeMap::new()).unwrap();
    assert_eq!(found.of.differing(&found.versions[0].tags, tags), []);
}

#[test]
fn a_version_that_is_missing_or_another_is_refused() {
    let group = Group::of(&["Approved"], false);
    let refused = |op| match deliver(&group, "g", &op) {
        Ok(Delivered::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(set_alias("prod", "7", None)).starts_with("SageMaker has no version \"7\""));
    let (model, version) = ("m".to_owned(), "1".to_owned());
    let anew = refused(Op::SetTags { model, version, tags: Vec::new(), created_ms: Some(5) });
    assert!(anew.contains("was deleted and made anew"), "{anew}");
}

#[test]
fn a_package_is_described_once_and_again_where_the_list_says_something_else() {
    let group = Group::of(&["Approved", "Rejected", "Rejected"], false);
    let mut kept = BTreeMap::new();
    let mut look = |known: &[&str]| {
        let known = known.iter().map(|v| (*v).to_owned()).collect();
        let found = pull(&group, "g", known, &mut kept).unwrap();
        (group.calls("DescribeModelPackage"), found)
    };
    let (calls, found) = look(&[]);
    assert_eq!((calls, found.versions.len(), found.versions[2].created_ms), (3, 3, Some(1_700_000_000_500)));
    assert_eq!(look(&[]).0, 0);
    group.update(
        &json!({"ModelPackageArn": "arn:2", "ModelApprovalStatus": "Approved", "CustomerMetadataProperties": {}}),
    );
    assert_eq!(look(&[]).0, 1);
    group.packages.lock().unwrap().remove(&3);
    let (_, found) = look(&["1", "3"]);
    assert_eq!((found.gone, found.aliases["prod"].as_str()), (vec!["3".to_owned()], "2"));
    assert_eq!(kept.len(), 2);
}

#[test]
fn groups_have_the_names_that_sagemaker_takes() {
    assert_eq!(group_of("credit_model.v2"), "credit-model-v2");
    assert_eq!((group_of("__a__"), group_of(&"x_".repeat(60)).len()), ("a".to_owned(), 63));
    let models = ["a_b", "c", "a-b"].map(str::to_owned);
    assert_eq!(shared_group(&models, &Groups::new()), Some(("a_b", "a-b", "a-b".to_owned())));
    assert_eq!(shared_group(&models, &Groups::from([("a_b".to_owned(), "other".to_owned())])), None);
}
