//! Steps that look for NaN and infinite numbers: what is planted in a layer is named, by op, layer, line and the ranges of operands; what a model does on purpose isn't.

use gradc::compile::{CompileOptions, CompiledProgram, NumericsFault, RunError};
use gradc::data::{Dataset, array};
use gradc::dsl::{DType, GraphBuilder, Tensor, f32};
use gradc::nn::{Embedding, GlobalAvgPool1d, LayerNorm, LearnedPositions, Lstm, TransformerBlock};
use gradc::optim::{LossScale, Schedule};
use gradc::prelude::*;
use gradc::train::TrainError;
use ir::{Data, Value};
use std::collections::BTreeMap;

/// A user's layer that should never have seen a negative number.
#[derive(Clone)]
struct Logarithm;

impl Layer for Logarithm {
    fn base(&self) -> &str {
        "logarithm"
    }

    fn kind(&self) -> &str {
        "Logarithm"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        x.log()
    }
}

/// A model, and the line in which the layer stands that is to fail.
type PlantedModel = (Sequential, u32);

fn cnn(plain: bool) -> PlantedModel {
    let model = Sequential::new([8, 8, 1]).conv2d(4, 3);
    let model = if plain { model.relu() } else { model.add(Logarithm) };
    (model.max_pool2d(2).flatten().dense(3), line!() - 1)
}

fn lstm() -> PlantedModel {
    let model = Sequential::new([6, 3]);
    let model = model.add(Lstm::new(4).return_sequences(true)).add(Lstm::new(5));
    (model.dense(3), line!() - 1)
}

fn transformer() -> PlantedModel {
    let mut model = Sequential::of(i32([6])).add(Embedding::new(7, 8)).add(LearnedPositions::new(6));
    for _ in 0..2 {
        model = model.add(TransformerBlock::new(2).causal(true));
    }
    (model.add(LayerNorm::new()).add(GlobalAvgPool1d).dense(3), line!() - 2)
}

/// Samples of the shape that a model takes, of three classes.
fn data(dims: &[usize]) -> Dataset {
    let n: usize = 8 * dims.iter().product::<usize>();
    let shape: Vec<usize> = [&[8], dims].concat();
    let x = array(shape.as_slice(), (0..n).map(|i| ((i * 37 % 19) as f32 - 9.0) / 5.0).collect()).unwrap();
    Dataset::new(x, array([8], (0..8).map(|i| i % 3).collect::<Vec<i32>>()).unwrap()).unwrap()
}

fn tokens() -> Dataset {
    let x = array([8, 6], (0..48).map(|i| i * 5 % 7).collect::<Vec<i32>>()).unwrap();
    Dataset::new(x, array([8], (0..8).map(|i| i % 3).collect::<Vec<i32>>()).unwrap()).unwrap()
}

fn trainer(model: &Sequential, check: bool) -> Trainer {
    let options = CompileOptions::threads(2);
    let options = if check { options.check_numerics() } else { options };
    let trainer = model.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
    trainer.with_options(options).unwrap()
}

/// Fills a weight.
fn plant(trainer: &mut Trainer, name: &str, number: f32) {
    let weights = trainer.weights().unwrap();
    let old = weights.get(name).unwrap_or_else(|| panic!("{name}, there are {:?}", weights.keys()));
    let value = Value::new(old.ty().clone(), Data::F32(vec![number; old.ty().shape.numel()])).unwrap();
    trainer.set_weights(BTreeMap::from([(name.to_string(), value)])).unwrap();
}

/// What a step of one's own loop finds; the weights are those from before it.
fn found(trainer: &mut Trainer, data: &Dataset) -> NumericsFault {
    let before = trainer.weights().unwrap();
    let error = trainer.train_step(data).expect_err("something was planted");
    let TrainError::Run(RunError::NotFinite(fault)) = error else { panic!("{error}") };
    let bits =
        |weights: BTreeMap<String, Value>| weights.into_values().map(|v| v.data().to_bytes()).collect::<Vec<_>>();
    assert!(bits(before) == bits(trainer.weights().unwrap()));
    *fault
}

fn expect(fault: &NumericsFault, op: &str, layer: &str, line: u32) {
    let loc = fault.loc.as_ref().unwrap_or_else(|| panic!("{fault}"));
    assert!(loc.file.ends_with("numerics.rs"), "{fault}");
    assert_eq!((fault.op.as_str(), fault.layer.as_deref(), loc.line), (op, Some(layer), line), "{fault}");
    let text = fault.to_string();
    assert!(
        text.contains(&format!("numerics.rs:{line}:")) && text.contains(&format!("`{op}` of the layer `{layer}`")),
        "{text}"
    );
}

