//! Objects of an artifact in a store: one, or all below a prefix. They are read as they come and never held, and only while
//! they have the tag and version that they were listed with.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStoreExt as _};

use super::part::{At, Each, MOST_FILES, Part};
use crate::http_client::with_cause;
use crate::stores::{self, Stores};

/// A store that does not answer for so long has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Store {
    store: stores::Place,
    runtime: tokio::runtime::Runtime,
}

impl Store {
    /// The store of a URL, for a thread of its own.
    pub fn open(location: &str, stores: &Stores) -> Result<Self, String> {
        let store = stores.open(location)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        Ok(Self { store, runtime })
    }

    /// The object at the location, or those below it; and whether it is one.
    pub fn list(&self) -> Result<(Vec<Part>, bool), String> {
        let (store, root) = &self.store;
        self.within(async {
            match store.head(root).await {
                Ok(meta) => return Ok((vec![part(&meta, String::new())], true)),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(with_cause(&e)),
            }
            let mut parts = Vec::new();
            let mut listed = store.list(Some(root));
            while let Some(meta) = listed.next().await {
                let meta = meta.map_err(|e| with_cause(&e))?;
                let below: Vec<String> =
                    meta.location.prefix_match(root).into_iter().flatten().map(|p| p.as_ref().to_owned()).collect();
                parts.push(part(&meta, below.join("/")));
                if parts.len() > MOST_FILES {
                    return Err(format!("it has more than {MOST_FILES} objects"));
                }
            }
            Ok((parts, false))
        })
    }

    /// Gives the bytes of an object that is still what it was.
    pub fn read(&self, path: &str, tag: Option<&str>, length: u64, each: Each<'_>) -> Result<(), String> {
        let (store, _) = &self.store;
        let of = |e: object_store::Error| format!("{path}: {}", with_cause(&e));
        let path = Path::parse(path).map_err(|e| e.to_string())?;
        self.runtime.block_on(async {
            let options = GetOptions { if_match: tag.map(str::to_owned), ..GetOptions::default() };
            let got = tokio::time::timeout(TIMEOUT, store.get_opts(&path, options)).await;
            let mut parts = got.map_err(|_| silent())?.map_err(of)?.into_stream();
            let mut left = length;
            while let Some(bytes) = tokio::time::timeout(TIMEOUT, parts.next()).await.map_err(|_| silent())? {
                let bytes = bytes.map_err(of)?;
                left =
                    left.checked_sub(bytes.len() as u64).ok_or_else(|| format!("{path} changed while it was read"))?;
                each(&bytes)?;
            }
            if left == 0 { Ok(()) } else { Err(format!("{path} changed while it was read")) }
        })
    }

    fn within<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| Err(silent())) })
    }
}

fn silent() -> String {
    format!("no answer within {} s; is the store reachable?", TIMEOUT.as_secs())
}

fn part(meta: &ObjectMeta, name: String) -> Part {
    let stamp = format!("{:?} {:?} {}", meta.e_tag, meta.version, meta.last_modified);
    let at = At::Object { path: meta.location.to_string(), tag: meta.e_tag.clone() };
    Part { name, length: meta.size, stamp, link: false, at }
}
