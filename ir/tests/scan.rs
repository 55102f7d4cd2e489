//! Scans: what they mean, as text, and what is refused.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use ir::op::scan::{Body, BodyError, Scan};
use ir::{Builder, DType, Graph, Op, Scalar, Shape, Spec, TensorType, Value};
use std::collections::BTreeMap;

/// `h' = tanh(h * w + x)`, with `h * x` as the step's result.
const CELL: &str = r#"graph "cell" {
  %0 = input {name="carry0"} : f64[2]
  %1 = input {name="x0"} : f64[2]
  %2 = input {name="w0"} : f64[2]
  %3 = mul %0, %2 : f64[2]
  %4 = add %3, %1 : f64[2]
  %5 = tanh %4 : f64[2]
  %6 = mul %0, %1 : f64[2]
  output "carry0" = %5
  output "y0" = %6
}
"#;

fn body(text: &str) -> Result<Body, BodyError> {
    Body::new(Graph::parse(text).unwrap())
}

/// Both results of the cell over four steps.
fn program(reverse: bool) -> Graph {
    let flag = u8::from(reverse);
    let cell = CELL.trim_end();
    Graph::parse(&format!(
        "graph \"g\" {{\n%0 = input {{name=\"h\"}} : f64[2]\n%1 = input {{name=\"x\"}} : f64[4,2]\n%2 = state {{name=\"w\"}} : f64[2]\n\
         %3 = scan %0, %1, %2 {{length=4, reverse={flag}, recompute=0, select=0, body={cell}}} : f64[2]\n\
         %4 = scan %0, %1, %2 {{length=4, reverse={flag}, recompute=0, select=1, body=%3}} : f64[4,2]\n\
         output \"h\" = %3\noutput \"ys\" = %4\n}}"
    ))
    .unwrap()
}

fn value(dims: &[usize], f: impl Fn(usize) -> f64) -> Value {
    Value::from_fn(TensorType::new(DType::F64, Shape::new(dims).unwrap()), |i| Scalar::F64(f(i)))
}

fn feeds() -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let h = value(&[2], |i| 0.25 * (i + 1) as f64);
    let x = value(&[4, 2], |i| (i as f64).sin());
    let w = value(&[2], |i| 0.5 - i as f64);
    (BTreeMap::from([("h".into(), h), ("x".into(), x)]), BTreeMap::from([("w".into(), w)]))
}

#[test]
fn steps_follow_one_another_in_either_direction() {
    for reverse in [false, true] {
        let graph = program(reverse);
        ir::verify(&graph, Spec::DECLARED).unwrap();
        let (inputs, states) = feeds();
        let outcome = ir::eval::run(&graph, &inputs, &states).unwrap();
        let (mut h, x, w) = (inputs["h"].to_f64_vec(), inputs["x"].to_f64_vec(), states["w"].to_f64_vec());
        let mut ys = vec![0.0; 8];
        let mut order: Vec<usize> = (0..4).collect();
        if reverse {
            order.reverse();
        }
        for t in order {
            for i in 0..2 {
                ys[t * 2 + i] = h[i] * x[t * 2 + i];
                h[i] = (h[i] * w[i] + x[t * 2 + i]).tanh();
            }
        }
        assert_eq!(outcome.outputs["ys"].to_f64_vec(), ys, "reverse: {reverse}");
        assert_eq!(outcome.outputs["h"].to_f64_vec(), h, "reverse: {reverse}");
    }
}

#[test]
fn text_has_a_body_once_and_comes_back() {
    let graph = program(true);
    let text = graph.to_string();
    assert_eq!(text.matches("graph \"cell\"").count(), 1, "{text}");
    assert!(text.contains("select=1, body=%3} : f64[4,2]"), "{text}");
    let again = Graph::parse(&text).unwrap();
    assert!(again.same_as(&graph) && again.to_string() == text, "{text}\n{again}");
    assert_eq!(again.scans().iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    // Another body is another program.
    let other = Graph::parse(&text.replace("tanh", "exp")).unwrap();
    assert!(!other.same_as(&graph));
}

#[test]
fn a_body_in_a_body() {
    let inner = CELL.trim_end().replace("f64[2]", "f64[]");
    let outer = format!(
        "graph \"rows\" {{\n%0 = input {{name=\"x0\"}} : f64[2]\n%1 = input {{name=\"w0\"}} : f64[]\n\
         %2 = scan %1, %0, %1 {{length=2, reverse=0, recompute=0, select=0, body={inner}}} : f64[]\noutput \"y0\" = %2\n}}"
    );
    let graph = Graph::parse(&format!(
        "graph \"g\" {{\n%0 = input {{name=\"x\"}} : f64[3,2]\n%1 = input {{name=\"w\"}} : f64[]\n\
         %2 = scan %0, %1 {{length=3, reverse=0, recompute=0, select=0, body={outer}}} : f64[3]\noutput \"y\" = %2\n}}"
    ))
    .unwrap();
    ir::verify(&graph, Spec::DECLARED).unwrap();
    assert_eq!(Graph::parse(&graph.to_string()).unwrap().to_string(), graph.to_string());
    let x = value(&[3, 2], |i| i as f64 * 0.1);
    let inputs = BTreeMap::from([("x".into(), x), ("w".into(), value(&[], |_| 0.5))]);
    let got = ir::eval::run(&graph, &inputs, &BTreeMap::new()).unwrap().outputs["y"].to_f64_vec();
    let cell = |h: f64, x: f64| (h * 0.5 + x).tanh();
    let want: Vec<f64> = (0..3).map(|r| cell(cell(0.5, r as f64 * 0.2), (2 * r + 1) as f64 * 0.1)).collect();
    assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?} {want:?}");
}

