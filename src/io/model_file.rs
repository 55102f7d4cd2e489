//! A model in one file: the graph of a prediction as text beside its weights, so that it runs without the program that declared it.
//!
//! The text stands among the texts of a safetensors file, not in a file of its own: neither can be had without the other, both are there whole or not at all, and who only wants the
//! weights reads the same file.

use super::{IoError, TensorFile, save_with_metadata};
use crate::dsl::{Initializer, StateRole, StateSpec, Step};
use ir::{Graph, Op, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The name of the text that is the graph.
pub(crate) const GRAPH: &str = "graph";

/// Before the numbers of samples of further graphs: `graph/4`.
const SIZED: &str = "graph/";

/// Whether a text is a graph of the file's model.
pub(crate) fn is_graph(name: &str) -> bool {
    name == GRAPH || name.starts_with(SIZED)
}

/// The states of a graph, each by its name with its type.
fn states(graph: &Graph) -> impl Iterator<Item = (&String, &ir::TensorType)> {
    graph.ids().filter_map(|id| match graph.op(id) {
        Op::State(state) => Some((&state.name, &state.ty)),
        _ => None,
    })
}

/// Saves a graph with the values of its states as one safetensors file, atomically, and `metadata` beside it; [`load_model`] reads it. `values` may have others, which are left out.
///
/// ```
/// use gradc::dsl::{f32, zeros, GraphBuilder};
/// use gradc::io::{load_model, save_model};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("line.safetensors");
/// let g = GraphBuilder::new("line");
/// g.output("y", &g.input("x", f32([4, 3])).matmul(g.param("w", f32([3, 2]), zeros())));
/// let step = g.finish()?;
/// save_model(&path, &step.graph, &step.initial_values(0).into_iter().collect(), &Default::default())?;
/// assert_eq!(load_model(&path)?.graph.to_string(), step.graph.to_string());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a state has no value or one of another type, the file can't be written, or the text is longer than a header may be ([`MAX_HEADER`](super::MAX_HEADER)).
pub fn save_model(
    path: impl AsRef<Path>,
    graph: &Graph,
    values: &BTreeMap<String, Value>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), IoError> {
    save_graphs(path, graph, &BTreeMap::new(), (values, metadata))
}

/// The same with graphs for further numbers of samples.
pub(crate) fn save_graphs(
    path: impl AsRef<Path>,
    graph: &Graph,
    sized: &BTreeMap<usize, Graph>,
    (values, metadata): (&BTreeMap<String, Value>, &BTreeMap<String, String>),
) -> Result<(), IoError> {
    let path = path.as_ref();
    let mut kept = BTreeMap::new();
    for (name, ty) in std::iter::once(graph).chain(sized.values()).flat_map(states) {
        let missing = || IoError::Missing { path: path.into(), names: vec![name.clone()], found: vec![] };
        let value = values.get(name).ok_or_else(missing)?;
        check_type(path, (name, ty), value)?;
        kept.insert(name.clone(), value.clone());
    }
    let mut texts = metadata.clone();
    texts.insert(GRAPH.into(), graph.to_string());
    texts.extend(sized.iter().map(|(samples, graph)| (format!("{SIZED}{samples}"), graph.to_string())));
    save_with_metadata(path, &kept, &texts, false)
}

/// Loads what [`save_model`] or [`Trainer::save_model`](crate::train::Trainer::save_model) has saved: a step that is compiled and run as one that was declared. Its states begin with the
/// values in the file.
///
/// # Errors
/// A file that can't be read, is damaged, or has weights alone; a graph whose text breaks a rule; states that the file lacks or has of another type.
pub fn load_model(path: impl AsRef<Path>) -> Result<Step, IoError> {
    let file = TensorFile::open(path)?;
    file.check_seal()?;
    let texts = file.metadata()?;
    let text = texts.get(GRAPH).ok_or_else(|| without_graph(&file))?;
    step_of(&file, text, &mut BTreeSet::new())
}

/// All graphs of such a file: those of a trainer's are for several sizes of batches. Each state has its value in the first one that has it alone: there may be gigabytes of them.
///
/// # Errors
/// As [`load_model`].
pub fn load_steps(path: impl AsRef<Path>) -> Result<Vec<Step>, IoError> {
    let file = TensorFile::open(path)?;
    file.check_seal()?;
    let texts = file.metadata()?;
    texts.get(GRAPH).ok_or_else(|| without_graph(&file))?;
    let mut seen = BTreeSet::new();
    let graphs = texts.iter().filter(|(name, _)| is_graph(name));
    graphs.map(|(_, text)| step_of(&file, text, &mut seen)).collect()
}

/// What a text says, with the states' values, but for those that have been seen.
fn step_of(file: &TensorFile, text: &str, seen: &mut BTreeSet<String>) -> Result<Step, IoError> {
    let wrong = |what: String| IoError::Malformed { path: file.path().into(), offset: 8, what };
    let graph = Graph::parse(text).map_err(|e| wrong(format!("the graph: {e}")))?;
    let mut found = Vec::new();
    for (name, ty) in states(&graph) {
        let init = match seen.insert(name.clone()) {
            true => {
                let value = file.tensor(name)?;
                check_type(file.path(), (name, ty), &value)?;
                Initializer::Given(value)
            }
            false => Initializer::Constant(0.0),
        };
        found.push(StateSpec { name: name.clone(), ty: ty.clone(), init, role: StateRole::Parameter });
    }
    Ok(Step { graph, states: found, layers: vec![] })
}

fn without_graph(file: &TensorFile) -> IoError {
    let what = "there is no graph in the file: it has weights alone, and `save_model` writes both".into();
    IoError::Malformed { path: file.path().into(), offset: 8, what }
}

/// Refuses a value of another type than its state's.
fn check_type(path: &Path, (name, expected): (&String, &ir::TensorType), value: &Value) -> Result<(), IoError> {
    if value.ty() == expected {
        return Ok(());
    }
    let (found, expected) = (value.ty().clone(), expected.clone());
    Err(IoError::Type { path: path.into(), name: name.clone(), found, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::CompileOptions;
    use crate::data::{Dataset, array};
    use crate::io::{load_tensors, save_tensors};
    use crate::prelude::*;

    fn trained() -> (Trainer, Dataset) {
        let model = Sequential::new([6, 6, 1]).conv2d(2, 3).batch_norm().relu().flatten().dense(3).softmax();
        let x = array([4, 6, 6, 1], (0..144).map(|i| (i as f32 * 0.37).sin()).collect()).unwrap();
        let data = Dataset::new(x, array([4], vec![0i32, 1, 2, 0]).unwrap()).unwrap();
        let mut trainer = model.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, []).unwrap();
        trainer.fit(&data, Fit::epochs(2).batch(4).silent()).unwrap();
        (trainer, data)
    }

    #[test]
    fn a_saved_model_runs_without_its_program() {
        let (mut trainer, data) = trained();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        trainer.set_metadata("classes", "a b c");
        trainer.save_model(&path, 4).unwrap();
        let want = trainer.predict(&data).unwrap();
        let step = load_model(&path).unwrap();
        let mut program = step.compile(&CompileOptions::default()).unwrap();
        let found = program.run([("x", &data.value("x").unwrap())]).unwrap();
        assert_eq!(found["output"], want);
        // The same file has the weights, and what was kept with them.
        assert_eq!(load_tensors(&path).unwrap(), trainer.weights().unwrap());
        let mut fresh = trained().0;
        fresh.load_weights(&path).unwrap();
        assert_eq!((fresh.predict(&data).unwrap(), fresh.metadata("classes")), (want, Some("a b c")));
        // A graph is that of one model: it doesn't go along with weights that are trained further.
        fresh.save_weights(&path).unwrap();
        assert!(load_model(&path).unwrap_err().to_string().contains("it has weights alone"));
    }

    #[test]
    fn files_without_a_sound_graph_are_refused() {
        let (mut trainer, _) = trained();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let refused = || load_model(&path).unwrap_err().to_string();
        let weights = trainer.weights().unwrap();
        save_tensors(&path, &weights).unwrap();
        assert!(refused().contains("it has weights alone"), "{}", refused());
        let with = |weights: &BTreeMap<String, Value>, text: &str| {
            save_with_metadata(&path, weights, &[(GRAPH.to_string(), text.to_string())].into(), false).unwrap();
        };
        with(&weights, "graph g {");
        assert!(refused().contains("the graph: "), "{}", refused());
        trainer.save_model(&path, 1).unwrap();
        let text = TensorFile::open(&path).unwrap().metadata().unwrap()[GRAPH].clone();
        let mut fewer = weights.clone();
        fewer.remove("dense/bias");
        with(&fewer, &text);
        assert!(refused().contains("there is no tensor dense/bias"), "{}", refused());
        fewer.insert("dense/bias".into(), array([1], vec![0.0f32]).unwrap());
        with(&fewer, &text);
        assert!(refused().contains("`dense/bias` is f32[1], but the model's state is f32[3]"), "{}", refused());
        let graph = Graph::parse(&text).unwrap();
        assert!(matches!(save_model(&path, &graph, &BTreeMap::new(), &BTreeMap::new()), Err(IoError::Missing { .. })));
    }
}
