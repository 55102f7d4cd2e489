//! No circles between files: who reads one should not have to know all.
//!
//! A file depends on those whose items it names, in `use` lines or in paths. What is named through a re-export depends on where it is
//! defined. Methods of one type that stand in several files don't count: they are found by the type.

use crate::source::{Source, folder, sources};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::Visit;

/// The path of a module in its crate.
type ModulePath = Vec<String>;

/// A crate, and which of its files name the head of a recursion that the graph's grammar asks for: the body of a scan is a graph, and handled as one.
const CRATES: [(&str, &[(&str, &str)]); 2] =
    [("codegen", &[]), ("passes", &[("autodiff::scan::joint", "autodiff::sweep"), ("lower::scan", "lower")])];

/// What a file names.
#[derive(Default)]
struct NamedPaths {
    /// Paths as written, and whether they are re-exported.
    paths: Vec<(Vec<String>, bool)>,
}

impl NamedPaths {
    fn tree(&mut self, tree: &syn::UseTree, mut prefix: Vec<String>, public: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.tree(&path.tree, prefix, public);
            }
            syn::UseTree::Name(syn::UseName { ident }) | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                prefix.push(ident.to_string());
                self.paths.push((prefix, public));
            }
            syn::UseTree::Glob(_) => self.paths.push((prefix, public)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, prefix.clone(), public)),
        }
    }
}

impl<'ast> Visit<'ast> for NamedPaths {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        // Tests may look at everything.
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, vec![], public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push((path.segments.iter().map(|s| s.ident.to_string()).collect(), false));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// The files of a crate, by module, and what they name.
struct Files {
    names: BTreeMap<ModulePath, NamedPaths>,
    exports: BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
}

impl Files {
    fn of(krate: &str) -> Self {
        let mut files = Self { names: BTreeMap::new(), exports: BTreeMap::new() };
        let root = format!("{}/src/", folder(krate).file_name().unwrap().to_string_lossy());
        for source in sources().iter().filter(|s| s.path.starts_with(&root)) {
            let module = module(source, &root);
            if module.last().is_none_or(|name| name != "tests") {
                let mut names = NamedPaths::default();
                names.visit_file(&source.parse());
                files.names.insert(module, names);
            }
        }
        for (module, names) in &files.names {
            for (path, _) in names.paths.iter().filter(|(_, public)| *public) {
                if let (Some(place), Some(name)) = (files.absolute(module, path), path.last()) {
                    files.exports.entry(module.clone()).or_default().insert(name.clone(), place);
                }
            }
        }
        files
    }

    /// A path from the crate's root; none if it leads elsewhere.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<ModulePath> {
        let supers = path.iter().take_while(|s| *s == "super").count();
        match path[0].as_str() {
            "crate" => Some(path[1..].to_vec()),
            "super" => Some([&module[..module.len().checked_sub(supers)?], &path[supers..]].concat()),
            "self" => Some([module, &path[1..]].concat()),
            name => {
                let child = [module, &[name.to_string()]].concat();
                self.names.contains_key(&child).then(|| [module, path].concat())
            }
        }
    }

    /// The file that defines what a path leads to.
    fn file(&self, mut path: ModulePath) -> ModulePath {
        for _ in 0..8 {
            let len = (0..=path.len()).rev().find(|&len| self.names.contains_key(&path[..len])).unwrap_or(0);
            let (file, rest) = path.split_at(len);
            let exported = rest.first().and_then(|name| self.exports.get(file)?.get(name));
            match exported {
                Some(place) if place[..] != path[..=len] => path = [&place[..], &rest[1..]].concat(),
                _ => return file.to_vec(),
            }
        }
        path
    }

    /// The other files that a file depends on.
    fn uses(&self, module: &ModulePath) -> BTreeSet<ModulePath> {
        let paths = self.names[module].paths.iter().filter(|(_, public)| !public);
        let files = paths.filter_map(|(path, _)| Some(self.file(self.absolute(module, path)?)));
        files.filter(|file| file != module).collect()
    }

    /// The groups of files of which each depends on each other, if nothing is made of these dependencies.
    fn circles(&self, without: &[(ModulePath, ModulePath)]) -> Vec<BTreeSet<ModulePath>> {
        let mut uses: BTreeMap<&ModulePath, BTreeSet<ModulePath>> =
            self.names.keys().map(|m| (m, self.uses(m))).collect();
        for (from, to) in without {
            assert!(uses.get_mut(from).is_some_and(|uses| uses.remove(to)), "{from:?} doesn't depend on {to:?}");
        }
        let reach = |from: &ModulePath| {
            let mut reached = BTreeSet::new();
            let mut open: Vec<&ModulePath> = uses[from].iter().collect();
            while let Some(module) = open.pop() {
                if reached.insert(module.clone()) {
                    open.extend(&uses[module]);
                }
            }
            reached
        };
        let reached: BTreeMap<&ModulePath, BTreeSet<ModulePath>> = uses.keys().map(|m| (*m, reach(m))).collect();
        let on_circle = uses.keys().filter(|m| reached[**m].contains(**m));
        let circles: BTreeSet<BTreeSet<ModulePath>> = on_circle
            .map(|m| reached[*m].iter().filter(|other| reached[*other].contains(*m)).cloned().collect())
            .collect();
        circles.into_iter().collect()
    }
}

/// The module that a file is.
fn module(source: &Source, root: &str) -> ModulePath {
    let path = source.path.trim_start_matches(root).trim_end_matches(".rs");
    let mut module: ModulePath = path.split('/').map(str::to_string).collect();
    if module.last().is_some_and(|name| name == "mod" || name == "lib") {
        module.pop();
    }
    module
}

#[test]
fn files_form_no_circles() {
    for (krate, recursions) in CRATES {
        let files = Files::of(krate);
        assert!(files.names.len() > 20, "only {} files of {krate} were read", files.names.len());
        let module = |path: &str| path.split("::").map(str::to_string).collect::<ModulePath>();
        let recursions: Vec<_> = recursions.iter().map(|(from, to)| (module(from), module(to))).collect();
        assert_eq!(files.circles(&recursions), [], "{krate}");
        for i in 0..recursions.len() {
            let others = [&recursions[..i], &recursions[i + 1..]].concat();
            assert!(!files.circles(&others).is_empty(), "{:?} is no recursion any more", recursions[i]);
        }
    }
}