#[test]
fn nesting_has_a_limit() {
    let mut text = String::from("graph \"g\" {\n");
    for _ in 0..1000 {
        text.push_str("%0 = scan {body=graph \"g\" {\n");
    }
    assert!(Graph::parse(&text).unwrap_err().to_string().contains("nested more than"));
}

#[test]
fn bodies_that_are_none_are_refused() {
    let refused = |from: &str, to: &str| body(&CELL.replace(from, to)).unwrap_err().to_string();
    assert!(refused("name=\"x0\"", "name=\"x1\"").contains("without gaps"));
    assert!(refused("name=\"w0\"", "name=\"v0\"").contains("\"v0\""));
    assert!(refused("output \"carry0\"", "output \"y1\"").contains("takes 1 carries and gives 0"));
    assert!(refused("input {name=\"w0\"}", "state {name=\"w0\"}").contains("has a state"));
    let shapes =
        "graph \"b\" {\n%0 = input {name=\"carry0\"} : f64[2]\n%1 = reshape %0 : f64[2,1]\noutput \"carry0\" = %1\n}";
    assert!(
        body(shapes).unwrap_err().to_string().contains("carry 0 of a scan is f64[2], the body carries on f64[2,1]")
    );
    let gradient =
        "graph \"b\" {\n%0 = input {name=\"carry0\"} : f64[]\n%1 = gradient %0, %0 : f64[]\noutput \"carry0\" = %1\n}";
    assert!(body(gradient).unwrap_err().to_string().contains("has a gradient"));
}

#[test]
fn a_number_spelled_otherwise_names_no_port() {
    // They would be ports by their number, but whoever looks for `x0` by its name finds none.
    for (from, to) in [("x0", "x00"), ("x0", "x+0"), ("w0", "w00"), ("carry0", "carry000")] {
        let error = body(&CELL.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(&format!("{to:?}")), "{to}: {error}");
    }
}

#[test]
fn operands_must_fit_the_body() {
    let cell = body(CELL).unwrap();
    let mut graph = Graph::new("g");
    let mut build = Builder::new(&mut graph, None);
    let mut full = |dims: &[usize]| build.full(Scalar::F64(0.5), Shape::new(dims).unwrap()).unwrap();
    let (h, x, long) = (full(&[2]), full(&[4, 2]), full(&[5, 2]));
    let mut scan = Scan { length: 4, reverse: false, recompute: false, select: 0, body: cell };
    assert_eq!(build.scan(&scan, &[h, x, h]).unwrap().len(), 2);
    let error = build.scan(&scan, &[h, long, h]).unwrap_err().to_string();
    assert!(error.contains("sequence 0 must be f64[4,2], it is f64[5,2]"), "{error}");
    let error = build.scan(&scan, &[x, x, h]).unwrap_err().to_string();
    assert!(error.contains("carry 0 must be f64[2], it is f64[4,2]"), "{error}");
    let error = build.add(Op::Scan(scan.selecting(2)), &[h, x, h]).unwrap_err().to_string();
    assert!(error.contains("there is no result 2"), "{error}");
    scan.length = 0;
    assert!(build.scan(&scan, &[h, x, h]).is_err());
}

#[test]
fn the_verifier_enters_bodies() {
    let barrier = CELL.replace("%6 = mul %0, %1", "%6 = stop_gradient %0");
    let mut graph = program(false);
    let body = body(&barrier).unwrap();
    for id in graph.scans().concat() {
        graph.set_body(id, body.clone()).unwrap();
    }
    ir::verify(&graph, Spec::DECLARED).unwrap();
    let error = ir::verify(&graph, Spec::DIFFERENTIATED).unwrap_err();
    assert_eq!(error.errors().iter().map(|e| e.invariant).collect::<Vec<_>>(), [11, 11]);
    assert!(error.to_string().contains("stop_gradient"), "{error}");
}

#[test]
fn what_fails_in_a_step_fails_the_run() {
    let lookup = "graph \"b\" {\n%0 = input {name=\"x0\"} : i32[]\n%1 = input {name=\"w0\"} : f64[3]\n%2 = gather %1, %0 : f64[]\n\
                  output \"y0\" = %2\n}";
    let graph = Graph::parse(&format!(
        "graph \"g\" {{\n%0 = input {{name=\"i\"}} : i32[2]\n%1 = input {{name=\"t\"}} : f64[3]\n\
         %2 = scan %0, %1 {{length=2, reverse=0, recompute=0, select=0, body={lookup}}} : f64[2]\noutput \"y\" = %2\n}}"
    ))
    .unwrap();
    let indices = Value::from_fn(TensorType::new(DType::I32, Shape::new([2]).unwrap()), |i| Scalar::I32(3 * i as i32));
    let inputs = BTreeMap::from([("i".into(), indices), ("t".into(), value(&[3], |i| i as f64))]);
    let error = ir::eval::run(&graph, &inputs, &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("index 3 is out of range: valid are 0 to 2"), "{error}");
}
