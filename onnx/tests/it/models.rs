//! Small pretrained models: what gradc computes of them, beside onnxruntime's numbers (`tools/reference_onnx.py` wrote them).

use gradc::compile::CompileOptions;
use gradc_onnx::Import;
use ir::{DType, Scalar, Shape, TensorType, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How near outputs must be, relative to an element, or to a thousandth of the largest one.
const BOUND: f64 = 1e-4;

/// A number from 0 to 1 by its place.
fn noise(place: usize, k: f64) -> f64 {
    let x = (place as f64 * 12.9898 + k * 78.233).sin() * 43758.5453;
    x - x.floor()
}

/// A tensor of such numbers.
fn tensor(dims: &[usize], dtype: DType, f: impl Fn(usize) -> f64) -> Value {
    let ty = TensorType::new(dtype, Shape::new(dims).expect("a shape"));
    Value::from_fn(ty, |i| Scalar::from_f64(f(i), dtype))
}

fn audio(dims: &[usize], k: f64) -> Value {
    tensor(dims, DType::F32, |i| noise(i, k) - 0.5)
}

/// The model's file, if it was fetched.
fn path(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../data/models/{name}.onnx"));
    if !path.exists() {
        eprintln!("SKIPPED: {name}.onnx isn't in data/models: `scripts/fetch_onnx_models.sh data/models` fetches it");
        return None;
    }
    Some(path)
}

/// Compiles the model, and compares its outputs with the written ones.
fn compare(name: &str, import: &Import, inputs: &[(&str, Value)]) {
    let step = import.load().unwrap_or_else(|e| panic!("{name}: {e}")).finish().unwrap();
    let mut program = step.compile(&CompileOptions::threads(1)).unwrap_or_else(|e| panic!("{name}: {e}"));
    for (port, value) in inputs {
        program.set_input(port, value).unwrap();
    }
    program.step().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/{name}.json"));
    let text = std::fs::read_to_string(file).unwrap();
    let wanted: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    for (output, want) in wanted {
        let got = program.output_value(&output).unwrap();
        let dims: Vec<u64> = got.ty().shape.iter().map(|&d| d as u64).collect();
        assert_eq!(serde_json::json!(dims), want["dims"], "{name}: {output}");
        let number = |v: &serde_json::Value| v.as_f64().unwrap();
        let (stride, floor) = (number(&want["stride"]) as usize, number(&want["largest"]) * 1e-3);
        let got = got.to_f64_vec();
        let mut worst = 0.0f64;
        for (i, want) in want["values"].as_array().unwrap().iter().map(number).enumerate() {
            worst = worst.max((got[i * stride] - want).abs() / want.abs().max(floor));
        }
        println!("{name}: {output} is within {worst:.1e}");
        assert!(worst < BOUND, "{name}: {output} is off by {worst:.1e}");
    }
}

#[test]
fn silero_vad_is_onnxruntimes() {
    let Some(path) = path("silero_vad_op18_ifless") else { return };
    let rate = Value::splat(Scalar::I64(16000), Shape::scalar());
    let import = Import::new(path).dim("batch", 1).dim("sequence", 576).value("sr", rate);
    compare(
        "silero_vad_op18_ifless",
        &import,
        &[("input", audio(&[1, 576], 1.0)), ("state", audio(&[2, 1, 128], 2.0))],
    );
}

#[test]
fn basic_pitch_is_onnxruntimes() {
    let Some(path) = path("basic_pitch") else { return };
    let input = "serving_default_input_2:0";
    let import = Import::new(path).input_shape(input, [1, 43844, 1]);
    compare("basic_pitch", &import, &[(input, audio(&[1, 43844, 1], 1.0))]);
}

#[test]
fn magika_is_onnxruntimes() {
    let Some(path) = path("magika") else { return };
    let bytes = tensor(&[2, 2048], DType::I32, |i| (noise(i, 1.0) * 257.0).floor());
    compare("magika", &Import::new(path).input_shape("bytes", [2, 2048]), &[("bytes", bytes)]);
}

#[test]
fn ppocr2_cls_is_onnxruntimes() {
    let Some(path) = path("ppocr2_cls") else { return };
    let import = Import::new(path).input_shape("x", [1, 3, 48, 192]);
    compare("ppocr2_cls", &import, &[("x", audio(&[1, 3, 48, 192], 1.0))]);
}
