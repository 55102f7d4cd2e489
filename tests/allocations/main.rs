//! A step of a loop of one's own allocates nothing: feeding, learning rate, step, loss and metrics, also where the size of batches changes; nor does a prediction. Files take
//! no more memory than they should. Without the test harness, whose own
//! thread allocates at any time.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../../runtime/tests/counting/mod.rs"]
mod counting;

use counting::{allocations, is_listed, peak_of};
use gradc::data::{ArrayView, Column};
use gradc::io::{Convention, TensorFile, WeightRules, save_with_metadata};
use gradc::prelude::*;
use std::io::Write;

/// Points on a line in two classes.
fn points(n: usize) -> Dataset {
    let x = array([n, 1], (0..n).map(|i| i as f32 / n as f32).collect()).unwrap();
    Dataset::new(x, array([n], (0..n).map(|i| i32::from(i > n / 2)).collect()).unwrap()).unwrap()
}

/// Full batches and a last one that isn't, evaluation and prediction between, arrays by name.
fn round(trainer: &mut Trainer, batches: &[Dataset], x: &[f32], y: &[i32]) -> f64 {
    trainer.reset_metrics();
    for batch in batches {
        assert!(trainer.train_step(batch).unwrap().loss().is_finite());
    }
    let arrays = [("x", ArrayView::from(x)), ("y", ArrayView::from(y))];
    trainer.train_step(&arrays).unwrap();
    assert!(trainer.test_step(&batches[0]).unwrap().get("accuracy").is_some());
    assert_eq!(trainer.predict_step(&arrays).unwrap().get::<f32>("output").unwrap().len(), 2 * y.len());
    trainer.logs().get("accuracy").unwrap() + trainer.logs().get("loss").unwrap()
}

/// Of all kinds, truth values among them, which come as such or as bytes; by columns of a data set, too.
fn steps_on_borrowed_elements() {
    let g = GraphBuilder::new("select");
    g.output("y", &g.input("keep", bool_([3])).select(&g.input("x", f32([3])), 0.0));
    let mut program = g.finish().unwrap().compile(&CompileOptions::threads(1)).unwrap();
    let (x, keep, bytes, mut y) = ([1.0f32, 2.0, 3.0], [true, false, true], [0u8, 1, 0], [0.0f32; 3]);
    let mut run = || {
        for keep in [ArrayView::from(&keep), ArrayView::from(&bytes)] {
            let outputs = program.run_on(&[("x", ArrayView::from(&x)), ("keep", keep)]).unwrap();
            outputs.copy_to("y", &mut y).unwrap();
        }
        assert_eq!(y, [0.0, 2.0, 0.0]);
    };
    run();
    let before = allocations();
    (0..20).for_each(|_| run());
    assert_eq!(allocations(), before, "steps on borrowed elements");
    let model = Functional::with_inputs([("x", f32([1])), ("keep", bool_([1]))], |inputs| {
        Dense::new(1).apply(&inputs[1].select(&inputs[0], 0.0))
    });
    let trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    // Threads of the pool allocate when they start, whenever that is.
    let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
    let column = Column::new(array([3, 1], keep.to_vec()).unwrap()).unwrap();
    let data = Dataset::unlabelled(array([3, 1], x.to_vec()).unwrap()).unwrap().with("keep", column).unwrap();
    let mut predict = || {
        let outputs = trainer.predict_step(&data).unwrap();
        let output = outputs.get::<f32>("output").unwrap();
        assert!(output[0] != 0.0 && output[1] == 0.0 && output[2] == 3.0 * output[0], "{output:?}");
    };
    predict();
    let before = allocations();
    (0..20).for_each(|_| predict());
    assert_eq!(allocations(), before, "a column of truth values");
}

/// From the first batch on: what is compiled ahead has run.
fn batches_of_bytes(predictor: &Predictor, x: &[f32]) {
    predictor.sizes().try_for_each(|size| predictor.warm_up(size, 2)).unwrap();
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut output = Vec::with_capacity(8 * x.len());
    let before = allocations();
    for count in (1..=x.len()).cycle().take(20) {
        output.clear();
        let mut batch = predictor.ready_batch(count).unwrap().unwrap();
        batch.write("x", 0, &bytes[..4 * count]).unwrap();
        batch.run(count).unwrap();
        batch.read("output", 0..count, &mut output).unwrap();
        assert_eq!(output.len(), 8 * count);
    }
    assert_eq!(allocations(), before, "batches of bytes");
}

