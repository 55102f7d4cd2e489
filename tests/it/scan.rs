//! Scans through the compiler: derivatives against finite differences, passes and machine code against the interpreter.

use crate::autodiff::{check, transform};
use crate::machine::{self, load, step};
use crate::oracle::{Agreement, NamedValues, difference, evaluate, random_ports};
use crate::pipeline::first_fault;
use ir::Graph;
use kernel::Target;
use passes::{PassContext, RunOptions};

/// A graph that sums the squares of a scan's results and takes gradients by all of its float operands.
struct Recurrence<'t> {
    /// The body's text.
    body: &'t str,
    /// Each operand of the scan: port name and type.
    operands: &'t [(&'t str, &'t str)],
    /// Each result: its number and its type.
    results: &'t [(usize, &'t str)],
    /// How many steps, and whether they go backward.
    steps: (usize, bool),
    recompute: bool,
}

impl Recurrence<'_> {
    fn text(&self) -> String {
        let mut lines = vec!["graph \"recurrence\" {".to_string()];
        for (i, (name, ty)) in self.operands.iter().enumerate() {
            lines.push(format!("%{i} = input {{name=\"{name}\"}} : {ty}"));
        }
        let operands: Vec<String> = (0..self.operands.len()).map(|i| format!("%{i}")).collect();
        let flags = format!("reverse={}, recompute={}", u8::from(self.steps.1), u8::from(self.recompute));
        let (mut next, mut first, mut losses) = (self.operands.len(), None, vec![]);
        for (select, ty) in self.results {
            let body = first.map_or_else(|| self.body.to_string(), |first: usize| format!("%{first}"));
            let (operands, length) = (operands.join(", "), self.steps.0);
            lines.push(format!(
                "%{next} = scan {operands} {{length={length}, {flags}, select={select}, body={body}}} : {ty}"
            ));
            first = first.or(Some(next));
            let rank = ty.split('[').nth(1).unwrap().split(',').filter(|d| *d != "]").count();
            let axes: Vec<String> = (0..rank).map(|axis| axis.to_string()).collect();
            lines.push(format!("%{} = mul %{next}, %{next} : {ty}", next + 1));
            lines.push(format!("%{} = reduce_sum %{} {{axes=[{}]}} : f64[]", next + 2, next + 1, axes.join(",")));
            losses.push(next + 2);
            next += 3;
        }
        let mut loss = losses[0];
        for other in &losses[1..] {
            lines.push(format!("%{next} = add %{loss}, %{other} : f64[]"));
            loss = next;
            next += 1;
        }
        let mut outputs = vec![format!("output \"loss\" = %{loss}")];
        for (i, (name, ty)) in self.operands.iter().enumerate().filter(|(_, (_, ty))| ty.starts_with('f')) {
            lines.push(format!("%{next} = gradient %{loss}, %{i} : {ty}"));
            outputs.push(format!("output \"d{name}\" = %{next}"));
            next += 1;
        }
        lines.extend(outputs);
        lines.push("}".into());
        lines.join("\n")
    }

    /// In both directions, keeping residuals and computing them again.
    fn check(mut self) {
        for (reverse, recompute) in [(false, false), (true, false), (false, true)] {
            (self.steps.1, self.recompute) = (reverse, recompute);
            check(&self.text());
        }
    }

    /// Each pass on the differentiated graph, and machine code at one and two threads, against the interpreter; with the batch extents
    /// replaced.
    fn run(mut self, batch: &dyn Fn(String) -> String) {
        for reverse in [false, true] {
            self.steps.1 = reverse;
            let text = batch(self.text());
            for text in [text.replace("f64", "f32"), text] {
                compiles(&text);
            }
        }
    }
}

/// Compiles the gradients of a graph and compares what they are at every stage.
fn compiles(text: &str) {
    let graph = transform(&Graph::parse(text).unwrap(), "autodiff");
    let ports = random_ports(&graph, 3);
    let same = |a: &NamedValues, b: &NamedValues| difference(a, b, Agreement::Within(2e-5));
    for target in [Target::baseline(), machine::host()] {
        first_fault("a scan", &graph, &ports, &target, &same).unwrap_or_else(|fault| panic!("{fault}"));
    }
    let expected = evaluate(&graph, &ports).unwrap();
    let runs = [1, 2].map(|threads| step(&mut load(&graph, threads), &graph, &ports).unwrap());
    assert_eq!(difference(&expected, &runs[0], Agreement::Within(2e-5)), None, "{graph}");
    assert_eq!(difference(&runs[0], &runs[1], Agreement::Bits), None, "threads change the result of\n{graph}");
}

/// `h' = tanh(x W + h U + b)`; everything inside.
const SIMPLE: &str = r#"graph "rnn" {
  %0 = input {name="carry0"} : f64[3,4]
  %1 = input {name="x0"} : f64[3,2]
  %2 = input {name="w0"} : f64[2,4]
  %3 = input {name="w1"} : f64[4,4]
  %4 = input {name="w2"} : f64[4]
  %5 = dot %1, %2 {batch=[], contract=[(1,0)]} : f64[3,4]
  %6 = dot %0, %3 {batch=[], contract=[(1,0)]} : f64[3,4]
  %7 = broadcast %4 {axes=[1]} : f64[3,4]
  %8 = add %5, %6 : f64[3,4]
  %9 = add %8, %7 : f64[3,4]
  %10 = tanh %9 : f64[3,4]
  output "carry0" = %10
  output "y0" = %10
}"#;

