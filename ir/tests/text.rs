//! The text of graphs: printing, parsing, and what the parser says about wrong text.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use ir::{Graph, NodeId, ParseError};
use proptest::prelude::*;

const STEP: &str = r#"graph "step" {
  %0 = input {name="x"} : f32[2,3]
  %1 = state {name="w"} : f32[3,4]
  %2 = dot %0, %1 {batch=[], contract=[(1,0)]} : f32[2,4] @0
  %3 = reduce_sum %2 {axes=[0,1]} : f32[] @0
  %4 = constant {values=(1.0, -inf, nan, 0x7fc00001, -0.0, 1e-45)} : f32[6]
  output "loss" = %3
  output "a \"b\"\n\u{200b}" = %4
  update "w" = %1
}
"#;

fn error(text: &str) -> ParseError {
    Graph::parse(text).unwrap_err()
}

/// The error of a graph with these lines after an input `%0 : f32[2,3]`; its lines count from 3.
fn error_in(lines: &str) -> ParseError {
    error(&format!("graph \"g\" {{\n  %0 = input {{name=\"x\"}} : f32[2,3]\n{lines}\n}}\n"))
}

#[test]
fn printed_text_comes_back() {
    let graph = Graph::parse(STEP).unwrap();
    assert_eq!(graph.to_string(), STEP);
    assert_eq!(graph.outputs()[1].0, "a \"b\"\n\u{200b}");
}

#[test]
fn blanks_and_comments_and_numbers_mean_nothing() {
    let loose = "; a header\ngraph\"step\"{ // comment ; with marks } \" %\n%7=input{name=\"x\"}:f32 [ 2 , 3 ]\n\
        %3 = neg %7\n: f32[2,3] @ 2 output \"y\" = %3 }// the end";
    let tidy =
        "graph \"step\" {\n  %0 = input {name=\"x\"} : f32[2,3]\n  %1 = neg %0 : f32[2,3] @2\n  output \"y\" = %1\n}\n";
    assert_eq!(Graph::parse(loose).unwrap().to_string(), tidy);
}

#[test]
fn locations_come_back() {
    let mut graph = Graph::parse(STEP).unwrap();
    // A name may have anything in it.
    let loc = ir::Loc::new("C:\\src \"x\"\n/main.rs", 12, 9);
    let ids: Vec<NodeId> = graph.topological();
    graph.set_loc(ids[3], loc);
    let text = graph.display().locations(true).to_string();
    assert!(text.contains("%3 = reduce_sum %2 {axes=[0,1]} : f32[] @0 at \"C:"), "{text}");
    assert_eq!(graph.to_string(), STEP);
    for parsed in [Graph::parse(&text).unwrap(), Graph::parse(&graph.to_string()).unwrap()] {
        assert!(parsed.same_as(&graph));
        assert_eq!(parsed.same_places_as(&graph), parsed.loc(parsed.topological()[3]).is_some());
    }
    // What the text says goes before the place in the file.
    let in_file = Graph::parse_file(&text, "step.ir").unwrap();
    let lines: Vec<u32> = in_file.topological().iter().map(|&id| in_file.loc(id).unwrap().line).collect();
    assert_eq!((lines[2], lines[3]), (4, 12));
}