/// The file of an array that NumPy would have so.
fn npy(shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape},)}}");
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

/// An archive with one array: what `npy` says, and so many deflated zeros.
fn deflated(shape: &str, zeros: usize) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    let file = archive.new_file("a.npy").compression_method(rawzip::CompressionMethod::DEFLATE);
    let (mut entry, config) = file.start().unwrap();
    let mut writer = config.wrap(flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast()));
    writer.write_all(&npy(shape)).unwrap();
    let block = vec![0; 1 << 20];
    (0..zeros >> 20).for_each(|_| writer.write_all(&block).unwrap());
    let (encoder, descriptor) = writer.finish().unwrap();
    encoder.finish().unwrap();
    entry.finish(descriptor).unwrap();
    archive.finish().unwrap()
}

/// A safetensors file with that header, which may be said to be of another length.
fn with_header(length: u64, header: &str) -> Vec<u8> {
    [&length.to_le_bytes()[..], header.as_bytes()].concat()
}

/// A safetensors file of one tensor of four bytes, whose header says this shape and these places.
fn one_tensor(shape: &str, places: &str) -> Vec<u8> {
    let header = format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{places}}}}}");
    [with_header(header.len() as u64, &header), vec![0; 4]].concat()
}

/// Files that promise more than they are, or what none can be.
fn hostile_files() -> Vec<(&'static str, Vec<u8>)> {
    let nested = "[".repeat(4 << 20);
    let members = "{\"a\":".repeat(1 << 20);
    let whole = one_tensor("[1]", "[0,4]");
    vec![
        // Half a gigabyte of zeros, in some megabytes: a bomb.
        ("zeros", deflated("134217728", 512 << 20)),
        ("2^60 elements, deflated", deflated("1152921504606846976", 1 << 20)),
        ("2^60 elements", [npy("1152921504606846976"), vec![0; 64]].concat()),
        ("2^64 elements", [npy("4294967296, 4294967296"), vec![0; 64]].concat()),
        ("-1 elements", [npy("-1"), vec![0; 64]].concat()),
        ("a cut array", npy("1")),
        ("a cut archive", deflated("1", 0)[..40].to_vec()),
        ("2^60 elements in a header", one_tensor("[1152921504606846976]", "[0,4]")),
        ("2^64 elements in a header", one_tensor("[4294967296,4294967296]", "[0,4]")),
        ("-1 elements in a header", one_tensor("[-1]", "[0,4]")),
        ("places that go backwards", one_tensor("[1]", "[4,0]")),
        ("places far away", one_tensor("[1]", "[18446744073709551611,18446744073709551615]")),
        ("a cut tensor", whole[..whole.len() - 1].to_vec()),
        ("a cut header", whole[..20].to_vec()),
        ("a header of 2^62 bytes", with_header(1 << 62, "{}")),
        ("a nested header", with_header(nested.len() as u64, &nested)),
        ("a header of nested members", with_header(members.len() as u64, &members)),
        ("nothing", vec![]),
    ]
}

/// What a hostile file gives: a typed error, on the way to which no more than 200 MB are taken. How long it took is told.
fn is_refused<T>(what: &str, read: impl FnOnce() -> Result<T, TrainError>) {
    let start = std::time::Instant::now();
    let (result, peak) = peak_of(read);
    let error = result.err().unwrap_or_else(|| panic!("{what} was read"));
    println!(
        "{:6.1} MB {:6.3} s  {what}: {:.150}",
        peak as f64 / 1e6,
        start.elapsed().as_secs_f64(),
        error.to_string()
    );
    assert!(peak < 200_000_000, "{what}: {peak} bytes");
}

