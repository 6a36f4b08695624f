//! Who asks a registry: the logins of `docker login`, from a file or from the helpers that it names.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use docker_credential::{
    CredentialRetrievalError, DockerCredential, get_credential, get_credential_from_reader, get_podman_credential,
};
use oci_client::secrets::RegistryAuth;

use super::error::OciError;

/// What Docker's own registry is called in files of logins.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The login for a registry; none where nobody has logged in, as for what everybody may read.
pub(super) fn login(registry: &str, file: Option<&Path>) -> Result<RegistryAuth, OciError> {
    let failed = |why: String| OciError::Login { registry: registry.to_owned(), why };
    let name = if matches!(registry, "docker.io" | "index.docker.io") { DOCKER_HUB } else { registry };
    let found = match file {
        Some(path) => {
            let opened = File::open(path).map_err(|e| failed(format!("{}: {e}", path.display())))?;
            get_credential_from_reader(BufReader::new(opened), name)
        }
        None => match get_credential(name) {
            // Podman and buildah keep logins elsewhere, in the same form.
            Err(
                CredentialRetrievalError::ConfigReadError
                | CredentialRetrievalError::ConfigNotFound
                | CredentialRetrievalError::NoCredentialConfigured,
            ) => get_podman_credential(name),
            found => found,
        },
    };
    match found {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(failed(
            "it is an identity token, which is not exchanged here: log in with a user and an access token".to_owned(),
        )),
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok(RegistryAuth::Anonymous)
        }
        // A file that was named has to be one; elsewhere there may be none.
        Err(CredentialRetrievalError::ConfigReadError) if file.is_none() => Ok(RegistryAuth::Anonymous),
        Err(e) => Err(failed(e.to_string())),
    }
}
