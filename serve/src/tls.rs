//! Encrypted connections: a certificate and its key from files, by rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why connections can't be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file that can't be read, or isn't PEM.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A certificate and a key that don't go together, or of a kind that isn't provided.
    #[error("{} with {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Where a certificate and its key are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// A chain of certificates in PEM, the server's own first.
    pub certificate: PathBuf,
    /// The private key of the first, in PEM.
    pub key: PathBuf,
}

/// How connections are encrypted; clients that ask are told the protocol that is spoken on them (ALPN).
///
/// # Errors
/// Files that can't be read or aren't what they should be; a key that isn't the certificate's.
pub fn config(files: &TlsFiles, protocol: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsFiles { certificate, key } = files;
    let file = |file: &Path| {
        let file = file.to_path_buf();
        move |source| TlsError::File { file, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(file(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(file(key))?;
    let pair = |source| TlsError::Pair { certificate: certificate.clone(), key: key.clone(), source };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(pair)?.with_no_client_auth();
    let mut config = config.with_single_cert(chain, private).map_err(pair)?;
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(Arc::new(config))
}