/// Read whole; by rules of names; as a checkpoint; as the newest checkpoint of a run, with a right checksum around a record that is none.
fn hostile_files_take_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.safetensors");
    let model = Sequential::new([1]).dense(1);
    let mut trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
    for (what, bytes) in hostile_files() {
        std::fs::write(&path, &bytes).unwrap();
        is_refused(what, || {
            let file = TensorFile::from_bytes(what, bytes)?;
            Ok(file.names().map(|name| file.tensor(name)).collect::<Result<Vec<_>, _>>()?)
        });
        let rules = WeightRules::new(Convention::PyTorch).allow_missing().allow_unused();
        is_refused(&format!("{what}, by rules"), || trainer.load_pretrained(&path, &rules));
        is_refused(&format!("{what}, as a checkpoint"), || trainer.load_checkpoint(&path));
    }
    let run = dir.path().join("run");
    let nested = ["[".repeat(4 << 20), "{\"settings\":".repeat(1 << 20), "{}".into()];
    for (what, record) in ["lists", "members", "empty"].into_iter().zip(nested) {
        let record = array([record.len()], record.into_bytes()).unwrap();
        std::fs::create_dir_all(&run).unwrap();
        let file = run.join("epoch-00001-step-00000000.safetensors");
        save_with_metadata(file, &[("@run/record".to_string(), record)].into(), &[].into(), true).unwrap();
        let fit = Fit::epochs(2).batch(2).resume(Checkpoints::new(&run)).silent();
        let x = || array([2, 1], vec![0.0f32; 2]).unwrap();
        let data = Dataset::new(x(), x()).unwrap();
        is_refused(&format!("a record of a run, {what}"), || trainer.fit(&data, fit));
    }
}

/// A checkpoint is written tensor by tensor: besides the values that it is of, it takes less than the largest two of them.
fn checkpoints_are_written_tensor_by_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let layers = Sequential::new([256]).dense(512).dense(512).dense(512).dense(512);
    let mut trainer = layers.compile(Adam::default(), MeanSquaredError, []).unwrap();
    let states: usize = 3 * trainer.weights().unwrap().values().map(|value| value.ty().size_bytes()).sum::<usize>();
    let (saved, peak) = peak_of(|| trainer.save_checkpoint(dir.path().join("c.safetensors")));
    saved.unwrap();
    assert!(states > 10 << 20 && peak < states + (3 << 20), "{peak} bytes for states of {states}");
}

fn main() {
    if is_listed("a_step_of_an_own_loop_allocates_nothing") {
        return;
    }
    let model = Sequential::new([1]).dense(8).tanh().dense(2);
    let optimizer = Adam::new(Schedule::cosine(0.1, 1000)).output_gradient_norm("norm");
    let metrics = [Accuracy, Metric::ConfusionMatrix];
    let trainer = model.compile(optimizer, SparseCategoricalCrossEntropy, metrics).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
    let data = points(23);
    let batches: Vec<Dataset> = data.batches(5).collect();
    let (x, y) = ([0.1f32, 0.2, 0.9], [0i32, 0, 1]);
    let first = round(&mut trainer, &batches, &x, &y);
    let before = allocations();
    let mut last = first;
    for _ in 0..20 {
        last = round(&mut trainer, &batches, &x, &y);
    }
    assert_eq!(allocations(), before);
    assert_ne!(first, last, "it trains");
    let predictor = trainer.predictor().unwrap();
    let mut output = [0.0f32; 46];
    let mut predict_all = || {
        for n in 1..=x.len() {
            let arrays = [("x", ArrayView::from(&x[..n]))];
            predictor.predict_into(&arrays, &mut [("output", &mut output[..2 * n])]).unwrap();
        }
        predictor.predict_into(&data, &mut [("output", &mut output)]).unwrap();
    };
    predict_all();
    let before = allocations();
    (0..20).for_each(|_| predict_all());
    assert_eq!(allocations(), before, "predictions");
    batches_of_bytes(&predictor, &x);
    steps_on_borrowed_elements();
    // `fit` takes the same steps: what it allocates doesn't depend on how many an epoch has, but for the lengths of the numbers that it prints.
    let mut of_fit = |data: &Dataset| {
        let fit = || Fit::epochs(1).batch(5).shuffle(false).silent();
        trainer.fit(data, fit()).unwrap();
        let before = allocations();
        trainer.fit(data, fit()).unwrap();
        allocations() - before
    };
    let (short, long) = (of_fit(&points(20)), of_fit(&points(2000)));
    assert!(short < 200 && short.abs_diff(long) < 10, "{short} and {long} for 396 steps more");
    hostile_files_take_little_memory();
    checkpoints_are_written_tensor_by_tensor();
}
