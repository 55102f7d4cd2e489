//! The standard's own test cases: a model, inputs, and the outputs that are right; run and compared.

use gradc::compile::CompileOptions;
use gradc::dsl::Step;
use gradc_onnx::proto::{GraphProto, ModelProto, TypeKind, ValueInfoProto};
use gradc_onnx::{Import, ImportError, Imported, KnownTensor, Refusal};
use ir::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How near elements must be: the bounds of the standard's own runner.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;

/// What became of a case.
pub(crate) enum CaseOutcome {
    /// It passed; the inputs whose values the import was given.
    Passed(BTreeSet<String>),
    /// It was refused, or gave something else.
    Failed(String),
}

/// How a case's graph runs.
#[derive(Clone, Copy)]
pub(crate) enum CaseEngine {
    /// By the interpreter.
    Interpreter,
    /// As machine code.
    Native,
}

/// The folder of the standard's cases, if they were fetched.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/onnx");
    folder.join("node").is_dir().then_some(folder)
}

/// Runs a case; a panic is a failure that says so.
pub(crate) fn run(folder: &Path, engine: CaseEngine) -> CaseOutcome {
    let caught = std::panic::catch_unwind(|| attempt(folder, engine));
    match caught {
        Ok(Ok(fixed)) => CaseOutcome::Passed(fixed),
        Ok(Err(reason)) => CaseOutcome::Failed(reason),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
            CaseOutcome::Failed(format!("PANIC: {text}"))
        }
    }
}

/// The stored tensor of a file.
fn tensor(path: &Path) -> Result<KnownTensor, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    gradc_onnx::read_tensor(&bytes).map_err(|e| match e {
        ImportError::Initializer { reason: Refusal::ElementType(name), .. } => {
            format!("elements of type {name} aren't provided")
        }
        // Sequences and optionals are other messages than tensors.
        _ => "inputs or outputs that are sequences or optionals aren't provided".into(),
    })
}

/// The inputs that no stored tensor stands for.
fn open_inputs(graph: &GraphProto) -> Vec<String> {
    let stored: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    graph.input.iter().map(|p| p.name.clone()).filter(|name| !stored.contains(name.as_str())).collect()
}

fn attempt(folder: &Path, engine: CaseEngine) -> Result<BTreeSet<String>, String> {
    let path = folder.join("model.onnx");
    let bytes = std::fs::read(&path).map_err(|e| e.to_string())?;
    let model: ModelProto = prost::Message::decode(bytes.as_slice()).map_err(|e| e.to_string())?;
    let graph = model.graph.ok_or("no graph")?;
    let names = open_inputs(&graph);
    let mut fixed_by_first = BTreeSet::new();
    for set in 0.. {
        let data = folder.join(format!("test_data_set_{set}"));
        if !data.is_dir() {
            break;
        }
        let mut inputs = BTreeMap::new();
        for (i, name) in names.iter().enumerate() {
            let file = data.join(format!("input_{i}.pb"));
            if file.exists() {
                inputs.insert(name.clone(), tensor(&file)?);
            }
        }
        let (imported, fixed) = import(&path, &inputs)?;
        check(&imported, &inputs, &fixed, &data, engine)?;
        fixed_by_first.extend(fixed);
    }
    Ok(fixed_by_first)
}

/// Imports the model; inputs that decide about shapes are given as values, one after the other, as the import asks for them.
fn import(path: &Path, inputs: &BTreeMap<String, KnownTensor>) -> Result<(Imported, BTreeSet<String>), String> {
    let mut fixed: BTreeSet<String> = BTreeSet::new();
    loop {
        let mut import = Import::new(path);
        for (name, known) in inputs {
            import = import.input_shape(name, known.dims());
            if let (true, KnownTensor::Value(value)) = (fixed.contains(name), known) {
                import = import.value(name, value.clone());
            }
        }
        let error = match import.load() {
            Ok(imported) => return Ok((imported, fixed)),
            Err(error) => error,
        };
        let ImportError::Node { reason, .. } = &error else { return Err(error.to_string()) };
        let Refusal::NeedsValue { tensor } = reason.innermost() else { return Err(brief(&error)) };
        let before = fixed.len();
        if inputs.contains_key(tensor) {
            fixed.insert(tensor.clone());
        }
        if fixed.len() == before {
            let small = |known: &KnownTensor| !known.dtype().is_float() || known.dims().is_empty();
            fixed.extend(inputs.iter().filter(|(_, known)| small(known)).map(|(name, _)| name.clone()));
        }
        if fixed.len() == before {
            fixed.extend(inputs.keys().cloned());
        }
        if fixed.len() == before {
            return Err(error.to_string());
        }
    }
}

/// The error without the node's name and without advice, so that cases of one reason stand together.
fn brief(error: &ImportError) -> String {
    let ImportError::Node { op, reason, .. } = error else { return error.to_string() };
    let (op, reason) = match reason {
        Refusal::Within { op, reason, .. } => (op, reason.innermost()),
        reason => (op, reason),
    };
    let text = reason.to_string();
    let stop = [": leave it out", ": export the model", ": give the inputs"].into_iter().find_map(|at| text.find(at));
    format!("{op}: {}", &text[..stop.unwrap_or(text.len())])
}

