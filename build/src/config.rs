//! How steps are compiled in a build script.

use crate::ScriptError;
use crate::manifest::Manifest;
use aot::{CompileObject, Files, ObjectOptions, compile_graph, compile_steps};
use gradc::compile::CompileOptions;
use gradc::dsl::Step;
use ir::{Graph, Value};
use kernel::Target;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use target_lexicon::{Architecture, OperatingSystem, Triple};

/// Options of a build script's compilation; [`Self::compile_file`] and [`Self::compile_step`] do it.
#[derive(Clone, Debug, Default)]
pub struct Config {
    name: Option<String>,
    target: Option<String>,
    cpus: Vec<String>,
    native: bool,
    weights: Option<PathBuf>,
    out_dir: Option<PathBuf>,
    memory_limit: Option<usize>,
}

impl Config {
    /// Code for cargo's target: on x86-64 for its baseline (FMA), AVX2 and AVX-512, of which the program takes what the processor has.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a step of a file is called, in place of the file's name without its extension: the prefix of its symbols, and what `include_step!` takes.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The triple to compile for, in place of cargo's `TARGET`. Another architecture than this machine's needs the feature `cross`.
    #[must_use]
    pub fn target(self, triple: impl Into<String>) -> Self {
        Self { target: Some(triple.into()), ..self }
    }

    /// The instruction sets to compile for, by the names that `gradc build --cpu` takes: `baseline`, `avx2`, `avx512`, ...
    #[must_use]
    pub fn cpus<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { cpus: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Compiles for the machine that builds, its instructions and the sizes of its caches, as `Step::compile` does: the same bits as there, and no other machine may have them.
    #[must_use]
    pub fn native(self) -> Self {
        Self { native: true, ..self }
    }

    /// A file of safetensors with values that states start with, by name; it is watched. States that it doesn't have start as the model says; what is no state is left out.
    #[must_use]
    pub fn weights(self, path: impl Into<PathBuf>) -> Self {
        Self { weights: Some(path.into()), ..self }
    }

    /// How many bytes the arena of a step may have, scratch memory of threads apart: activations are computed again as far as that needs it.
    #[must_use]
    pub fn memory_limit(self, bytes: usize) -> Self {
        Self { memory_limit: Some(bytes), ..self }
    }

    /// The folder to write to, in place of cargo's `OUT_DIR`.
    #[must_use]
    pub fn out_dir(self, folder: impl Into<PathBuf>) -> Self {
        Self { out_dir: Some(folder.into()), ..self }
    }

    /// Compiles a graph's text (`graph.to_string()`); cargo watches the file. States start with zeros unless [`Self::weights`] has values.
    ///
    /// # Errors
    /// A file that can't be read, or isn't a graph, with the line; a target or an instruction set that there isn't; what can't be compiled or written.
    pub fn compile_file(&self, path: impl AsRef<Path>) -> Result<(), ScriptError> {
        let path = path.as_ref();
        watch(path);
        let text = std::fs::read_to_string(path).map_err(|error| ScriptError::Read { path: path.to_owned(), error })?;
        let graph = Graph::parse(&text).map_err(|error| ScriptError::Graph { path: path.to_owned(), error })?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        let name = self.name.clone().or(stem).ok_or_else(|| ScriptError::NoName { path: path.to_owned() })?;
        let options = self.options(&name, [&graph])?;
        self.finish(&compile_graph(&graph, &options)?)
    }

    /// Compiles a declared step, of training or of prediction, which is called as said. Cargo watches the build script: what it declares the step by, when that is in other
    /// files, is for the script to name.
    ///
    /// # Errors
    /// As [`Self::compile_file`].
    pub fn compile_step(&self, name: &str, step: &Step) -> Result<(), ScriptError> {
        let options = self.options(name, [&step.graph])?;
        self.finish(&step.compile_object(&options)?)
    }

    /// Compiles several steps of one model, which run on one value of `States`: with the name `cnn`, the step `train` is called `cnn_train`.
    ///
    /// # Errors
    /// As [`Self::compile_file`]; steps of one name, or which say different things about a state.
    pub fn compile_steps(&self, name: &str, steps: &[(&str, &Step)]) -> Result<(), ScriptError> {
        let options = self.options(name, steps.iter().map(|(_, step)| &step.graph))?;
        compile_steps(steps, &options)?.iter().try_for_each(|files| self.finish(files))
    }

    fn options<'g>(
        &self,
        name: &str,
        graphs: impl IntoIterator<Item = &'g Graph>,
    ) -> Result<ObjectOptions, ScriptError> {
        let memory_limit = self.memory_limit;
        let options = ObjectOptions { memory_limit, ..ObjectOptions::named(name).targets(self.targets()?) };
        Ok(options.values(self.values(graphs)?))
    }

    /// The machines.
    fn targets(&self) -> Result<Vec<Target>, ScriptError> {
        if self.native {
            return Ok(vec![CompileOptions::default().target_or_host()?]);
        }
        let triple = match &self.target {
            Some(triple) => triple.clone(),
            None => variable("TARGET", "target")?,
        };
        let read = triple.parse::<Triple>();
        let triple = read.map_err(|error| ScriptError::Triple { triple, message: error.to_string() })?;
        let cpus: Vec<&str> = match (self.cpus.is_empty(), triple.architecture, triple.operating_system) {
            (false, ..) => self.cpus.iter().map(String::as_str).collect(),
            // Wide vectors follow the System V convention.
            (true, Architecture::X86_64, system) if system != OperatingSystem::Windows => {
                vec!["baseline", "avx2", "avx512"]
            }
            (true, ..) => vec!["baseline"],
        };
        Ok(aot::targets(&Target::generic(triple)?, cpus)?)
    }

    /// What states start with, of the file of weights.
    fn values<'g>(&self, graphs: impl IntoIterator<Item = &'g Graph>) -> Result<BTreeMap<String, Value>, ScriptError> {
        let Some(path) = &self.weights else { return Ok(BTreeMap::new()) };
        watch(path);
        Ok(aot::values_of_states(graphs, gradc::io::load_tensors(path)?))
    }

    /// Writes what was built, and the wrapper, and tells cargo.
    fn finish(&self, files: &Files) -> Result<(), ScriptError> {
        let folder = match &self.out_dir {
            Some(folder) => folder.clone(),
            None => variable("OUT_DIR", "out_dir")?.into(),
        };
        let manifest: Manifest = serde_json::from_str(&files.manifest)
            .map_err(|error| ScriptError::Manifest { name: files.name.clone(), error })?;
        files.write(&folder)?;
        gradc::io::write_atomically(folder.join(format!("{}.rs", files.name)), manifest.wrapper().as_bytes())?;
        watch(Path::new("build.rs"));
        tell("rustc-link-search=native", &folder.display().to_string());
        tell("rustc-link-lib=static", &files.name);
        Ok(())
    }
}

/// Has cargo run the script again when a file changes.
fn watch(path: &Path) {
    tell("rerun-if-changed", &path.display().to_string());
}

/// What cargo reads of a build script.
#[expect(clippy::print_stdout, reason = "a build script speaks to cargo so")]
fn tell(key: &str, value: &str) {
    println!("cargo::{key}={value}");
}

/// What cargo says of itself.
fn variable(name: &'static str, instead: &'static str) -> Result<String, ScriptError> {
    std::env::var(name).map_err(|_| ScriptError::NoVariable { name, instead })
}