const SIMPLE_OPERANDS: [(&str, &str); 5] =
    [("h", "f64[3,4]"), ("x", "f64[5,3,2]"), ("w", "f64[2,4]"), ("u", "f64[4,4]"), ("b", "f64[4]")];

#[test]
fn a_simple_recurrence_by_all_its_results() {
    for results in [&[(1, "f64[5,3,4]")][..], &[(0, "f64[3,4]")], &[(1, "f64[5,3,4]"), (0, "f64[3,4]")]] {
        Recurrence { body: SIMPLE, operands: &SIMPLE_OPERANDS, results, steps: (5, false), recompute: false }.check();
    }
}

#[test]
fn a_simple_recurrence_as_machine_code() {
    let results = [(1, "f64[5,3,4]"), (0, "f64[3,4]")];
    // Three rows, in one piece; twelve, in two blocks.
    for batch in ["3", "12"] {
        let all = |text: String| {
            text.replace("[3,4]", &format!("[{batch},4]"))
                .replace("[3,2]", &format!("[{batch},2]"))
                .replace("[5,3,", &format!("[5,{batch},"))
        };
        let steps = (5, false);
        Recurrence { body: SIMPLE, operands: &SIMPLE_OPERANDS, results: &results, steps, recompute: false }.run(&all);
    }
}

/// Two carries, gates cut out of one product, padded steps carried through.
const LSTM: &str = r#"graph "lstm" {
  %0 = input {name="carry0"} : f64[2,3]
  %1 = input {name="carry1"} : f64[2,3]
  %2 = input {name="x0"} : f64[2,12]
  %3 = input {name="x1"} : i32[2]
  %4 = input {name="w0"} : f64[3,12]
  %5 = dot %0, %4 {batch=[], contract=[(1,0)]} : f64[2,12]
  %6 = add %5, %2 : f64[2,12]
  %7 = slice %6 {start=[0,0], limit=[2,3], stride=[1,1]} : f64[2,3]
  %8 = slice %6 {start=[0,3], limit=[2,6], stride=[1,1]} : f64[2,3]
  %9 = slice %6 {start=[0,6], limit=[2,9], stride=[1,1]} : f64[2,3]
  %10 = slice %6 {start=[0,9], limit=[2,12], stride=[1,1]} : f64[2,3]
  %11 = sigmoid %7 : f64[2,3]
  %12 = sigmoid %8 : f64[2,3]
  %13 = tanh %9 : f64[2,3]
  %14 = sigmoid %10 : f64[2,3]
  %15 = mul %12, %1 : f64[2,3]
  %16 = mul %11, %13 : f64[2,3]
  %17 = add %15, %16 : f64[2,3]
  %18 = tanh %17 : f64[2,3]
  %19 = mul %14, %18 : f64[2,3]
  %20 = full {value=(1)} : i32[2]
  %21 = lt %3, %20 : bool[2]
  %22 = broadcast %21 {axes=[0]} : bool[2,3]
  %23 = select %22, %0, %19 : f64[2,3]
  %24 = select %22, %1, %17 : f64[2,3]
  output "carry0" = %23
  output "carry1" = %24
  output "y0" = %23
}"#;

const LSTM_OPERANDS: [(&str, &str); 5] =
    [("h", "f64[2,3]"), ("c", "f64[2,3]"), ("x", "f64[4,2,12]"), ("mask", "i32[4,2]"), ("u", "f64[3,12]")];

#[test]
fn two_carries_with_gates_and_a_mask() {
    for results in [&[(0, "f64[2,3]")][..], &[(2, "f64[4,2,3]")], &[(2, "f64[4,2,3]"), (1, "f64[2,3]")]] {
        Recurrence { body: LSTM, operands: &LSTM_OPERANDS, results, steps: (4, false), recompute: false }.check();
    }
}

#[test]
fn gates_as_machine_code() {
    let results = [(2, "f64[4,2,3]"), (1, "f64[2,3]")];
    for batch in ["2", "18"] {
        let all = |text: String| {
            let text = text.replace("64[2,", &format!("64[{batch},")).replace("[4,2", &format!("[4,{batch}"));
            let text = text.replace("[2]", &format!("[{batch}]")).replace("bool[2,", &format!("bool[{batch},"));
            text.replace("limit=[2,", &format!("limit=[{batch},"))
        };
        Recurrence { body: LSTM, operands: &LSTM_OPERANDS, results: &results, steps: (4, false), recompute: false }
            .run(&all);
    }
}

