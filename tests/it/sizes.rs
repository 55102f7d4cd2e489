//! Files and functions stay small enough to be read in one sitting.

use crate::source::sources;
use syn::spanned::Spanned;
use syn::visit::Visit;

/// Lines of a file: from the first on, it is reported; above the second, the test fails.
const FILE: (usize, usize) = (400, 700);
/// Lines of a function, from its first token to its closing brace, doc comment left out.
const FUNCTION: (usize, usize) = (40, 80);

#[test]
fn files_are_small() {
    let mut too_long = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE.0 {
            println!("{}: {lines} lines, aim at {}", source.path, FILE.0);
        }
        if lines > FILE.1 {
            too_long.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert!(too_long.is_empty(), "files of more than {} lines:\n{}", FILE.1, too_long.join("\n"));
}

/// Collects the functions of a file with their lengths.
#[derive(Default)]
struct FunctionLengths(Vec<(String, usize)>);

impl FunctionLengths {
    fn record(&mut self, name: &syn::Ident, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        self.0.push((name.to_string(), block.span().end().line + 1 - first));
    }
}

impl<'a> Visit<'a> for FunctionLengths {
    fn visit_item_fn(&mut self, f: &'a syn::ItemFn) {
        self.record(&f.sig.ident, &f.sig, &f.block);
        syn::visit::visit_item_fn(self, f);
    }

    fn visit_impl_item_fn(&mut self, f: &'a syn::ImplItemFn) {
        self.record(&f.sig.ident, &f.sig, &f.block);
        syn::visit::visit_impl_item_fn(self, f);
    }

    fn visit_trait_item_fn(&mut self, f: &'a syn::TraitItemFn) {
        if let Some(block) = &f.default {
            self.record(&f.sig.ident, &f.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, f);
    }
}

#[test]
fn functions_are_small() {
    let mut too_long = Vec::new();
    let mut seen = 0;
    for source in sources() {
        let mut functions = FunctionLengths::default();
        functions.visit_file(&source.parse());
        for (name, lines) in functions.0 {
            seen += 1;
            if lines > FUNCTION.0 {
                println!("{}: `{name}` has {lines} lines, aim at {}", source.path, FUNCTION.0);
            }
            if lines > FUNCTION.1 {
                too_long.push(format!("{}: `{name}` has {lines} lines", source.path));
            }
        }
    }
    assert!(seen > 1000, "only {seen} functions found");
    assert!(too_long.is_empty(), "functions of more than {} lines:\n{}", FUNCTION.1, too_long.join("\n"));
}

#[test]
fn the_counter_counts() {
    let text = "/// Doc.\n#[test]\nfn a() {\n    b();\n}\n\nimpl X {\n    fn c(&self) {}\n}\n";
    let mut functions = FunctionLengths::default();
    functions.visit_file(&syn::parse_file(text).unwrap());
    assert_eq!(functions.0, [("a".to_string(), 3), ("c".to_string(), 1)]);
}
