//! The days in an object store: `<URL>/<model>/<day>.parquet`, as they lie in the folder. The folder is what is read; the store keeps a copy,
//! from which a process fetches the days that its folder lacks.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Runtime;

use super::HistoryError;
use super::place::{self, Day, Kind};
use crate::stores::{Place, Stores};

/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A store, and a folder in it.
pub struct Remote {
    place: Place,
    runtime: Runtime,
}

impl Remote {
    /// The store of a URL; nothing is asked yet.
    ///
    /// # Errors
    /// A URL of no store.
    pub fn open(url: &str, stores: &Stores) -> Result<Self, HistoryError> {
        Self::at(stores.open(url).map_err(HistoryError::Store)?)
    }

    fn at(place: Place) -> Result<Self, HistoryError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { place, runtime: runtime.map_err(|e| HistoryError::Store(e.to_string()))? })
    }

    fn path(&self, model: &str, day: Day) -> Option<Path> {
        Some(self.place.1.clone().join(place::folder_name(model)).join(place::name(day, Kind::Parquet)?))
    }

    fn within<T>(&self, work: impl Future<Output = object_store::Result<T>>) -> Result<T, HistoryError> {
        let done = self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, work).await });
        let done = done.map_err(|_| HistoryError::Store(format!("no answer within {} s", TIMEOUT.as_secs())))?;
        done.map_err(|e| HistoryError::Store(e.to_string()))
    }

    /// Copies a day there.
    ///
    /// # Errors
    /// A store that does not take it.
    pub fn put(&self, model: &str, day: Day, bytes: Vec<u8>) -> Result<(), HistoryError> {
        let Some(path) = self.path(model, day) else { return Ok(()) };
        self.within(self.place.0.put(&path, bytes.into())).map(drop)
    }

    /// A day, if it is there.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn get(&self, model: &str, day: Day) -> Result<Option<Vec<u8>>, HistoryError> {
        let Some(path) = self.path(model, day) else { return Ok(None) };
        self.within(async {
            match self.place.0.get(&path).await {
                Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(e) => Err(e),
            }
        })
    }

    /// Deletes a day.
    ///
    /// # Errors
    /// A store that does not do it.
    pub fn delete(&self, model: &str, day: Day) -> Result<(), HistoryError> {
        let Some(path) = self.path(model, day) else { return Ok(()) };
        self.within(async {
            match self.place.0.delete(&path).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                done => done,
            }
        })
    }

    /// The days that are there, by model, with their lengths.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn days(&self) -> Result<BTreeMap<String, BTreeMap<Day, u64>>, HistoryError> {
        let root = &self.place.1;
        let listed = self.within(self.place.0.list(Some(root)).try_collect::<Vec<_>>())?;
        let mut found: BTreeMap<String, BTreeMap<Day, u64>> = BTreeMap::new();
        for meta in listed {
            let parts: Option<Vec<String>> =
                meta.location.prefix_match(root).map(|parts| parts.map(|part| part.as_ref().to_owned()).collect());
            let Some([folder, name]) = parts.as_deref() else { continue };
            let (Some(model), Some((day, Kind::Parquet))) = (place::model_of(&decoded(folder)), place::read_name(name))
            else {
                continue;
            };
            found.entry(model).or_default().insert(day, meta.size);
        }
        Ok(found)
    }
}

/// A part of a path as it was before the store's library encoded its `%`.
fn decoded(part: &str) -> String {
    part.replace("%25", "%")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    /// Two clients of one store.
    pub fn in_memory() -> (Remote, Remote) {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let place = || (Arc::clone(&store), Path::from("history/x"));
        (Remote::at(place()).unwrap(), Remote::at(place()).unwrap())
    }

    #[test]
    fn days_are_put_listed_fetched_and_deleted() {
        let (one, other) = in_memory();
        one.put("credit eu", 20_000, b"a".to_vec()).unwrap();
        one.put("m", 1, b"b".to_vec()).unwrap();
        one.put("m", 1, b"c".to_vec()).unwrap();
        let days = BTreeMap::from([
            ("credit eu".to_owned(), BTreeMap::from([(20_000, 1)])),
            ("m".to_owned(), BTreeMap::from([(1, 1)])),
        ]);
        assert_eq!(other.days().unwrap(), days);
        assert_eq!(other.get("m", 1).unwrap().as_deref(), Some(b"c".as_slice()));
        assert_eq!(other.get("credit eu", 20_000).unwrap().as_deref(), Some(b"a".as_slice()));
        other.delete("m", 1).unwrap();
        other.delete("m", 1).unwrap();
        assert_eq!(one.get("m", 1).unwrap(), None);
    }
}
