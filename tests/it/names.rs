//! One name for one type: what is read in one file means the same in the next.

use crate::source::sources;
use std::collections::BTreeMap;

/// Names that two types of the libraries have, and why nobody takes one for the other. A third type of such a name needs another one.
const COUNTERPARTS: [(&str, &str); 30] = [
    ("Args", "of a scalar op in the two emitters"),
    ("Checker", "the verifiers of the two IRs"),
    ("Data", "a tensor's elements, and the subcommand `gradc data`, named as it is called"),
    ("Emit", "how the two emitters make a scalar op's instructions"),
    ("EvalError", "the interpreters of the two IRs"),
    ("Extremum", "the two emitters' instructions for min and max"),
    ("Failure", "why a declaration is none, inside of the front end, and why a request got no answer"),
    ("Fold", "lanes summed at a loop's end, and the layer, named as in PyTorch"),
    ("Generator", "of text by a model, and of random graphs"),
    ("KernelFn", "a kernel's function, as code is emitted, and as threads run it who know nothing of codegen"),
    (
        "Life",
        "when a buffer's contents matter: as the memory plan takes it, and as the verifier works it out without it",
    ),
    ("NamedValues", "the library's own tests, and the integration tests"),
    ("Operand", "of an x86 instruction, and of an operator in Rust"),
    ("ParseError", "the texts of the two IRs"),
    ("Parser", "the texts of the two IRs"),
    ("Parts", "what a kernel's value is made of in the two emitters"),
    ("Printer", "the texts of the two IRs"),
    ("Profile", "of a step, and the subcommand `gradc profile`, named as it is called"),
    ("Reg", "a value of a scalar program, and of a kernel"),
    ("Report", "of a run of passes, and the subcommand `gradc report`, named as it is called"),
    ("Reshape", "the op, and the layer made of it"),
    ("RunError", "a graph interpreted, and a compiled program run"),
    ("Scan", "the op, and its declaration in the front end"),
    ("Spec", "what the verifiers of the two IRs are asked for"),
    ("Stage", "how far a graph has come, and a program of either IR, of which the first is a part"),
    ("TextLine", "what a line of text is about, in the two IRs"),
    ("States", "what a model learns, in a process that compiles, and in a program without a compiler"),
    ("Tile", "a register tile while one of the two emitters emits it"),
    ("Val", "a kernel's value in the two emitters"),
    ("VerifyError", "the verifiers of the two IRs"),
];
/// Lists of errors go with the errors.
const LIST_OF: &str = "VerifyErrors";

/// The types that files define outside of functions and of modules within them: for each name, where.
fn types() -> BTreeMap<String, Vec<String>> {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for item in source.parse().items {
            let name = match item {
                syn::Item::Struct(item) => item.ident,
                syn::Item::Enum(item) => item.ident,
                syn::Item::Union(item) => item.ident,
                syn::Item::Trait(item) => item.ident,
                syn::Item::Type(item) => item.ident,
                _ => continue,
            };
            types.entry(name.to_string()).or_default().push(source.path.clone());
        }
    }
    types
}

#[test]
fn no_name_is_that_of_three_types() {
    let types = types();
    assert!(types.len() > 500, "only {} types found", types.len());
    let often: Vec<_> = types.iter().filter(|(_, places)| places.len() > 2).collect();
    assert!(often.is_empty(), "names of more than two types: {often:#?}");
}

#[test]
fn types_of_one_name_are_counterparts() {
    let is_library =
        |path: &String| !path.contains("tests/") && !path.ends_with("/tests.rs") && !path.starts_with("benches/");
    let twice: BTreeMap<String, Vec<String>> =
        types().into_iter().filter(|(_, places)| places.iter().filter(|path| is_library(path)).count() > 1).collect();
    let is_listed = |name: &str| name == LIST_OF || COUNTERPARTS.iter().any(|(listed, _)| *listed == name);
    let others: Vec<_> = twice.iter().filter(|(name, _)| !is_listed(name)).collect();
    assert!(
        others.is_empty(),
        "two types have one name: give each its own, or say in this file why nobody confuses them: {others:#?}"
    );
    let all = types();
    for (name, _) in COUNTERPARTS {
        assert!(all.get(name).is_some_and(|places| places.len() == 2), "`{name}` is no longer the name of two types");
    }
}
