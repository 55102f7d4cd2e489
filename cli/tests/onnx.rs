//! `gradc import` and `gradc run` as a user runs them: what they print of a model, what they compute, and what they say of mistakes.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use gradc::dsl::{GraphBuilder, Tensor, f32, glorot_uniform};
use gradc::io::{load_tensors, save_tensors};
use ir::{DType, Scalar, Shape, TensorType, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The batch, which is written in two bytes: as many as a name of one letter.
const BATCH: usize = 200;

/// A folder with two models: `relu(x w) + x` of a fixed batch, and `relu(x) + x`, of which the batch has a name.
struct Models {
    folder: tempfile::TempDir,
    closed: PathBuf,
    open: PathBuf,
}

impl Models {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exported = |product: fn(&GraphBuilder, &Tensor) -> Tensor| {
            let g = GraphBuilder::new("model");
            let x = g.input("x", f32([BATCH, 3]));
            g.output("y", &(product(&g, &x).relu() + &x));
            let step = g.finish().unwrap();
            gradc_onnx::export(&step.graph, &step.initial_values(1).into_iter().collect()).unwrap()
        };
        let closed = exported(|g, x| x.matmul(g.param("w", f32([3, 3]), glorot_uniform())));
        let mut open = exported(|_, x| x.clone());
        // A dimension that is 200 becomes one that is called `n`, in as many bytes.
        let (fixed, named) = ([0x0a, 3, 8, 0xc8, 1], [0x0a, 3, 0x12, 1, b'n']);
        let at = open.windows(5).position(|part| part == fixed).unwrap();
        open[at..at + 5].copy_from_slice(&named);
        let models = Self { closed: folder.path().join("closed.onnx"), open: folder.path().join("open.onnx"), folder };
        std::fs::write(&models.closed, closed).unwrap();
        std::fs::write(&models.open, open).unwrap();
        models
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The exit code, what the command prints, and what it says of errors.
fn gradc(command: &str, model: &Path, options: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gradc")).arg(command).arg(model).args(options).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What the command prints.
fn printed(command: &str, model: &Path, options: &[&str]) -> String {
    let (code, out, error) = gradc(command, model, options);
    assert_eq!(code, Some(0), "gradc {command} {options:?}: {error}");
    out
}

/// What the command says of a mistake, in one line.
fn refused(command: &str, model: &Path, options: &[&str]) -> String {
    let (code, _, error) = gradc(command, model, options);
    assert_eq!(code, Some(1), "gradc {command} {options:?}: {error}");
    assert!(error.starts_with("error: ") && error.lines().count() == 1, "{error}");
    error
}

fn rows(n: usize, f: impl Fn(usize) -> f64) -> Value {
    let ty = TensorType::new(DType::F32, Shape::new([n, 3]).unwrap());
    Value::from_fn(ty, |i| Scalar::from_f64(f(i), DType::F32))
}

#[test]
fn an_import_lists_operators_and_ports_and_writes_the_graph() {
    let models = Models::new();
    let text = printed("import", &models.open, &["--dim", "n=5", "--to", models.file("model.ir").to_str().unwrap()]);
    for part in ["Relu 1", "elements    0 stored", "\"x\" f32[n,3]", "\"x\" f32[5,3]", "\"y\" f32[5,3]"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    let graph = std::fs::read_to_string(models.file("model.ir")).unwrap();
    assert_eq!(ir::Graph::parse(&graph).unwrap().to_string(), graph);
    assert!(printed("import", &models.closed, &[]).contains("MatMul 1"));
}

#[test]
fn a_run_computes_files_of_inputs_to_files_of_outputs() {
    let models = Models::new();
    let (inputs, outputs) = (models.file("in.safetensors"), models.file("out.safetensors"));
    // Where all of x is negative and the weights are anything, relu(x w) - x w = relu(-x w).
    let run = |sign: f64| {
        let x = rows(BATCH, |i| sign * (i as f64 * 0.7).sin());
        save_tensors(&inputs, &BTreeMap::from([("x".into(), x.clone())])).unwrap();
        let options = ["--inputs", inputs.to_str().unwrap(), "--outputs", outputs.to_str().unwrap(), "--threads", "1"];
        let text = printed("run", &models.closed, &options);
        assert!(text.contains(" ms\n\"y\" f32[200,3]: from "), "{text}");
        let y = load_tensors(&outputs).unwrap().remove("y").unwrap();
        y.to_f64_vec().into_iter().zip(x.to_f64_vec()).map(|(y, x)| y - x).collect::<Vec<f64>>()
    };
    let (there, back) = (run(1.0), run(-1.0));
    // Of relu(z) and relu(-z) one is 0 and none is negative.
    assert!(there.iter().zip(&back).all(|(a, b)| a.min(*b).abs() < 1e-6 && a.max(*b) >= 0.0));
    assert!(there.iter().any(|a| *a > 0.1) && back.iter().any(|b| *b > 0.1));
}

#[test]
fn random_inputs_are_those_of_their_seed() {
    let models = Models::new();
    let outputs = models.file("out.safetensors");
    let run = |seed: &str| {
        let options = ["--dim", "n=2", "--inputs", seed, "--outputs", outputs.to_str().unwrap(), "--runs", "3"];
        printed("run", &models.open, &options);
        load_tensors(&outputs).unwrap()["y"].clone()
    };
    assert_eq!(run("random:1"), run("random:1"));
    assert_ne!(run("random:1"), run("random:2"));
    assert_eq!(run("random:1").ty().to_string(), "f32[2,3]");
}

#[test]
fn mistakes_are_told() {
    let models = Models::new();
    let says = |error: String, parts: &[&str]| {
        for part in parts {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
    };
    for command in ["import", "run"] {
        says(refused(command, &models.file("none.onnx"), &[]), &["none.onnx", "No such file"]);
        says(refused(command, &models.open, &[]), &["axis 0 of input \"x\"", "(n)", "--dim", "--shape x=", "f32[n,3]"]);
        says(refused(command, &models.open, &["--dim", "n=0"]), &["\"y\"", "no elements"]);
        says(refused(command, &models.closed, &["--shape", "x=7,3"]), &["Reshape", "has 21"]);
        says(refused(command, &models.open, &["--shape", "z=2,3"]), &["\"z\"", "no such input", "\"x\""]);
        says(refused(command, &models.closed, &["--value", "z=1"]), &["\"z\"", "no such input"]);
    }
    let text = models.file("text");
    std::fs::write(&text, "no model at all").unwrap();
    says(refused("import", &text, &[]), &["no ONNX model"]);
    says(refused("run", &models.closed, &["--inputs", text.to_str().unwrap()]), &["text", "at byte"]);
    says(refused("run", &models.closed, &["--outputs", "/no/such/folder/y.safetensors"]), &["/no/such/folder"]);
    says(refused("import", &models.closed, &["--to", "/no/such/folder/y.ir"]), &["/no/such/folder"]);
    let inputs = models.file("in.safetensors");
    for (name, n, parts) in
        [("x", 7, ["f32[7,3]", "f32[200,3]"]), ("z", BATCH, ["\"z\"", "no such input: there are \"x\""])]
    {
        save_tensors(&inputs, &BTreeMap::from([(name.into(), rows(n, |_| 1.0))])).unwrap();
        says(refused("run", &models.closed, &["--inputs", inputs.to_str().unwrap()]), &parts);
    }
    // The command line itself is wrong: by the convention of such programs another code.
    for options in [["--dim", "n"], ["--dim", "n=many"], ["--shape", "x=1,b"], ["--threads", "0"], ["--runs", "0"]] {
        assert_eq!(gradc("run", &models.open, &options).0, Some(2), "{options:?}");
    }
    let (code, _, error) = gradc("run", &models.closed, &["--inputs", "random:x"]);
    assert!(code == Some(2) && error.contains("\"x\" is no seed"), "{error}");
}
