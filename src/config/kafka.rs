//! `kafka:`: the brokers, the group, and librdkafka's properties, whose secrets come from the environment or from files
//! and never show in what is printed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::key::{Key, default, names, optional, required};
use super::reader::ConfigReader;
use driftgate_core::yaml::{self, Item, NotFilled};

/// How to reach Kafka.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    pub brokers: String,
    pub group: String,
    /// librdkafka's properties, the environment filled in.
    pub properties: BTreeMap<String, String>,
    /// Properties whose values stand in files.
    pub property_files: BTreeMap<String, PathBuf>,
}

/// A secret's file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {} for the Kafka property {property}: {source}", path.display())]
pub struct SecretError {
    pub property: String,
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// Properties that the daemon's guarantees rest on, and what to write instead.
const RESERVED: [(&str, &str); 6] = [
    ("bootstrap.servers", "write `kafka.brokers`"),
    ("metadata.broker.list", "write `kafka.brokers`"),
    ("group.id", "write `kafka.group`"),
    ("enable.auto.commit", "leave it out: offsets are kept with the daemon's state"),
    ("enable.auto.offset.store", "leave it out: offsets are kept with the daemon's state"),
    ("auto.offset.reset", "leave it out: reading starts where the daemon's state ends"),
];

/// What to do, too, where an environment variable is not set.
const OR_A_FILE: &str = ", or name a file under `property_files`";

impl KafkaConfig {
    /// Every property for a client: brokers, group, properties, and the contents of the property files without their
    /// last line break. Not for logs.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn client_properties(&self) -> Result<BTreeMap<String, String>, SecretError> {
        let mut properties = self.properties.clone();
        properties.insert("bootstrap.servers".into(), self.brokers.clone());
        properties.insert("group.id".into(), self.group.clone());
        for (property, path) in &self.property_files {
            let value = std::fs::read_to_string(path).map_err(|source| SecretError {
                property: property.clone(),
                path: path.clone(),
                source,
            })?;
            properties.insert(property.clone(), value.trim_end_matches(['\n', '\r']).to_owned());
        }
        Ok(properties)
    }
}

/// Whether a property's value may hold a secret, by its name.
fn is_secret(property: &str) -> bool {
    let property = property.to_ascii_lowercase();
    ["password", "secret", "key", "token", "jaas", "credential", "pem", "oauthbearer.config"]
        .iter()
        .any(|word| property.contains(word))
}

/// Without secrets.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(property, value): (&String, &String)| {
            let value = if is_secret(property) { "***".to_owned() } else { value.clone() };
            (property.clone(), value)
        };
        let properties: BTreeMap<String, String> = self.properties.iter().map(shown).collect();
        out.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("properties", &properties)
            .field("property_files", &self.property_files)
            .finish()
    }
}

pub const KAFKA: [Key; 4] = [
    required("brokers", "text", "Addresses of brokers, separated by commas."),
    default(
        "group",
        "text",
        "driftgate",
        "Consumer group. One daemon reads for it, and a second one is refused; the processes of a `cluster` share it.",
    ),
    default("properties", "mapping", "{}", "Properties of librdkafka, but for those that driftgate sets."),
    optional("property_files", "mapping", "Properties whose values are read from files, for secrets."),
];

impl ConfigReader<'_> {
    pub(super) fn kafka(&self, item: &Item) -> Option<KafkaConfig> {
        let map = item.map(const { &names(&KAFKA) })?;
        let brokers = map.require("brokers", "\"localhost:9092\"").and_then(|item| {
            let text = item.text("the brokers' addresses")?.to_owned();
            if text.split(',').any(|broker| broker.trim().is_empty()) {
                return item.fail("expected addresses separated by commas: write them like \"a:9092,b:9092\"");
            }
            Some(text)
        });
        let group = map
            .get("group")
            .map_or_else(|| Some("driftgate".to_owned()), |item| item.name("a consumer group").map(str::to_owned));
        let properties = map.get("properties").map_or_else(|| Some(BTreeMap::new()), |item| self.properties(&item));
        let mut property_files = BTreeMap::new();
        if let Some(item) = map.get("property_files") {
            for (property, item) in item.open_map("a mapping such as {ssl.key.password: secrets/key}")?.entries() {
                let twice = properties.as_ref().is_some_and(|properties| properties.contains_key(property));
                if allowed(property, &item) && twice {
                    item.report(format!("`{property}` is among the `properties` too: keep one"));
                } else if let Some(path) = self.path(&item) {
                    property_files.insert(property.to_owned(), path);
                }
            }
        }
        Some(KafkaConfig { brokers: brokers?, group: group?, properties: properties?, property_files })
    }

    fn properties(&self, item: &Item) -> Option<BTreeMap<String, String>> {
        let mut properties = BTreeMap::new();
        for (property, item) in item.open_map("a mapping such as {security.protocol: ssl}")?.entries() {
            if !allowed(property, &item) {
                continue;
            }
            let Some(text) = item.scalar() else {
                item.report("expected a text, number or boolean: write one value");
                continue;
            };
            if let Some(value) = self.substituted(&item, text, OR_A_FILE) {
                properties.insert(property.to_owned(), value);
            }
        }
        Some(properties)
    }

    /// `${NAME}` from the environment; no message quotes the value around it, which may hold a secret.
    pub(super) fn substituted(&self, item: &Item, text: &str, or_else: &str) -> Option<String> {
        match yaml::filled(text, self.environment) {
            Ok(value) => Some(value),
            Err(why @ NotFilled::NotSet(_)) => item.fail(format!("{why}{or_else}")),
            Err(why) => item.fail(why.to_string()),
        }
    }
}

fn allowed(property: &str, item: &Item) -> bool {
    match RESERVED.iter().find(|(name, _)| *name == property) {
        Some((_, instead)) => {
            item.report(format!("`{property}` is set by driftgate: {instead}"));
            false
        }
        None => true,
    }
}
