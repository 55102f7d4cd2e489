//! Keys that clients must show: read from a file, compared in constant time.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use subtle::{Choice, ConstantTimeEq};

/// The header for clients that can't set `Authorization`.
const OTHER_HEADER: &str = "x-api-key";
/// Bytes of a key at least: shorter ones can be guessed.
const SHORTEST: usize = 16;

/// The keys that a server takes, as digests: comparing those in constant time shows neither what a key has in common with another one nor how long it is.
#[derive(Clone)]
pub struct ApiKeys(Vec<[u8; 32]>);

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file can't be read.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is no key.
    #[error("{}:{line}: a key has at least {SHORTEST} characters, all visible and of ASCII; `openssl rand -hex 32` makes one", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// A file of blank lines.
    #[error("{}: there is no key in it; put one on each line, or leave the option out to let everybody in", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
}

impl ApiKeys {
    /// The keys of a file, one on each line. Blank lines, and those that begin with `#`, are passed over.
    ///
    /// # Errors
    /// A file that can't be read or has no keys; a key that is too short or can't stand in a header.
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(file).map_err(|source| KeyError::File { file: file.into(), source })?;
        let mut keys = vec![];
        for (at, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.len() < SHORTEST || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(KeyError::Line { file: file.into(), line: at + 1 });
            }
            keys.push(Sha256::digest(line).into());
        }
        if keys.is_empty() { Err(KeyError::Empty { file: file.into() }) } else { Ok(Self(keys)) }
    }

    /// Whether a request shows one of the keys: `Authorization: Bearer KEY`, or `x-api-key: KEY`. Takes the same time whichever it is, and if it is none.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        shown(headers).is_some_and(|key| {
            let digest: [u8; 32] = Sha256::digest(key).into();
            self.0.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&digest)).into()
        })
    }
}

/// The key that a request shows.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return headers.get(OTHER_HEADER).map(|key| key.as_bytes());
    };
    let (scheme, key) = authorization.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn keys(text: &str) -> Result<ApiKeys, KeyError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        std::fs::write(&file, text).unwrap();
        ApiKeys::read(&file)
    }

    fn admits(keys: &ApiKeys, name: &'static str, value: &'static str) -> bool {
        let header = (HeaderName::from_static(name), HeaderValue::from_static(value));
        keys.admit(&HeaderMap::from_iter([header]))
    }

    #[test]
    fn only_who_shows_a_key_is_admitted() {
        let keys = keys("# of the first client\n0123456789abcdef\n\nfedcba9876543210\n").unwrap();
        for key in ["Bearer 0123456789abcdef", "bearer fedcba9876543210", "Bearer  fedcba9876543210"] {
            assert!(admits(&keys, "authorization", key), "{key}");
        }
        assert!(admits(&keys, "x-api-key", "fedcba9876543210"));
        for key in [
            "Bearer 0123456789abcdeF",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer ",
            "Bearer 0123456789abcde",
            "",
        ] {
            assert!(!admits(&keys, "authorization", key), "{key}");
        }
        assert!(!admits(&keys, "x-api-key", "# of the first client") && !keys.admit(&HeaderMap::new()));
        assert_eq!(format!("{keys:?}"), "ApiKeys(2)");
    }

    #[test]
    fn files_without_good_keys_are_refused() {
        assert!(keys("\n# 0123456789abcdef\n").unwrap_err().to_string().contains("there is no key"));
        assert!(keys("0123456789abcdef\nshort\n").unwrap_err().to_string().contains("keys:2: a key has at least 16"));
        assert!(keys("0123456789 abcdef\n").is_err() && keys("0123456789abcdeä\n").is_err());
        assert!(matches!(ApiKeys::read(Path::new("/none")), Err(KeyError::File { .. })));
    }
}
