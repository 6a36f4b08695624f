//! The key of the audit log in its file: read, or made where there is none.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use driftgate_core::audit::signed_head::{SEED_BYTES, Signer};

use crate::private;

/// Mode bits that let everybody on the machine at a key.
const EVERYBODY: u32 = 0o007;

/// Why the key of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("the audit key {} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the audit key {} cannot be written: {source}; check that its folder exists and is writable", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the audit key {} can be read by everybody (mode {mode:o}): chmod 600 it, and replace it if it was seen", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "the audit key {} is no Ed25519 key in PKCS#8 PEM: restore it, or move it away for a new one \
         (keep the old public key, the heads signed so far need it)", path.display()
    )]
    NotAKey { path: PathBuf },
    #[error("no audit key can be made: the cryptographic library failed")]
    Generate,
}

/// Where the key that signs the audit log of a registry lies: beside it.
#[must_use]
pub fn beside(registry: &Path) -> PathBuf {
    registry.with_extension("audit-key")
}

/// The key in this file (PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it), made when there is none.
///
/// # Errors
/// A file that cannot be read or written, that everybody may read, or that holds something else.
pub fn open(path: &Path) -> Result<Signer, KeyFileError> {
    read(path)?.map_or_else(|| create(path), Ok)
}

/// The key in this file; `None` where there is no file.
fn read(path: &Path) -> Result<Option<Signer>, KeyFileError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
            if mode & EVERYBODY != 0 {
                return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
            }
            private::tighten(path);
            Signer::from_pem(&text).map(Some).map_err(|_| KeyFileError::NotAKey { path: path.to_owned() })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(KeyFileError::NotAKey { path: path.to_owned() }),
        Err(source) => Err(KeyFileError::Read { path: path.to_owned(), source }),
    }
}

/// A new key in a new file, or the key of the process that made the file meanwhile; when this returns it is on the disk. The file
/// appears with the whole key in it, since half a key would stop every later start.
fn create(path: &Path) -> Result<Signer, KeyFileError> {
    // From the system's own source: setting up the library's takes longer than all else that a start does.
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(|_| KeyFileError::Generate)?;
    let (signer, pem) = Signer::from_seed(&seed).ok_or(KeyFileError::Generate)?;
    let failed = |source| KeyFileError::Write { path: path.to_owned(), source };
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file =
            tempfile::Builder::new().permissions(Permissions::from_mode(private::FILE)).tempfile_in(folder)?;
        file.write_all(pem.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path)?;
        File::open(folder)?.sync_all()
    };
    match write() {
        Ok(()) => Ok(signer),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => read(path)?.ok_or_else(|| failed(e)),
        Err(e) => Err(failed(e)),
    }
}

#[cfg(test)]
mod tests;
