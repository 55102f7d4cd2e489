//! The project's own source, as the tests of its structure read it.

use proc_macro2::{TokenStream, TokenTree};
use std::path::{Path, PathBuf};

/// The crates of the workspace by import name, with their folders.
pub(crate) const CRATES: &[(&str, &str)] = &[
    ("ir", "ir"),
    ("kernel", "kernel"),
    ("passes", "passes"),
    ("codegen", "codegen"),
    ("embed", "embed"),
    ("gradc_pool", "pool"),
    ("runtime", "runtime"),
    (ROOT, "."),
    ("aot", "aot"),
    ("gradc_build", "build"),
    ("gradc_onnx", "onnx"),
    ("gradc_serve", "serve"),
    ("gradc_plot", "plot"),
    ("gradc_cli", "cli"),
    ("gradc_tests", "tests"),
    ("gradc_benches", "benches"),
    ("random_graphs", "tests/random-graphs"),
    ("damage", "tests/damage"),
    ("gradc_downstream", "tests/downstream"),
    ("gradc_pictures", "examples/pictures"),
    ("gradc_guide", "docs/guide"),
];
/// The root package.
pub(crate) const ROOT: &str = "gradc";

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder of a crate.
pub(crate) fn folder(krate: &str) -> PathBuf {
    let found = CRATES.iter().find(|(name, _)| *name == krate);
    let (_, folder) = found.unwrap_or_else(|| panic!("there is no crate `{krate}`"));
    if krate == ROOT { root().to_path_buf() } else { root().join(folder) }
}

/// The members that the workspace's manifest lists, by folder.
pub(crate) fn members() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let list = manifest.lines().skip_while(|line| !line.starts_with("members = ["));
    let list: String = list.take_while(|line| !line.starts_with("default-members")).collect();
    list.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

/// A file of Rust source.
pub(crate) struct Source {
    /// The crate it belongs to.
    pub(crate) krate: &'static str,
    /// From the workspace's folder, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// The file's syntax tree.
    pub(crate) fn parse(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|e| panic!("{}: {e}", self.path))
    }

    /// The file's tokens, those inside macros included.
    pub(crate) fn tokens(&self) -> Vec<TokenTree> {
        let stream: TokenStream = self.text.parse().unwrap_or_else(|e| panic!("{}: {e}", self.path));
        let mut flat = Vec::new();
        flatten(stream, &mut flat);
        flat
    }

    /// Whether it is part of what a user of the crate gets: not a test, a benchmark or an example.
    pub(crate) fn is_library(&self) -> bool {
        self.path.starts_with("src/") || self.path.contains("/src/")
    }
}

/// The tokens with those of groups after the group itself.
fn flatten(stream: TokenStream, flat: &mut Vec<TokenTree>) {
    for token in stream {
        let inner = match &token {
            TokenTree::Group(group) => Some(group.stream()),
            _ => None,
        };
        flat.push(token);
        if let Some(inner) = inner {
            flatten(inner, flat);
        }
    }
}

/// All Rust files of the workspace, in the order of their paths: sources, tests, benchmarks and examples.
pub(crate) fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for (krate, _) in CRATES {
        collect(krate, &folder(krate), &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 150, "only {} source files found", sources.len());
    sources
}

/// The Rust files in a folder of a crate; other crates' folders in it are left out, and what isn't source.
fn collect(krate: &'static str, folder: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !is_hidden && !path.ends_with("target") && !path.join("Cargo.toml").exists() {
            collect(krate, &path, sources);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().display().to_string().replace('\\', "/");
            sources.push(Source { krate, path, text });
        }
    }
}
