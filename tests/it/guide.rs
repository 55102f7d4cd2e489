//! The guide's references are what the source says: `ir.md` the op table with the ops' comments, `passes.md` the list of passes with their modules' comments and the rules of
//! `simplify`. `INSTA_UPDATE=always` writes them anew.

use crate::source::{root, sources};
use ir::ScalarOp;
use passes::pipeline::{self, PIPELINE};
use passes::simplify;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use syn::visit::Visit;

/// The families in the order of the page, by their names in [`ir::Family`], and what they are.
const FAMILIES: [(&str, &str); 10] = [
    ("Source", "Inputs, states and constants"),
    ("Elementwise", "Element by element"),
    ("Reduce", "Reductions and order"),
    ("Window", "Windows"),
    ("Movement", "Movement"),
    ("Contraction", "Sums of products"),
    ("Index", "Places given by values"),
    ("Random", "Random numbers"),
    ("Loop", "Loops"),
    ("Control", "Gradients"),
];

/// A page fails where it isn't what is generated, or is written.
fn check(page: &str, text: &str) {
    let path = root().join("docs/guide/chapters").join(page);
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(&path, text).unwrap();
    }
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    let differ = shown.lines().zip(text.lines()).find(|(shown, text)| shown != text);
    assert!(shown == text, "{page} isn't current, INSTA_UPDATE=always writes it anew: {differ:?}");
}

/// A comment's Markdown for the book: links into the source become code, headings go down by `deeper` levels.
fn plain(comment: &str, deeper: usize) -> String {
    let mut text = String::new();
    for line in comment.lines() {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        let line = if line.starts_with("# ") { format!("{}{line}\n", "#".repeat(deeper)) } else { line.to_string() };
        text += &without_links(&line);
        text.push('\n');
    }
    text.trim().to_string() + "\n"
}

/// `[text](path)`, ``[`name`]`` and ``[`crate::a::name`]`` without the link.
fn without_links(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line);
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((name, behind)) = after.split_once("`]") else { break };
        let name = name.trim_start_matches("crate::");
        let behind = match behind.strip_prefix('(').and_then(|link| link.split_once(')')) {
            Some((_, behind)) => behind,
            None => behind,
        };
        let _ = write!(text, "{before}`{name}`");
        rest = behind;
    }
    let line = text + rest;
    match (line.split_once('['), line.contains("](")) {
        (Some((before, after)), true) => {
            let (shown, link) = after.split_once("](").unwrap_or((after, ""));
            let behind = link.split_once(')').map_or("", |(_, behind)| behind);
            format!("{before}{shown}{behind}")
        }
        _ => line,
    }
}

/// What attributes `doc` say.
fn comment(attributes: &[syn::Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &pair.value
        {
            let _ = writeln!(text, "{}", line.value());
        }
    }
    text
}

/// A record of the op table, as the source has it.
struct RecordText {
    name: String,
    doc: String,
    family: String,
    arity: String,
}

/// The comments of structs and their fields, and the records of each, in the order of the source.
#[derive(Default)]
struct OpTable {
    comments: BTreeMap<String, (String, Vec<(String, String)>)>,
    records: Vec<(String, Vec<RecordText>)>,
}

/// The records in a constant.
#[derive(Default)]
struct RecordsIn(Vec<RecordText>);

impl<'a> Visit<'a> for RecordsIn {
    fn visit_expr_struct(&mut self, record: &'a syn::ExprStruct) {
        if !record.path.is_ident("OpDef") {
            return;
        }
        let field = |name: &str| {
            let is_it = |field: &&syn::FieldValue| matches!(&field.member, syn::Member::Named(n) if n == name);
            record.fields.iter().find(is_it).map(|field| &field.expr).unwrap()
        };
        let words = |name: &str| match field(name) {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => text.value(),
            syn::Expr::Path(path) => path.path.segments.last().unwrap().ident.to_string(),
            syn::Expr::Call(call) => arity(call),
            _ => panic!("{name} of a record is neither text nor a path"),
        };
        self.0.push(RecordText {
            name: words("name"),
            doc: words("doc"),
            family: words("family"),
            arity: words("arity"),
        });
    }
}

