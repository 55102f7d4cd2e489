//! What CONTRIBUTING.md promises of every file, pass and op.

use crate::source::{root, sources};
use ir::ScalarOp;
use proc_macro2::TokenTree;
use std::collections::BTreeSet;
use syn::visit::Visit;

/// Macros that mark unfinished work, or print for debugging.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];
/// The headings of a pass's documentation.
const HEADINGS: [&str; 4] = ["# Does", "# Requires", "# Ensures", "# Example"];

#[test]
fn nothing_is_left_unfinished() {
    for source in sources() {
        let tokens = source.tokens();
        for pair in tokens.windows(2) {
            let (TokenTree::Ident(name), TokenTree::Punct(mark)) = (&pair[0], &pair[1]) else { continue };
            let unfinished = mark.as_char() == '!' && UNFINISHED.iter().any(|u| name == u);
            assert!(!unfinished, "{}:{}: `{name}!`", source.path, name.span().start().line);
        }
    }
}

/// Where the code of a file is vouched for, of the cache's and of shared libraries: the places outside of `runtime`.
const VOUCHES: [&str; 2] = ["src/compile/cache/directory.rs", "src/compile/built/load.rs"];

/// The crates with `unsafe` code: what runs machine code in a process that compiles, and in one that doesn't, and the threads for C.
const UNSAFE: [&str; 3] = ["runtime", "embed", "gradc_pool"];

/// `unsafe` stands in these alone, where code from files is vouched for, and in tests that call what `runtime` calls. The type of an unsafe function is no use of one.
#[test]
fn unsafe_stays_in_the_runtime_crates() {
    let mut found = BTreeSet::new();
    for source in sources() {
        let tokens = source.tokens();
        for (i, token) in tokens.iter().enumerate() {
            if matches!(token, TokenTree::Ident(word) if word == "unsafe") && !is_function_type(&tokens[i + 1..]) {
                let line = token.span().start().line;
                let may = UNSAFE.contains(&source.krate) || VOUCHES.contains(&&*source.path) || !source.is_library();
                assert!(may, "{}:{line}: `unsafe` outside {UNSAFE:?}", source.path);
                found.insert(source.krate);
            }
        }
    }
    assert!(UNSAFE.iter().all(|krate| found.contains(krate)), "`unsafe` only in {found:?}: is the test right?");
}

/// Whether these tokens after `unsafe` are `extern "C" fn(`, without a name.
fn is_function_type(tokens: &[TokenTree]) -> bool {
    let at = tokens.iter().take(3).position(|t| matches!(t, TokenTree::Ident(word) if word == "fn"));
    at.is_some_and(|at| matches!(tokens.get(at + 1), Some(TokenTree::Group(_))))
}

#[test]
fn files_say_what_they_are_for() {
    let mut silent = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            silent.push(source.path);
        }
    }
    assert!(silent.is_empty(), "files without a comment at their top that says what they are for: {silent:?}");
}

/// The module of each pass in the pipeline has the four headings, in order.
#[test]
fn passes_say_what_they_do() {
    let src = root().join("passes/src");
    for name in passes::pipeline::names() {
        let candidates = [src.join(format!("{name}.rs")), src.join(name).join("mod.rs")];
        let file = candidates.iter().find(|path| path.exists());
        let file = file.unwrap_or_else(|| panic!("pass `{name}` has no module of its name in passes/src"));
        let text = std::fs::read_to_string(file).unwrap();
        let headings: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .filter(|line| line.starts_with("# "))
            .collect();
        assert_eq!(headings, HEADINGS, "headings of {}", file.display());
    }
}

/// Collects structs with whether they are documented, and the types that are records of ops.
#[derive(Default)]
struct Records {
    documented: BTreeSet<String>,
    records: BTreeSet<String>,
}

impl<'a> Visit<'a> for Records {
    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        if item.attrs.iter().any(|a| a.path().is_ident("doc")) {
            self.documented.insert(item.ident.to_string());
        }
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let rules = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        if rules.is_some_and(|s| s.ident == "OpRules")
            && let syn::Type::Path(ty) = &*item.self_ty
            && let Some(name) = ty.path.segments.last()
        {
            self.records.insert(name.ident.to_string());
        }
    }
}

#[test]
fn ops_are_documented() {
    let mut all = Records::default();
    for source in sources().iter().filter(|s| s.path.starts_with("ir/src/")) {
        all.visit_file(&source.parse());
    }
    let kinds = ir::Op::VARIANTS.len();
    assert!(all.records.len() >= kinds, "{} records found for {kinds} kinds of op", all.records.len());
    for record in &all.records {
        assert!(all.documented.contains(record) || record == "ScalarOp", "op `{record}` has no doc comment");
    }
    for op in ScalarOp::all() {
        let doc = op.def().doc;
        assert!(doc.len() >= 5 && !doc.contains('\n'), "scalar op `{op}` has no doc line");
    }
}
