//! Predictors of files and of steps from elsewhere, and batches of bytes.

use super::*;
use crate::compile::{Cache, CodeSource};
use crate::data::{Dataset, array};
use crate::dsl::{GraphBuilder, f32, i32, zeros};
use crate::io::{load_model, save_model};
use crate::nn::Layer;
use crate::prelude::*;
use std::collections::BTreeMap;

fn trainer() -> Trainer {
    let model = Sequential::new([3]).dense(4).batch_norm().tanh().dense(2);
    model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap()
}

fn samples(count: usize) -> Value {
    array([count, 3], (0..count * 3).map(|i| (i as f32 * 0.37).sin()).collect()).unwrap()
}

#[test]
fn a_file_predicts_what_its_trainer_does_at_any_number_of_samples() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let mut trainer = trainer().with_batch(8).unwrap();
    trainer.save_model(&path, 8).unwrap();
    let predictor = Predictor::load(&path, CompileOptions::default()).unwrap();
    assert_eq!(predictor.sizes().collect::<Vec<_>>(), [1, 2, 4, 8]);
    for count in [1, 3, 4, 8, 21] {
        let x = samples(count);
        let want = trainer.predict(&Dataset::unlabelled(x.clone()).unwrap()).unwrap();
        assert_eq!(predictor.predict(&[("x", (&x).into())]).unwrap(), want, "{count}");
    }
    let names = |ports: Vec<(String, TensorType)>| -> Vec<String> {
        ports.iter().map(|(name, ty)| format!("{name} {ty}")).collect()
    };
    assert_eq!(
        (names(predictor.inputs()), names(predictor.outputs())),
        (vec!["x f32[3]".into()], vec!["output f32[2]".into()])
    );
    // Whatever else reads the file finds the weights, and the graph of all samples.
    trainer.load_weights(&path).unwrap();
    assert_eq!(load_model(&path).unwrap().graph.inputs().next().unwrap().1.ty.to_string(), "f32[8,3]");
}