/// `Arity::Exactly(2)` as people say it.
fn arity(call: &syn::ExprCall) -> String {
    let (syn::Expr::Path(how), Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(n), .. }))) =
        (&*call.func, call.args.first())
    else {
        panic!("an arity is a number")
    };
    let least = how.path.segments.last().unwrap().ident == "AtLeast";
    format!("{}{}", n.base10_digits(), if least { " or more" } else { "" })
}

impl<'a> Visit<'a> for OpTable {
    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        let fields =
            item.fields.iter().filter_map(|field| Some((field.ident.as_ref()?.to_string(), comment(&field.attrs))));
        self.comments.insert(item.ident.to_string(), (comment(&item.attrs), fields.collect()));
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        let is_record = item.trait_.as_ref().is_some_and(|(_, path, _)| path.is_ident("OpRecord"));
        let mut records = RecordsIn::default();
        if let (true, syn::Type::Path(of)) = (is_record, &*item.self_ty) {
            records.visit_item_impl(item);
            self.records.push((of.path.segments.last().unwrap().ident.to_string(), records.0));
        }
    }
}

fn op_table() -> OpTable {
    let mut table = OpTable::default();
    for source in sources().iter().filter(|source| source.path.starts_with("ir/src/op/")) {
        table.visit_file(&source.parse());
    }
    table
}

/// The page of the graph's language.
fn ir_page() -> String {
    let mut page = String::from(IR_HEAD);
    let table = op_table();
    for (family, title) in FAMILIES {
        let _ = write!(page, "\n## {title}\n");
        for (of, records) in table.records.iter().filter(|(_, records)| records[0].family == family) {
            let (comment, fields) = &table.comments[of];
            let names: Vec<String> = records.iter().map(|record| format!("`{}`", record.name)).collect();
            let _ = write!(page, "\n### {}\n\n", names.join(", "));
            let _ = write!(page, "{}", plain(comment, 3));
            match &records[..] {
                [record] => drop(writeln!(page, "\nOperands: {}.", record.arity)),
                several => several.iter().enumerate().for_each(|(at, RecordText { name, doc, arity, .. })| {
                    let space = if at == 0 { "\n" } else { "" };
                    let _ = writeln!(page, "{space}- `{name}`: {doc}; operands: {arity}");
                }),
            }
            let documented = fields.iter().filter(|(_, comment)| !comment.is_empty());
            for (at, (name, comment)) in documented.enumerate() {
                let _ = write!(page, "{}- `{name}`: {}", if at == 0 { "\n" } else { "" }, plain(comment, 3));
            }
        }
        if family == "Elementwise" {
            page += &scalar_ops();
        }
    }
    page
}

/// The scalar ops as a table: they have no attributes, and operands and results of one shape.
fn scalar_ops() -> String {
    let mut text =
        String::from("\n### Scalar ops\n\nOperands and result have one shape. They are the ops of loops, too.\n\n");
    text += "| op | operands | element types | computes | off by at most, in `f32` |\n|---|---|---|---|---|\n";
    for op in ScalarOp::all() {
        let def = op.def();
        let types = match def.typing {
            ir::scalar::Typing::Same(class) => class.describe().to_string(),
            ir::scalar::Typing::Compare(class) => format!("{}; gives `bool`", class.describe()),
            ir::scalar::Typing::Select => "`bool`, then two of one type".into(),
        };
        let off = match def.max_ulp {
            0 => "exact".to_string(),
            ulp => format!("{ulp} ulp"),
        };
        let doc = def.doc.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | {} | {types} | {doc} | {off} |", def.name, def.arity);
    }
    text
}

const IR_HEAD: &str = "# The graph's language

*This page is generated from the op table in the source.*

A graph is text with a line for each node: its number, the op, the operands, attributes in braces, the type of the result. Behind it may stand the cluster (`@3`) and where the node comes from (`at \"src/main.rs:12:9\"`).