#[test]
fn layers_and_sections_come_back() {
    let mut graph = Graph::parse(STEP).unwrap();
    let ids: Vec<NodeId> = graph.topological();
    let place = ir::Loc::new("a.rs", 1, 2);
    let both = ir::Loc { section: Some(ir::Section::Backward), layer: Some("a \"b\"/c".into()), ..place.clone() };
    graph.set_loc(ids[0], ir::Loc { layer: Some("dense".into()), ..place.clone() });
    graph.set_loc(ids[2], both);
    // The line after it begins with the same word.
    graph.set_loc(ids[4], ir::Loc { section: Some(ir::Section::Update), ..place });
    let text = graph.display().locations(true).to_string();
    assert!(text.contains(r#"at "a.rs:1:2" in "dense""#) && text.contains(r#" in backward "a \"b\"/c""#), "{text}");
    let comments = graph.display().locations(true).comments(true).to_string();
    assert!(comments.contains("  ; backward: a \"b\"/c\n  %2 = dot"), "{comments}");
    for text in [&text, &comments] {
        let parsed = Graph::parse(text).unwrap();
        assert!(parsed.same_as(&graph) && parsed.same_places_as(&graph));
    }
    assert_eq!(graph.to_string(), STEP);
    let error = Graph::parse(&text.replace("in update", "in updat")).unwrap_err();
    assert!(error.message.contains("`forward`, `backward`, `update` or a layer's path"), "{error}");
}

/// A name can't end the comment it stands in.
#[test]
fn a_layer_s_name_stays_in_its_comment() {
    let mut graph = Graph::parse(STEP).unwrap();
    let ids: Vec<NodeId> = graph.topological();
    graph.set_loc(ids[0], ir::Loc { layer: Some("a\n%9 = neg %9 : f32[]".into()), ..ir::Loc::new("a.rs", 1, 2) });
    let text = graph.display().comments(true).to_string();
    assert_eq!(Graph::parse(&text).unwrap().to_string(), STEP);
}

/// Three blocks of which the first two are alike.
#[test]
fn layers_that_are_alike_are_folded() {
    let mut text = String::from("graph \"g\" {\n  %0 = input {name=\"x\"} : f32[2]\n");
    for (block, op) in ["exp", "exp", "tanh"].into_iter().enumerate() {
        let at = |part: &str| format!("at \"a.rs:1:1\" in \"block_{block}/{part}\"\n");
        let n = 4 * block;
        text += &format!("  %{} = state {{name=\"block_{block}/dense/w\"}} : f32[2] {}", n + 1, at("dense"));
        text += &format!("  %{} = mul %{n}, %{} : f32[2] {}", n + 2, n + 1, at("dense"));
        text += &format!("  %{} = add %{}, %{} : f32[2] {}", n + 3, n + 2, n + 1, at("dense"));
        text += &format!("  %{} = {op} %{} : f32[2] {}", n + 4, n + 3, at("activation"));
    }
    let graph = Graph::parse(&(text + "  output \"y\" = %12\n}\n")).unwrap_or_else(|e| panic!("{e}"));
    let folded = graph.display().comments(true).fold(true).to_string();
    assert!(folded.contains("  ; block_1, %5 to %8, as block_0, %1 to %4\n"), "{folded}");
    // Only a part of the third is like the first one's.
    assert!(
        folded.contains("  ; block_2/dense, %9 to %11, as block_0/dense, %1 to %3\n  ; block_2/activation\n"),
        "{folded}"
    );
    let inner = "graph \"g\" {\n%0 = input {name=\"x\"} : f32[2]\n%1 = exp %0 : f32[2] at \"a:1:1\" in \"a/b\"\n\
        %2 = neg %1 : f32[2] at \"a:1:1\" in \"a/b\"\n%3 = abs %2 : f32[2] at \"a:1:1\" in \"a/b\"\noutput \"y\" = %3\n}";
    let only = Graph::parse(inner).unwrap().display().fold(true).to_string();
    assert!(only.contains("%1 = exp") && !only.contains(" as "), "{only}");
    assert!(folded.contains("  %12 = tanh %11") && folded.contains("output \"y\" = %12"), "{folded}");
}

#[test]
fn equal_bodies_keep_their_own_locations() {
    let scan = |line: u32| {
        format!(
            r#"scan %0, %1 {{length=3, reverse=0, recompute=0, select=0, body=graph "b" {{
            %0 = input {{name="carry0"}} : f32[2]
            %1 = input {{name="x0"}} : f32[2]
            %2 = add %0, %1 : f32[2] at "a.rs:{line}:1"
            output "carry0" = %2
          }}}} : f32[2]"#
        )
    };
    let head = "graph \"g\" {\n%0 = input {name=\"c\"} : f32[2]\n%1 = input {name=\"x\"} : f32[3,2]\n";
    let text = format!("{head}%2 = {}\n%3 = {}\noutput \"y\" = %2\noutput \"z\" = %3\n}}", scan(7), scan(8));
    let graph = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}"));
    let printed = graph.display().locations(true).to_string();
    assert!(printed.contains("a.rs:7:1") && printed.contains("a.rs:8:1"), "{printed}");
    let parsed = Graph::parse(&printed).unwrap();
    assert!(parsed.same_as(&graph) && parsed.same_places_as(&graph));
    assert_eq!(parsed.display().locations(true).to_string(), printed);
}