#[test]
fn nan_in_a_cnn_is_named() {
    let (model, line) = cnn(false);
    let fault = found(&mut trainer(&model, true), &data(&[8, 8, 1]));
    expect(&fault, "log", "logarithm", line);
    assert!(fault.result.nans > 0 && !fault.backward && !fault.in_scan);
    let range = &fault.operands[0].range;
    assert!(range.is_finite() && range.min < 0.0 && range.max > range.min, "{fault}");
    assert_eq!(range.ty.shape.dims(), [8, 6, 6, 4]);
}

#[test]
fn nan_in_an_lstm_is_named_within_its_scan() {
    let (model, line) = lstm();
    let mut trainer = trainer(&model, true);
    // Times a first state of 0 that is NaN.
    plant(&mut trainer, "lstm_1/recurrent_kernel", f32::INFINITY);
    let fault = found(&mut trainer, &data(&[6, 3]));
    expect(&fault, "dot", "lstm_1", line);
    assert!(fault.in_scan && fault.result.nans > 0, "{fault}");
    assert!(fault.operands.iter().any(|operand| operand.range.infinities > 0), "{fault}");
}

#[test]
fn what_overflows_in_a_transformer_is_named_not_the_nan_that_comes_of_it() {
    let (model, line) = transformer();
    let mut trainer = trainer(&model, true);
    // Queries and keys that are large each, and whose products are more than there are.
    plant(&mut trainer, "transformer_block_1/attention/qkv/bias", 1e25);
    let fault = found(&mut trainer, &tokens());
    expect(&fault, "dot", "transformer_block_1", line);
    assert!(fault.result.infinities > 0 && fault.operands.iter().all(|operand| operand.range.is_finite()), "{fault}");
}

#[test]
fn a_weight_that_is_nan_is_named_itself() {
    let (model, _) = cnn(true);
    let mut trainer = trainer(&model, true);
    plant(&mut trainer, "dense/bias", f32::NAN);
    let fault = found(&mut trainer, &data(&[8, 8, 1]));
    assert_eq!((fault.op.as_str(), fault.port.as_deref(), fault.result.nans), ("state", Some("dense/bias"), 3));
    assert!(fault.to_string().contains("state `dense/bias` has NaN: it is f32[3], 3 of 3 NaN"), "{fault}");
}

/// A square root's derivative at 0 is infinite, and the zero that it meets makes NaN of it.
#[test]
fn the_backward_pass_is_told_apart() {
    let g = GraphBuilder::new("root");
    let x = g.param("x", f32([3]), gradc::dsl::zeros());
    let line = line!() + 1;
    let loss = (x.square().sum().sqrt() + 1.0).mean();
    let step = g.minimize(loss, &Sgd::new(0.1)).unwrap();
    let mut program = step.compile(&CompileOptions::threads(1).check_numerics()).unwrap();
    let error = program.step().unwrap_err();
    let RunError::NotFinite(fault) = error else { panic!("{error}") };
    assert!(fault.backward && fault.loc.as_ref().is_some_and(|loc| loc.line == line), "{fault}");
    assert!(fault.layer.is_none() && fault.result.infinities == 1, "{fault}");
}

/// The same bits, and no complaint.
#[test]
fn sound_models_compute_the_same_with_checks() {
    for (model, data) in [(cnn(true).0, data(&[8, 8, 1])), (lstm().0, data(&[6, 3])), (transformer().0, tokens())] {
        let run = |check| {
            let mut trainer = trainer(&model, check);
            let losses: Vec<u64> = (0..3).map(|_| trainer.train_step(&data).unwrap().loss().to_bits()).collect();
            let weights: Vec<Vec<u8>> = trainer.weights().unwrap().values().map(|v| v.data().to_bytes()).collect();
            (losses, weights)
        };
        assert!(run(true) == run(false), "{model:?}");
    }
}

/// Compiled with checks: what a graph of `x: f32[4]` gives.
fn program(declare: impl Fn(&GraphBuilder, &Tensor) -> Tensor) -> CompiledProgram {
    let g = GraphBuilder::new("own");
    let y = declare(&g, &g.input("x", f32([4])));
    g.output("y", &y);
    g.finish().unwrap().compile(&CompileOptions::threads(1).check_numerics()).unwrap()
}