/// Runs the graph, and compares what it gives.
fn check(
    imported: &Imported,
    inputs: &BTreeMap<String, KnownTensor>,
    fixed: &BTreeSet<String>,
    data: &Path,
    engine: CaseEngine,
) -> Result<(), String> {
    let mut found: BTreeMap<String, KnownTensor> = BTreeMap::new();
    let mut computed = BTreeSet::new();
    for name in imported.outputs() {
        match imported.known(name) {
            Some(known) => drop(found.insert(name.clone(), known.clone())),
            None => {
                let tensor = imported.tensor(name).map_err(|e| e.to_string())?;
                if computed.insert(name.clone()) {
                    imported.graph().output(name, &tensor);
                }
            }
        }
    }
    let step = imported.graph().finish().map_err(|e| e.to_string())?;
    let declared: BTreeSet<&str> = imported.inputs().iter().map(|(name, _)| name.as_str()).collect();
    let fed: BTreeMap<String, Value> = inputs
        .iter()
        .filter(|(name, _)| declared.contains(name.as_str()) && !fixed.contains(*name))
        .filter_map(|(name, known)| match known {
            KnownTensor::Value(value) => Some((name.clone(), value.clone())),
            KnownTensor::Empty { .. } => None,
        })
        .collect();
    if !computed.is_empty() {
        for (name, value) in execute(&step, &fed, engine)? {
            found.insert(name, KnownTensor::Value(value));
        }
    }
    for (i, name) in imported.outputs().iter().enumerate() {
        let file = data.join(format!("output_{i}.pb"));
        if file.exists() {
            let got = found.get(name).ok_or_else(|| format!("no output {name:?}"))?;
            compare(name, got, &tensor(&file)?)?;
        }
    }
    Ok(())
}

fn execute(
    step: &Step,
    inputs: &BTreeMap<String, Value>,
    engine: CaseEngine,
) -> Result<BTreeMap<String, Value>, String> {
    match engine {
        CaseEngine::Interpreter => {
            let states = step.initial_values(0).into_iter().collect();
            Ok(ir::eval::run(&step.graph, inputs, &states).map_err(|e| format!("run: {e}"))?.outputs)
        }
        CaseEngine::Native => {
            let mut program = step.compile(&CompileOptions::threads(1)).map_err(|e| format!("compile: {e}"))?;
            for (name, value) in inputs {
                program.set_input(name, value).map_err(|e| format!("run: {e}"))?;
            }
            program.step().map_err(|e| format!("run: {e}"))?;
            let outputs = step.graph.outputs().iter().map(|(name, _)| name.clone());
            outputs
                .map(|name| program.output_value(&name).map(|value| (name, value)).map_err(|e| format!("run: {e}")))
                .collect()
        }
    }
}

/// Whether two tensors are the same within the bounds.
fn compare(name: &str, got: &KnownTensor, want: &KnownTensor) -> Result<(), String> {
    if (got.dtype(), got.dims()) != (want.dtype(), want.dims()) {
        return Err(format!(
            "wrong: output {name:?} is {}{:?}, it must be {}{:?}",
            got.dtype(),
            got.dims(),
            want.dtype(),
            want.dims()
        ));
    }
    let (KnownTensor::Value(got), KnownTensor::Value(want)) = (got, want) else { return Ok(()) };
    let is_float = want.ty().dtype.is_float();
    for (i, (got, want)) in (0..want.data().len()).map(|i| (i, (got.get(i), want.get(i)))) {
        let (a, b) = (got.as_f64(), want.as_f64());
        let near = is_float && ((a - b).abs() <= ABSOLUTE + RELATIVE * b.abs() || a == b || a.is_nan() && b.is_nan());
        if !(near || got == want) {
            return Err(format!("wrong: element {i} of {name:?} is {got}, it must be {want}"));
        }
    }
    Ok(())
}

/// Whether a case has operators of the default domain alone, and only f32, f64, bool, and integers of 8 to 64 bits.
pub(crate) fn is_common(folder: &Path) -> bool {
    let common = |elements: i32| matches!(elements, 1..=7 | 9 | 11..=13);
    let is_tensor = |port: &ValueInfoProto| match port.r#type.as_ref().and_then(|ty| ty.value.as_ref()) {
        Some(TypeKind::Tensor(ty)) => common(ty.elem_type),
        _ => false,
    };
    let bytes = std::fs::read(folder.join("model.onnx")).unwrap_or_default();
    let model = <ModelProto as prost::Message>::decode(bytes.as_slice());
    model.ok().and_then(|model| model.graph).is_some_and(|graph| {
        graph.node.iter().all(|node| node.domain.is_empty() || node.domain == "ai.onnx")
            && graph.input.iter().chain(&graph.output).all(is_tensor)
    })
}