#[test]
fn a_file_gives_locations() {
    let graph = Graph::parse_file(STEP, "step.ir").unwrap();
    let locs: Vec<String> = graph.topological().iter().map(|&id| graph.loc(id).unwrap().to_string()).collect();
    assert_eq!(locs[0], "step.ir:2:3");
    assert_eq!(locs[4], "step.ir:6:3");
}

#[test]
fn clusters_stand_together_in_ascending_order() {
    let graph = Graph::parse(
        "graph \"g\" { %0 = input {name=\"x\"} : f32[] %1 = neg %0 : f32[] @1 %2 = abs %0 : f32[] @0 %3 = exp %1 : f32[] @1
         %4 = input {name=\"z\"} : f32[] %5 = add %4, %3 : f32[] @2 %6 = tanh %2 : f32[] @0 output \"y\" = %5 }",
    );
    let lines: Vec<String> = graph.unwrap().to_string().lines().map(str::to_owned).collect();
    let want = [
        "  %0 = input {name=\"x\"} : f32[]",
        "  %1 = abs %0 : f32[] @0",
        "  %2 = tanh %1 : f32[] @0",
        "  %3 = neg %0 : f32[] @1",
        "  %4 = exp %3 : f32[] @1",
        "  %5 = input {name=\"z\"} : f32[]",
        "  %6 = add %5, %4 : f32[] @2",
    ];
    assert_eq!(lines[1..8], want);
}

#[test]
fn differing_graphs_are_not_the_same() {
    let graph = Graph::parse(STEP).unwrap();
    for (from, to) in [
        ("\"step\"", "\"stop\""),
        ("name=\"x\"", "name=\"z\""),
        ("-0.0", "0.0"),
        ("f32[2,4] @0", "f32[2,4] @1"),
        ("\"loss\" = %3", "\"loss\" = %2"),
        ("update \"w\"", "update \"v\""),
    ] {
        let other = Graph::parse(&STEP.replacen(from, to, 1)).unwrap();
        assert!(!graph.same_as(&other) && !other.same_as(&graph), "{from} for {to}");
    }
}

#[test]
fn errors_show_the_place() {
    let shown = error_in("  %1 = add %0, %0 : f33[2]").to_string();
    let want = "3:21: expected a type such as `f32[2,3]`, found `f33`\n  |   %1 = add %0, %0 : f33[2]\n  |                     ^";
    assert_eq!(shown, want);
}

/// Text, line, column, part of the message.
const WRONG: &[(&str, usize, usize, &str)] = &[
    ("%0 = neg %0 : f32[2,3]", 3, 1, "%0 is defined twice"),
    ("%1 = neg %0 : f32[2,3] at 7", 3, 27, "expected a source location as a string"),
    ("%1 = neg %0 : f32[2,3] at \"main.rs:7\"", 3, 27, "is `\"file:line:column\"`"),
    ("%1 = neg %2 : f32[2,3]", 3, 10, "%2 is not defined above this line"),
    ("%1 = neg %1 : f32[2,3]", 3, 10, "%1 is not defined above this line"),
    ("%1 = neg %0 : f32[3,2]", 3, 15, "the text says f32[3,2], but `neg` of these operands gives f32[2,3]"),
    ("%1 = nag %0 : f32[2,3]", 3, 6, "nag"),
    ("%1 = neg %0, %0 : f32[2,3]", 3, 6, "operands"),
    ("%1 = neg %0 f32[2,3]", 3, 13, "expected `:`, found `f32`"),
    ("%1 = neg %0 : f32[2,0]", 3, 15, "extent 0"),
    ("%1 = neg %0 : f32[99999999999999999999]", 3, 19, "expected an extent, found `99999999999999999999`"),
    ("%1 = neg %0 : f32[4294967296,4294967296]", 3, 15, "more elements than memory can hold"),
    ("%1 = neg %0 : f32[-1]", 3, 19, "expected an extent"),
    ("%1 = neg %0 : f32[2,3", 4, 1, "expected `,` or `]`"),
    ("%1 = neg %0 : f32[2,3] @x", 3, 25, "the number of a cluster"),
    ("%99999999999999999999 = neg %0 : f32[2,3]", 3, 1, "below 2^64"),
    ("%1 = reduce_sum %0 : f32[]", 3, 6, "attribute `axes` is missing"),
    ("%1 = reduce_sum %0 {axes=[2]} : f32[]", 3, 6, "axis"),
    ("%1 = reduce_sum %0 {axes=[-1]} : f32[]", 3, 6, "non-negative"),
    ("%1 = reduce_sum %0 {axes=[99999999999999999999]} : f32[]", 3, 27, "an integer that fits 64 bits"),
    ("%1 = reduce_sum %0 {axes=[0], axes=[1]} : f32[]", 3, 31, "attribute `axes` is given twice"),
    ("%1 = reduce_sum %0 {axes=[0], keep=1} : f32[3]", 3, 6, "no attribute `keep`"),
    ("%1 = reduce_sum %0 {axes=} : f32[]", 3, 26, "expected an integer, a string, a type, `[` or `(`"),
    ("%1 = input {name=\"x} : f32[]", 3, 18, "no closing"),
    ("%1 = input {name=\"\\q\"} : f32[]", 3, 19, "escapes"),
    ("%1 = input {name=\"\\u{d800}\"} : f32[]", 3, 19, "escapes"),
    ("%1 = constant {values=(1.0)} : f32[2]", 3, 6, "constant"),
    ("%1 = constant {values=(one)} : f32[1]", 3, 6, "one"),
    ("output \"y\" = %0 output \"y\" = %0", 3, 24, "output \"y\" is defined twice"),
    ("output \"y\" = %0 %1 = neg %0 : f32[2,3]", 3, 17, "nodes come before them"),
    ("output y = %0", 3, 8, "the output's name as a string"),
    ("result \"y\" = %0", 3, 1, "a node, `output`, `update` or `}`"),
    ("}}", 3, 2, "expected the end of the text"),
    ("%1 = neg é : f32[]", 3, 10, "unexpected character 'é'"),
];

#[test]
fn wrong_text_is_named() {
    for &(lines, line, column, message) in WRONG {
        let e = error_in(lines);
        assert!(e.message.contains(message), "{lines}: {e}");
        assert_eq!((e.line, e.column), (line, column), "{lines}: {e}");
    }
    assert_eq!(error("").to_string(), "1:1: expected `graph`, found the end of the text\n  | \n  | ^");
    assert!(error("graph \"g\" {").message.contains("found the end of the text"));
}

#[test]
fn a_long_line_is_shown_in_part() {
    let e = error_in(&format!("%1 = concat {} {{axis=0}} : f32[2,3]", vec!["%0"; 5000].join(",") + ",%9"));
    assert!(e.source.chars().count() <= 160 && e.source.contains("%9"), "{e}");
    assert_eq!(e.source.chars().nth(e.mark - 1), Some('%'));
}

#[test]
fn depth_costs_no_stack() {
    // A chain of 50,000 nodes, and brackets as deep as the text is long.
    let mut text = String::from("graph \"deep\" {\n%0 = input {name=\"x\"} : f32[]\n");
    for i in 1..50_000 {
        text.push_str(&format!("%{i} = neg %{} : f32[]\n", i - 1));
    }
    text.push_str("output \"y\" = %49999 }");
    let graph = Graph::parse(&text).unwrap();
    assert!(Graph::parse(&graph.to_string()).unwrap().same_as(&graph));
    error_in(&format!("%1 = neg {}", "[(".repeat(100_000)));
    error_in(&format!("%1 = neg %0 {{a={}", "[(".repeat(100_000)));
}

proptest! {
    #[test]
    fn any_text_is_refused_or_parsed(text in "\\PC*") {
        let _ = Graph::parse(&text);
    }

    #[test]
    fn damaged_text_is_refused_or_parsed(at in 0usize..STEP.len(), cut in 0usize..8, with in "[\\PC]{0,3}") {
        let mut text = STEP.to_owned();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &with);
        if let Ok(graph) = Graph::parse(&text) {
            let printed = graph.to_string();
            prop_assert_eq!(Graph::parse(&printed).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn any_name_survives(name in any::<String>(), port in "[^\u{0}]+") {
        let mut graph = Graph::new(name.clone());
        let input = ir::op::source::Input { name: port.clone(), ty: ir::TensorType::new(ir::DType::F32, ir::Shape::scalar()) };
        let id = graph.add(ir::Op::Input(input), &[], None).unwrap();
        graph.set_output(port, id);
        let parsed = Graph::parse(&graph.to_string()).unwrap();
        prop_assert!(parsed.same_as(&graph));
        prop_assert_eq!(parsed.name(), name);
    }
}