#[test]
fn infinity_on_purpose_is_nobodys_fault() {
    let mut masked = program(|g, x| {
        let scores = x.gt(0.0).select(x, f64::NEG_INFINITY);
        // Kept, so that it is looked at.
        g.output("scores", &scores);
        scores.softmax(-1)
    });
    let x = array([4], vec![-1.0f32, 0.5, 0.5, -2.0]).unwrap();
    for _ in 0..2 {
        assert_eq!(masked.run([("x", &x)]).unwrap()["y"].to_f64_vec(), [0.0, 0.5, 0.5, 0.0]);
    }
    // Then NaN is found all the same.
    let nan = array([4], vec![-1.0f32, 0.5, f32::NAN, -2.0]).unwrap();
    let none = array([4], vec![-1.0f32; 4]).unwrap();
    let error = masked.run([("x", &none)]).unwrap_err();
    assert!(error.to_string().contains("gives NaN"), "{error}");
    assert!(masked.run([("x", &x)]).is_ok());
    let mut double = program(|_, x| x * 2.0);
    let error = double.run([("x", &nan)]).unwrap_err().to_string();
    assert!(error.contains("input `x` has NaN: it is f32[4] from -2 to 0.5, 1 of 4 NaN"), "{error}");
    // What comes in infinite may go out so.
    let infinite = array([4], vec![f32::INFINITY, 1.0, 2.0, 3.0]).unwrap();
    assert!(double.run([("x", &infinite)]).is_ok());
    let large = array([4], vec![3e38f32, 1.0, 2.0, 3.0]).unwrap();
    let error = program(|_, x| x * x).run([("x", &large)]).unwrap_err().to_string();
    assert!(
        error.contains("`mul` gives an infinite number: its result is f32[4] from 1 to 9, 1 of 4 infinite"),
        "{error}"
    );
}

#[test]
fn every_type_of_floats_is_looked_at() {
    for dtype in [DType::F64, DType::F16, DType::Bf16] {
        let mut log = program(|_, x| x.cast(dtype).log().cast(DType::F32));
        assert!(log.run([("x", &array([4], vec![1.0f32; 4]).unwrap())]).is_ok(), "{dtype}");
        let error = log.run([("x", &array([4], vec![-1.0f32; 4]).unwrap())]).unwrap_err().to_string();
        assert!(error.contains("`log` gives NaN"), "{dtype}: {error}");
    }
}

/// More elements than one magnitude is taken of, and not a multiple: each one counts.
#[test]
fn every_element_is_looked_at() {
    const LEN: usize = 3 * 8192 + 5;
    let g = GraphBuilder::new("long");
    g.output("y", &(g.input("x", f32([LEN])) * 2.0));
    let mut program = g.finish().unwrap().compile(&CompileOptions::threads(2).check_numerics()).unwrap();
    for at in [0, 8191, 8192, 16_384, 24_575, 24_576, LEN - 1] {
        let mut x = vec![1.0f32; LEN];
        x[at] = 3e38;
        let error = program.run([("x", &array([LEN], x).unwrap())]).unwrap_err();
        let RunError::NotFinite(fault) = error else { panic!("{at}: {error}") };
        assert_eq!((fault.op.as_str(), fault.result.infinities), ("mul", 1), "{at}");
    }
    assert!(program.run([("x", &array([LEN], vec![1.0f32; LEN]).unwrap())]).is_ok());
}

#[test]
fn a_diverging_fit_names_the_op_and_keeps_history_and_best_weights() {
    let x = array([16, 1], (0..16).map(|i| i as f32 / 16.0).collect()).unwrap();
    let data = Dataset::new(x.clone(), x).unwrap();
    let fit = || Fit::epochs(9).batch(4).validate(&data).silent();
    let model = Sequential::new([1]).dense(1);
    let trainer = model.compile(Sgd::new(Schedule::step(0.3, 8, 1e30)), MeanSquaredError, []).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1).check_numerics()).unwrap();
    let error = trainer.fit(&data, fit()).unwrap_err();
    let text = error.to_string();
    let TrainError::Diverged { epoch, history, best, fault: Some(fault), .. } = error else { panic!("{error}") };
    assert!(epoch > 1 && history.epochs.len() == epoch - 1, "{epoch}");
    assert!(text.contains(&fault.to_string()) && text.contains("the training has diverged"), "{text}");
    assert!(fault.result.infinities > 0 && fault.operands.iter().all(|o| o.range.is_finite()), "{fault}");
    let losses = history.get("val_loss");
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[best.unwrap() - 1], least);
    assert_eq!(trainer.evaluate(&data).unwrap().loss, least);
}

/// The optimizer finds gradients that overflow by itself, and takes a smaller factor.
#[test]
fn a_loss_scaled_too_much_is_nobodys_fault() {
    let data = data(&[2]);
    let scale = LossScale::dynamic().initial(1e38);
    let model = Sequential::new([2]).dense(3);
    let trainer = model.compile(Sgd::new(0.1).loss_scale(scale), SparseCategoricalCrossEntropy, []).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1).check_numerics()).unwrap();
    for _ in 0..3 {
        trainer.train_step(&data).unwrap();
    }
    plant(&mut trainer, "dense/bias", f32::NAN);
    assert!(trainer.train_step(&data).is_err());
}
