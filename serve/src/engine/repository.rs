//! Where models come from: a file, or a folder with a numbered folder or file for each version.

use super::EngineOptions;
use gradc::compile::CompileOptions;
use gradc::train::Predictor;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A model by its name: `NAME=FILE` of the command line. A folder has versions, as TensorFlow Serving and Triton have them: `1/model.safetensors`, or `1.safetensors`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelSource {
    /// What requests call it.
    pub name: String,
    /// The file, or the folder.
    pub path: PathBuf,
}

/// Why a text isn't `NAME=FILE`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// No `=`, or nothing at a side of it.
    #[error("{0:?} isn't NAME=FILE")]
    Form(String),
    /// A name that addresses can't have.
    #[error("{0:?} is no name of a model: letters, digits, `_`, `-` and `.` are")]
    Name(String),
}

impl std::str::FromStr for ModelSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let form = || SourceError::Form(text.into());
        let (name, path) = text.split_once('=').ok_or_else(form)?;
        if name.is_empty() || path.is_empty() {
            return Err(form());
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return Err(SourceError::Name(name.into()));
        }
        Ok(Self { name: name.into(), path: path.into() })
    }
}

/// The endings of files of models.
const SAVED: &str = "safetensors";
const ONNX: &str = "onnx";
const BUILT: [&str; 2] = ["so", "dylib"];

impl ModelSource {
    /// The versions that there are, with their files. A file is version 1.
    pub(super) fn versions(&self) -> Result<BTreeMap<u64, PathBuf>, String> {
        let told = |e: io::Error| format!("{}: {e}", self.path.display());
        if !std::fs::metadata(&self.path).map_err(told)?.is_dir() {
            return Ok([(1, self.path.clone())].into());
        }
        let mut versions = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path).map_err(told)? {
            let path = entry.map_err(told)?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let (Some(number), Some(file)) = (number, model_in(&path)) {
                versions.insert(number, file);
            }
        }
        if versions.is_empty() {
            let path = self.path.display();
            return Err(format!("{path}: there is no version in the folder, as `1/model.safetensors` or `1.onnx`"));
        }
        Ok(versions)
    }
}

/// The file of a model: the path itself, or the one such file of a folder.
fn model_in(path: &Path) -> Option<PathBuf> {
    let is_model = |path: &Path| {
        path.extension().is_some_and(|extension| extension == SAVED || extension == ONNX) || is_built(path)
    };
    if path.is_dir() {
        let mut files = std::fs::read_dir(path).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        return files.find(|file| is_model(file));
    }
    is_model(path).then(|| path.to_path_buf())
}

/// Whether a file is a shared library.
fn is_built(path: &Path) -> bool {
    path.extension().is_some_and(|extension| BUILT.iter().any(|built| extension == *built))
}

/// The predictor of a model's file, and what the file is of.
pub(super) fn read(path: &Path, options: &EngineOptions) -> Result<(Predictor, &'static str), String> {
    let compile = CompileOptions::threads(options.threads.max(1)).cache(options.cache.clone());
    if path.extension().is_some_and(|extension| extension == ONNX) {
        return read_onnx(path, options, compile).map(|predictor| (predictor, "onnx"));
    }
    if is_built(path) {
        return read_built(path, compile).map(|predictor| (predictor, "gradc_built"));
    }
    Predictor::load(path, compile).map(|predictor| (predictor, "gradc")).map_err(|e| e.to_string())
}

#[cfg(feature = "onnx")]
fn read_onnx(path: &Path, options: &EngineOptions, compile: CompileOptions) -> Result<Predictor, String> {
    let import = gradc_onnx::Import::new(path);
    let import = options.dims.iter().fold(import, |import, (name, extent)| import.dim(name, *extent));
    import.predictor(options.max_batch, compile).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(not(feature = "onnx"))]
fn read_onnx(path: &Path, _: &EngineOptions, _: CompileOptions) -> Result<Predictor, String> {
    Err(format!("{}: models of ONNX need the feature `onnx`: cargo build --features serve,onnx", path.display()))
}

#[cfg(feature = "built")]
fn read_built(path: &Path, compile: CompileOptions) -> Result<Predictor, String> {
    Predictor::load_built(path, compile).map_err(|e| e.to_string())
}

#[cfg(not(feature = "built"))]
fn read_built(path: &Path, _: CompileOptions) -> Result<Predictor, String> {
    Err(format!("{}: shared libraries of models need the feature `built`", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_in_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let source = |path: &Path| ModelSource { name: "m".into(), path: path.into() };
        assert!(source(&dir.path().join("none")).versions().unwrap_err().contains("none"));
        assert!(source(dir.path()).versions().unwrap_err().contains("no version"));
        for file in ["3.onnx", "x.onnx", "4.txt", "m.safetensors", "7.so"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("12")).unwrap();
        std::fs::create_dir(dir.path().join("13")).unwrap();
        std::fs::write(dir.path().join("12/model.safetensors"), "").unwrap();
        let versions = source(dir.path()).versions().unwrap();
        assert_eq!(versions.keys().copied().collect::<Vec<_>>(), [3, 7, 12]);
        assert!(versions[&12].ends_with("12/model.safetensors"));
        let file = dir.path().join("m.safetensors");
        assert_eq!(source(&file).versions().unwrap(), [(1, file)].into());
    }

    #[test]
    fn names_are_those_of_addresses() {
        let parsed = |text: &str| text.parse::<ModelSource>();
        assert_eq!(parsed("m=a=b").unwrap(), ModelSource { name: "m".into(), path: "a=b".into() });
        assert!(matches!(parsed("m"), Err(SourceError::Form(_))) && matches!(parsed("=m"), Err(SourceError::Form(_))));
        assert!(matches!(parsed("a/b=m"), Err(SourceError::Name(_))));
    }
}
