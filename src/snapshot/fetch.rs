//! The bytes of a snapshot by its location: a file, or an object in a store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use object_store::{ObjectStore, ObjectStoreExt as _, parse_url_opts};

/// A snapshot that is not there after this long has failed.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Environment variables that configure object stores.
const OPTIONS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// Reads the bytes at `location`: a path, relative to `directory`, or a URL.
///
/// # Errors
/// What went wrong and what to do, for people.
pub fn fetch(directory: &Path, location: &str) -> Result<Vec<u8>, String> {
    match location.split_once("://") {
        Some(("file", path)) => read(Path::new(path)),
        Some(_) => remote(location),
        None => read(&directory.join(location)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    std::fs::read(path).map_err(|e| format!("cannot read the file {:?}: {e}", shown.display().to_string()))
}

fn remote(location: &str) -> Result<Vec<u8>, String> {
    let url = reqwest::Url::parse(location).map_err(|e| format!("it is no URL: {e}"))?;
    let options = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let options: Vec<(String, String)> = options.filter(|(k, _)| OPTIONS.iter().any(|o| k.starts_with(o))).collect();
    let (store, path) = parse_url_opts(&url, options).map_err(|e| {
        format!("{e}; use a path, s3://, gs:// or az://, configured by {}… variables", OPTIONS.join("…, "))
    })?;
    // On a thread of its own, since the caller may be inside a runtime already.
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(async {
            match tokio::time::timeout(TIMEOUT, get(store.as_ref(), &path)).await {
                Ok(got) => got.map_err(|e| e.to_string()),
                Err(_) => Err(format!("no answer within {} s; is the store reachable?", TIMEOUT.as_secs())),
            }
        })
    };
    std::thread::scope(|s| {
        s.spawn(work).join().unwrap_or_else(|_| Err("the client of the object store stopped".to_owned()))
    })
}

async fn get(store: &dyn ObjectStore, path: &object_store::path::Path) -> object_store::Result<Vec<u8>> {
    Ok(store.get(path).await?.bytes().await?.to_vec())
}
