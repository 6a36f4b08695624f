//! Whether the registry is the one that the state belongs to. The state folder holds the id of the registry that this daemon
//! ran with; where another one, or another audit key, takes its place, stages, approvals and the audit log of before are missing,
//! and the daemon reports that until an operator restores them or accepts the new one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::files::{FILE, Files, REGISTRY_ID};
use crate::clock::now_ms;
use crate::config::Config;
use crate::ledger::{Embedded, Likeness, RegistryError, home};
use crate::private;
use crate::telemetry::events::start::{NotAccepted, RegistryDoubted};
use crate::view::doubts::Doubts;
use driftgate_core::codec::time::utc;

/// A registry that was made within this time was made by this start.
const JUST_NOW_MS: i64 = 60_000;

/// Looks whether the registry belongs to the state, without changing anything.
///
/// # Errors
/// A registry that fails.
pub fn doubts(config: &Config, registry: &Embedded) -> Result<Doubts, RegistryError> {
    let Likeness { id, made_ms, key_id } = registry.likeness()?;
    let path = home::find(&config.registry.path, &config.registry_before());
    let made = made_ms.map_or_else(String::new, |at| format!(", made at {},", utc(at)));
    let lost = "versions, stages, approvals and the audit log of before are not in it";
    let (mut why, mut is_first) = (Vec::new(), false);
    let path_shown = path.display();
    match fs::read_to_string(marker(&config.state.path)) {
        Ok(known) if known.trim() == id => {}
        Ok(_) => why.push(format!(
            "the registry {path_shown} (id {id}){made} is not the one that the state belongs to: {lost}"
        )),
        // A release before wrote none.
        Err(_) => {
            let saved = Files::new(&config.state.path).written_ms(FILE);
            is_first = saved.is_none() && made_ms.is_some_and(|made| now_ms().saturating_sub(made) < JUST_NOW_MS);
            if saved.zip(made_ms).is_some_and(|(saved, made)| made > saved) {
                why.push(format!("the registry {path_shown} (id {id}){made} is newer than the state: {lost}"));
            }
        }
    }
    let is_another = !why.is_empty();
    if let (Some(_), Some(key)) = (registry.other_key(), key_id) {
        why.push(format!(
            "the audit key {} is not the one that the registry's records were signed with ({key}): `audit verify` needs that one's public half",
            Embedded::key_path(&path).display()
        ));
    }
    Ok(Doubts { id, is_another, is_first, why })
}

/// The same, with what an operator accepted; what is not doubted is remembered.
///
/// # Errors
/// A registry that fails, or a state folder that cannot be written.
pub fn settle(config: &Config, registry: &Embedded, accepted: Option<&str>) -> anyhow::Result<Doubts> {
    let mut found = doubts(config, registry)?;
    let is_accepted = accepted == Some(found.id.as_str());
    if let Some(given) = accepted.filter(|_| !is_accepted) {
        NotAccepted::Registry { given, id: &found.id }.emit();
    }
    if is_accepted {
        registry.accept_key()?;
        found = Doubts { id: found.id, ..Doubts::default() };
    }
    for why in &found.why {
        RegistryDoubted { id: &found.id, why }.emit();
    }
    if !found.is_first {
        remember(config, &found)?;
    }
    Ok(found)
}

/// What a first start comes to, once the brokers say whether the group has committed offsets.
///
/// # Errors
/// A state folder that cannot be written.
pub fn first_start(config: &Config, found: &mut Doubts, has_committed: bool) -> anyhow::Result<()> {
    if has_committed {
        let path = config.registry.path.display();
        let why = format!(
            "the registry {path} (id {}) is new, and so is the state, but the Kafka group has committed offsets: a driftgate ran before, and \
             its versions, stages, approvals and audit log are not in it",
            found.id
        );
        RegistryDoubted { id: &found.id, why: &why }.emit();
        (found.is_another, found.why) = (true, vec![why]);
    }
    remember(config, found)
}

/// The registry of a cluster belongs to its state: both are what the cluster's topics have.
///
/// # Errors
/// A registry that fails, or a state folder that cannot be written.
pub fn adopt(config: &Config, registry: &Embedded) -> anyhow::Result<Doubts> {
    let found = Doubts { id: registry.likeness()?.id, ..Doubts::default() };
    remember(config, &found)?;
    Ok(found)
}

fn remember(config: &Config, found: &Doubts) -> anyhow::Result<()> {
    let marker = marker(&config.state.path);
    // Of a state that no registry was noted for, and that is older than this one, something must stand there.
    let noted = match (found.is_another, marker.exists()) {
        (false, _) => found.id.as_str(),
        (true, true) => return Ok(()),
        (true, false) => "another",
    };
    if fs::read_to_string(&marker).ok().as_deref() != Some(noted) {
        let fresh = marker.with_extension("new");
        private::write(&fresh, noted.as_bytes())?;
        fs::rename(&fresh, &marker)?;
    }
    Ok(())
}

fn marker(state: &Path) -> PathBuf {
    state.join(REGISTRY_ID)
}