```text
graph \"step\" {
  %0 = input {name=\"x\"} : f32[32,784]
  %1 = state {name=\"w\"} : f32[784,10]
  %2 = dot %0, %1 {batch=[], contract=[(1,0)]} : f32[32,10] @0
  output \"y\" = %2
  update \"w\" = %1
}
```

Types are `bool`, signed and unsigned integers of 8 to 64 bits (`i8`, `u8`, .. `i64`, `u64`), and floats (`f16`, `bf16`, `f32`, `f64`), each with its extents in brackets; `f32[]` is a scalar. Extents are
known, and at least 1. A node has one result. Elementwise operands have equal shapes: broadcasting is an op. Operands stand above their users. `output` names a result, `update` the next value of a state.
A comment begins with `;`.
";

/// The page of the passes.
fn passes_page() -> String {
    let mut page = String::from(PASSES_HEAD);
    for (at, pass) in PIPELINE.iter().enumerate() {
        let (name, why) = (pass.name, pass.why);
        let stages =
            if pass.requires == pass.ensures { String::new() } else { format!("; from here on *{}*", pass.ensures) };
        let _ = writeln!(page, "{}. [`{name}`](#{name}){stages}. {why}", at + 1);
    }
    for name in pipeline::names() {
        let source = root().join("passes/src");
        let files = [source.join(format!("{name}.rs")), source.join(name).join("mod.rs")];
        let file = files.iter().find(|file| file.exists()).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        let comment: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let _ = write!(page, "\n## {name}\n\n{}", plain(&comment.join("\n"), 2));
        if name == "simplify" {
            page += &rewrite_rules();
        }
    }
    page
}

/// The rules of `simplify`.
fn rewrite_rules() -> String {
    let mut text = String::from("\n### Rules\n\n| rule | does | changes |\n|---|---|---|\n");
    for rule in simplify::rules() {
        let changes = match rule.changes {
            simplify::Changes::Nothing => "nothing",
            simplify::Changes::SignOfZero => "the sign of a sum that is zero",
            simplify::Changes::Association => "the order of a sum",
            simplify::Changes::Error => "last bits",
        };
        let _ = writeln!(text, "| `{}` | {} | {changes} |", rule.name, without_links(&rule.doc.replace('|', "\\|")));
    }
    text
}

const PASSES_HEAD: &str = "# What the compiler does

*This page is generated from the list of passes and their modules in the source.*

Every program goes through these passes, in this order. Those up to `rematerialize` turn a graph into a graph, `lower` makes loops of it, the rest turn loops into loops. `gradc passes` prints the list,
`gradc opt FILE --passes a,b` runs some of them, `gradc opt FILE --until NAME --print-changed` shows what each one changes.

";

#[test]
fn the_reference_of_ops_is_current() {
    let table = op_table();
    let mut found: BTreeSet<String> = ScalarOp::all().map(|op| op.name().to_string()).collect();
    found.extend(table.records.iter().flat_map(|(_, of)| of).map(|record| record.name.clone()));
    let known: BTreeSet<String> = ir::op::parse::op_names().map(str::to_string).collect();
    assert_eq!(found, known, "the source's records are the op table");
    for (of, records) in &table.records {
        assert!(FAMILIES.iter().any(|(family, _)| *family == records[0].family), "{of} is of no family of the page");
        assert!(records.iter().all(|record| record.family == records[0].family), "{of} is of two families");
    }
    check("ir.md", &ir_page());
}

#[test]
fn the_reference_of_passes_is_current() {
    check("passes.md", &passes_page());
}

#[test]
fn links_into_the_source_become_code() {
    assert_eq!(without_links("a [`crate::x::Y`] and [`Z`](crate::Z), b"), "a `x::Y` and `Z`, b");
    assert_eq!(
        without_links("says what it [changes](Changes), mostly [] nothing"),
        "says what it changes, mostly [] nothing"
    );
    assert_eq!(without_links("text [n, m] stays"), "text [n, m] stays");
}