/// Uses of invariants that are no contractions: contributions added up in a carry.
const SCALED: &str = r#"graph "scaled" {
  %0 = input {name="carry0"} : f64[3]
  %1 = input {name="carry1"} : i32[]
  %2 = input {name="x0"} : f64[3]
  %3 = input {name="w0"} : f64[3]
  %4 = mul %0, %3 : f64[3]
  %5 = add %4, %2 : f64[3]
  %6 = sin %5 : f64[3]
  %7 = full {value=(1)} : i32[]
  %8 = add %1, %7 : i32[]
  %9 = mul %6, %2 : f64[3]
  output "carry0" = %6
  output "carry1" = %8
  output "y0" = %9
}"#;

#[test]
fn elementwise_invariants_and_a_counter() {
    let operands = [("h", "f64[3]"), ("n", "i32[]"), ("x", "f64[6,3]"), ("w", "f64[3]")];
    for results in [&[(2, "f64[6,3]")][..], &[(0, "f64[3]")]] {
        Recurrence { body: SCALED, operands: &operands, results, steps: (6, false), recompute: false }.check();
    }
}

#[test]
fn sums_in_a_carry_as_machine_code() {
    let operands = [("h", "f64[3]"), ("n", "i32[]"), ("x", "f64[6,3]"), ("w", "f64[3]")];
    let results = [(2, "f64[6,3]")];
    Recurrence { body: SCALED, operands: &operands, results: &results, steps: (6, false), recompute: true }
        .run(&|text| text);
}

#[test]
fn gradients_of_gradients() {
    let cell = SCALED.replace("%6 = sin %5", "%6 = tanh %5");
    let flags = "length=3, reverse=0, recompute=0";
    check(&format!(
        "graph \"second\" {{\n%0 = input {{name=\"h\"}} : f64[3]\n%1 = input {{name=\"n\"}} : i32[]\n%2 = input {{name=\"x\"}} : f64[3,3]\n\
         %3 = input {{name=\"w\"}} : f64[3]\n%4 = scan %0, %1, %2, %3 {{{flags}, select=0, body={cell}}} : f64[3]\n\
         %5 = mul %4, %4 : f64[3]\n%6 = reduce_sum %5 {{axes=[0]}} : f64[]\n%7 = gradient %6, %3 : f64[3]\n%8 = gradient %6, %2 : f64[3,3]\n\
         %9 = mul %7, %7 : f64[3]\n%10 = reduce_sum %9 {{axes=[0]}} : f64[]\n%11 = mul %8, %8 : f64[3,3]\n\
         %12 = reduce_sum %11 {{axes=[0,1]}} : f64[]\n%13 = add %10, %12 : f64[]\n%14 = gradient %13, %0 : f64[3]\n\
         %15 = gradient %13, %2 : f64[3,3]\n%16 = gradient %13, %3 : f64[3]\n\
         output \"loss\" = %13\noutput \"dh\" = %14\noutput \"dx\" = %15\noutput \"dw\" = %16\n}}"
    ));
}

/// A carry that is an invariant from the first step on, beside another one: no step passes a gradient on to it.
#[test]
fn a_carry_that_an_invariant_replaces() {
    let body = r#"graph "replaced" {
  %0 = input {name="carry0"} : f64[3]
  %1 = input {name="carry1"} : f64[3]
  %2 = input {name="w0"} : f64[3]
  %3 = mul %0, %0 : f64[3]
  output "carry0" = %3
  output "carry1" = %2
}"#;
    let operands = [("h", "f64[3]"), ("c", "f64[3]"), ("w", "f64[3]")];
    for results in [&[(0, "f64[3]")][..], &[(1, "f64[3]")], &[(0, "f64[3]"), (1, "f64[3]")]] {
        Recurrence { body, operands: &operands, results, steps: (2, false), recompute: false }.check();
    }
}

/// Statements of all kernels.
fn statements(text: &str) -> usize {
    let graph = Graph::parse(text).unwrap();
    let options = RunOptions::default();
    let outcome = passes::compile(graph, &PassContext::new(Target::avx512()), &options).unwrap();
    let mut count = 0;
    for kernel in &outcome.module.program().unwrap().kernels {
        kernel::walk::visit_stmts(&kernel.body, &mut |_| count += 1);
    }
    count
}

#[test]
fn code_does_not_grow_with_the_number_of_steps() {
    let of_length = |length: usize| {
        let x = format!("f64[{length},18,12]");
        let operands =
            [("h", "f64[18,3]"), ("c", "f64[18,3]"), ("x", x.as_str()), ("mask", "i32[MASK]"), ("u", "f64[3,12]")];
        let mask = format!("i32[{length},18]");
        let results = [(0, "f64[18,3]")];
        let body = LSTM.replace("64[2,", "64[18,").replace("[2]", "[18]").replace("bool[2,", "bool[18,");
        let body = body.replace("limit=[2,", "limit=[18,");
        let steps = (length, false);
        let text = Recurrence { body: &body, operands: &operands, results: &results, steps, recompute: false }.text();
        statements(&text.replace("i32[MASK]", &mask).replace("f64", "f32"))
    };
    // Longer than the reduction of a kernel's gradient that is summed in one block.
    assert_eq!(of_length(1000), of_length(10_000));
}