#[test]
fn batches_of_bytes_are_ready_or_there_is_none() {
    let mut trainer = trainer().with_batch(4).unwrap();
    let predictor = trainer.predictor().unwrap();
    assert!(predictor.ready_batch(1).unwrap().is_none());
    assert!(predictor.warm_up(3, 1).unwrap_err().to_string().contains("no batches of 3"));
    predictor.warm_up(2, 2).unwrap();
    assert_eq!((predictor.ready_sizes().collect::<Vec<_>>(), predictor.programs()), (vec![2], 2));
    // As many as there is room for.
    assert_eq!(predictor.ready_batch(4).unwrap().unwrap().room(), 2);
    predictor.warm_up(4, 1).unwrap();
    let mut batch = predictor.ready_batch(3).unwrap().unwrap();
    let x = samples(3);
    batch.write("x", 0, &x.part(0).data().to_bytes()).unwrap();
    batch.write("x", 1, &[x.part(1).data().to_bytes(), x.part(2).data().to_bytes()].concat()).unwrap();
    batch.run(3).unwrap();
    let mut bytes = vec![];
    batch.read("output", 0..1, &mut bytes).unwrap();
    batch.read("output", 1..3, &mut bytes).unwrap();
    assert_eq!(bytes, predictor.predict(&[("x", (&x).into())]).unwrap().data().to_bytes());
    for (at, bytes, what) in [(4, 12, "has 12 elements, not 15"), (0, 11, "12 elements, not 2"), (9, 12, "not 30")] {
        let error = batch.write("x", at, &vec![0; bytes]).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    assert!(batch.write("y", 0, &[]).unwrap_err().to_string().contains("no input named `y`"));
    assert!(batch.read("output", 3..5, &mut bytes).unwrap_err().to_string().contains("8 elements, not 10"));
    let before = predictor.programs();
    drop(batch);
    assert_eq!(predictor.programs(), before + 1);
}

#[test]
fn an_index_out_of_range_names_its_sample() {
    let model = Functional::new(i32([2]), |x| Embedding::new(5, 3).apply(x));
    let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap().with_batch(4).unwrap();
    let predictor = trainer.predictor().unwrap();
    predictor.warm_up(4, 1).unwrap();
    let mut batch = predictor.ready_batch(3).unwrap().unwrap();
    let tokens = array([3, 2], vec![0i32, 1, 2, 9, 4, 4]).unwrap();
    batch.write("x", 0, &tokens.data().to_bytes()).unwrap();
    let TrainError::Run(RunError::Index { place, value, .. }) = batch.run(3).unwrap_err() else { panic!("no index") };
    assert_eq!((place, value), (vec![1, 1], 9));
}

#[test]
fn large_constants_are_there_once() {
    let options = CompileOptions::default();
    let table: Vec<f32> = (0..64 * 64).map(|i| (i as f32 * 0.01).cos()).collect();
    let table = array([64, 64], table).unwrap();
    let step = |samples: usize| {
        let g = GraphBuilder::new("constants");
        let weights = g.constant(table.clone());
        g.output("y", &g.input("x", f32([samples, 64])).matmul(&weights));
        g.output("z", &g.input("w", f32([samples, 64])).matmul(weights.transpose()));
        Ok::<_, TrainError>((samples, g.finish().unwrap()))
    };
    let predictor = Predictor::from_steps([step(1), step(4)], options.clone()).unwrap();
    // The table and its transpose, and not one of each for each size.
    assert_eq!(predictor.states().unwrap().iter().count(), 2);
    assert_eq!(predictor.bytes(), 2 * 64 * 64 * 4);
    let x: Vec<f32> = (0..256).map(|i| i as f32 / 256.0).collect();
    for samples in [1, 4] {
        predictor.warm_up(samples, 1).unwrap();
        let mut batch = predictor.ready_batch(samples).unwrap().unwrap();
        let x = array([samples, 64], x[..samples * 64].to_vec()).unwrap();
        for input in ["x", "w"] {
            batch.write(input, 0, &x.data().to_bytes()).unwrap();
        }
        batch.run(samples).unwrap();
        let want = step(samples).unwrap().1.compile(&options).unwrap().run([("x", &x), ("w", &x)]).unwrap();
        for (name, want) in want {
            let mut found = vec![];
            batch.read(&name, 0..samples, &mut found).unwrap();
            let found = found.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            // A transposed table that is there as it is used is read in another order than one that isn't: last bits differ.
            assert!(found.zip(want.as_f32().unwrap()).all(|(a, b)| (a - b).abs() < 1e-5), "{name} of {samples}");
        }
    }
}

#[test]
fn models_that_count_no_samples_take_whole_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let save = |samples: usize, rows: usize| {
        let g = GraphBuilder::new("whole");
        let sums = g.input("x", f32([samples, 3])) + g.param("w", f32([3]), zeros());
        g.output("y", &sums.reshape([rows as isize, (samples * 3 / rows) as isize]));
        let step = g.finish().unwrap();
        save_model(&path, &step.graph, &step.initial_values(0).into_iter().collect(), &BTreeMap::new()).unwrap();
        Predictor::load(&path, CompileOptions::default()).unwrap()
    };
    let rows = save(2, 2);
    assert!(!rows.is_whole() && rows.sizes().eq([2]));
    assert_eq!(rows.predict(&[("x", (&samples(3)).into())]).unwrap(), samples(3));
    let whole = save(2, 3);
    assert!(whole.is_whole() && whole.sizes().eq([1]));
    assert!(whole.predict(&[("x", (&samples(2)).into())]).unwrap_err().to_string().contains("whole arrays"));
    whole.warm_up(1, 1).unwrap();
    let mut batch = whole.ready_batch(1).unwrap().unwrap();
    batch.write("x", 0, &samples(2).data().to_bytes()).unwrap();
    batch.run(1).unwrap();
    let mut found = vec![];
    batch.read("y", 0..1, &mut found).unwrap();
    assert_eq!(found, samples(2).data().to_bytes());
    assert_eq!(whole.inputs()[0].1.to_string(), "f32[2,3]");
}

#[test]
fn steps_that_do_not_go_together_are_refused() {
    let step = |samples: usize, rows: usize, units: usize| {
        let g = GraphBuilder::new("step");
        g.output("y", &g.input("x", f32([rows, 3])).matmul(g.param("w", f32([3, units]), zeros())));
        Ok::<_, TrainError>((samples, g.finish().unwrap()))
    };
    let refused = |steps: Vec<Result<(usize, Step), TrainError>>| {
        Predictor::from_steps(steps, CompileOptions::default()).unwrap_err().to_string()
    };
    assert!(refused(vec![]).contains("needs a step"));
    assert!(refused(vec![step(2, 3, 1)]).contains("no row for each of 2 samples"));
    assert!(refused(vec![step(1, 1, 2), step(2, 2, 3)]).contains("`w` is f32[3,2] in one graph, f32[3,3] in another"));
}

#[test]
fn a_predictor_that_is_loaded_again_compiles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let sources = || -> Vec<CodeSource> {
        trainer().save_model(&path, 2).unwrap();
        let predictor = Predictor::load(&path, CompileOptions::default().cache(Cache::Process)).unwrap();
        predictor.sizes().try_for_each(|size| predictor.warm_up(size, 1)).unwrap();
        let programs = predictor.0.sizes.iter().map(|size| match &lock(&size.idle)[0] {
            ServedProgram::Compiled(program) => program.report().cache.source,
            #[cfg(feature = "built")]
            ServedProgram::Built(_) => panic!("it was compiled"),
        });
        programs.collect()
    };
    sources();
    assert_eq!(sources(), [CodeSource::Process; 2]);
}
