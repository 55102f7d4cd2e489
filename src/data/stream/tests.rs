//! Streams: order, randomness, threads, files, errors.

use super::*;
use crate::data::{Column, array};
use crate::dsl::{TypeSpec, f32, i32, u8};
use crate::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `x` is the place, twice; `y` its parity.
fn numbers(n: usize) -> Dataset {
    let x = array([n, 2], (0..n).flat_map(|i| [i as f32, i as f32]).collect()).unwrap();
    Dataset::new(x, array([n], (0..n).map(|i| (i % 2) as i32).collect()).unwrap()).unwrap()
}

fn firsts(batch: &Dataset) -> Vec<usize> {
    batch.value("x").unwrap().to_f64_vec().chunks(2).map(|x| x[0] as usize).collect()
}

fn order(stream: &Stream, epoch: Epoch) -> Vec<usize> {
    stream.batches(epoch).unwrap().flat_map(|batch| firsts(&batch.unwrap())).collect()
}

/// Shards of the numbers from 0 on, so many in each.
fn shards(counts: &[usize]) -> Stream {
    let starts: Vec<usize> = counts.iter().scan(0, |sum, n| Some(std::mem::replace(sum, *sum + n))).collect();
    let counts = counts.to_vec();
    let schema = Schema::new().column("x", f32([2])).unwrap();
    Stream::files(schema, (0..counts.len()).map(|i| i.to_string()), move |path| {
        let shard: usize = path.to_str().unwrap().parse().unwrap();
        let mut left = starts[shard]..starts[shard] + counts[shard];
        Ok(move |sample: &mut SampleMut<'_>| {
            let Some(next) = left.next() else { return Ok(false) };
            sample.put("x", &[next as f32; 2]).map(|()| true)
        })
    })
}

#[test]
fn an_epoch_holds_every_sample_once_in_an_order_of_its_own() {
    for stream in [numbers(50).stream(), shards(&[20, 0, 13, 17])] {
        assert_eq!(order(&stream, Epoch::shuffled(8, 1, 1)), (0..50).collect::<Vec<_>>());
        for buffer in [2, 7, 49, 50, 1000] {
            let stream = stream.clone().shuffle(buffer);
            let first = order(&stream, Epoch::shuffled(8, 1, 1));
            let mut sorted = first.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
            assert_eq!(order(&stream, Epoch::in_order(8)), sorted, "passes that don't shuffle keep the order");
            assert_eq!(order(&stream, Epoch::shuffled(16, 1, 1)), first);
            assert_ne!(order(&stream, Epoch::shuffled(8, 1, 2)), first);
            assert_ne!(order(&stream, Epoch::shuffled(8, 2, 1)), first);
        }
    }
}

/// Each of three samples is first equally often, if the buffer holds all: 1000 each, with a standard deviation of 26.
#[test]
fn a_buffer_of_all_samples_gives_each_order_alike() {
    let stream = shards(&[3]).shuffle(3).workers(0);
    let mut counts = std::collections::BTreeMap::new();
    (0..3000).for_each(|i| *counts.entry(order(&stream, Epoch::shuffled(3, 9, i))).or_insert(0) += 1);
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|n| (400..600).contains(n)), "{counts:?}");
}

#[test]
fn shards_are_read_in_turn() {
    let stream = shards(&[3, 1, 2, 2]);
    assert_eq!(order(&stream, Epoch::in_order(4)), [0, 1, 2, 3, 4, 5, 6, 7]);
    // The second has ended after 3: the third takes its place.
    assert_eq!(order(&stream.clone().interleave(2), Epoch::in_order(4)), [0, 3, 1, 4, 2, 5, 6, 7]);
    assert_eq!(order(&stream.clone().interleave(9), Epoch::in_order(3)), [0, 3, 4, 6, 1, 5, 7, 2]);
    assert_eq!(order(&stream.clone().take(5), Epoch::in_order(4)), [0, 1, 2, 3, 4]);
    assert_eq!((stream.samples(), numbers(9).stream().take(5).samples()), (None, Some(5)));
}

fn noisy(stream: Stream) -> Stream {
    let rounded = |schema| {
        stream
            .shuffle(30)
            .map(|sample, rng| {
                let noise = rng.normal() as f32;
                sample.get_mut::<f32>("x")?[1] += noise;
                Ok(())
            })
            .map_to(schema, |from, to, rng| {
                let x = from.get::<f32>("x")?.to_vec();
                to.put("z", &[x[0], x[1], rng.uniform() as f32])
            })
    };
    rounded(Schema::new().column("z", f32([3])).unwrap()).map_batch(|batch, rng| {
        let (a, b) = (rng.below(batch.len()), rng.below(batch.len()));
        let moved = batch.sample(a)?.get::<f32>("z")?[2];
        batch.sample(b)?.get_mut::<f32>("z")?[2] += moved;
        Ok(())
    })
}

/// The same bits with any number of threads, however long each sample takes.
#[test]
fn threads_change_nothing() {
    for stream in [numbers(101).stream(), shards(&[40, 61]).interleave(2)] {
        let run = |workers, prefetch, slow| {
            let stream = noisy(stream.clone()).workers(workers).prefetch(prefetch);
            let stream = stream.map(move |sample, _| {
                if slow && (sample.get::<f32>("z")?[0] as usize).is_multiple_of(3) {
                    std::thread::yield_now();
                }
                Ok(())
            });
            let batches: Vec<_> = stream.batches(Epoch::shuffled(8, 5, 2)).unwrap().map(Result::unwrap).collect();
            assert_eq!(batches.len(), 13);
            batches.iter().map(|batch| batch.value("z").unwrap()).collect::<Vec<_>>()
        };
        let want = run(0, 0, false);
        for workers in [1, 2, 3, 8] {
            for prefetch in [0, 1, 5] {
                assert_eq!(run(workers, prefetch, true), want, "{workers} workers, prefetch {prefetch}");
            }
        }
    }
}

#[test]
fn batches_are_made_ahead_but_not_farther_than_asked() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let stream = numbers(1000).stream().workers(2).prefetch(3).map(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    let mut pass = stream.open(Epoch::in_order(10)).unwrap();
    assert_eq!(pass.next_batch().unwrap().unwrap().len(), 10);
    // Six blocks go round: one is used, the others are made without anybody asking.
    while made.load(Ordering::SeqCst) < 60 {
        std::thread::yield_now();
    }
    for _ in 0..1000 {
        std::thread::yield_now();
    }
    assert_eq!(made.load(Ordering::SeqCst), 60);
    drop(pass);
}

#[test]
fn training_on_a_stream_is_training_on_its_samples() {
    let data = numbers(50).map(0, |sample, _| {
        sample.get_mut::<f32>("x")?.iter_mut().for_each(|x| *x /= 50.0);
        Ok(())
    });
    let data = data.unwrap();
    let fit = |source: &dyn Source, shuffle| {
        let model = Sequential::new([2]).dense(4).tanh().dense(2);
        let mut trainer = model.compile(Adam::new(0.01), SparseCategoricalCrossEntropy, [Accuracy]).unwrap();
        let options = Fit::epochs(3).batch(8).shuffle(shuffle).validate(source).silent();
        let history = trainer.fit(source, options).unwrap();
        let weights: Vec<_> = trainer.weights().unwrap().into_values().collect();
        (weights, history.get("loss"), history.get("val_loss"), trainer.predict(source).unwrap())
    };
    assert_eq!(fit(&data, false), fit(&data.stream(), false));
    assert_eq!(fit(&data, false), fit(&data.stream(), true), "a stream without a buffer keeps its order");
    let shuffled = data.stream().shuffle(50);
    assert_eq!(fit(&shuffled, true), fit(&shuffled.clone().workers(3), true));
    assert_ne!(fit(&shuffled, true).1, fit(&data, false).1);
    // Streams that don't know how long they are.
    let schema = data.schema();
    let unknown = Stream::iter(schema, move || data.batches(7).map(Ok).collect::<Vec<_>>().into_iter());
    assert_eq!(fit(&unknown, true).1.len(), 3);
    let model = Sequential::new([2]).dense(2);
    let mut trainer = model.compile(Sgd::new(0.1), SparseCategoricalCrossEntropy, []).unwrap();
    let error = trainer.fit(&unknown, Fit::epochs(1).validation_split(0.1).silent()).unwrap_err().to_string();
    assert!(error.contains("only a data set in memory can be split"), "{error}");
    let error = trainer.fit(&unknown.clone().take(3), Fit::epochs(1).batch(4).drop_last(true).silent()).unwrap_err();
    assert!(error.to_string().contains("epoch 1 has no batch"), "{error}");
}

#[test]
fn what_goes_wrong_is_an_error_at_its_sample() {
    for workers in [0, 1, 3] {
        let failing = numbers(20).stream().workers(workers).map(|sample, _| match sample.get::<f32>("x")?[0] {
            13.0 => Err(DataError::Dataset("not 13".into())),
            17.0 => panic!("seventeen"),
            _ => Ok(()),
        });
        let results: Vec<_> = failing.batches(Epoch::in_order(5)).unwrap().collect();
        assert_eq!(results.len(), 3, "nothing comes after an error");
        let error = results[2].as_ref().unwrap_err().to_string();
        assert_eq!(error, "sample 13 of the stream: not 13");
        let panicking = numbers(20).stream().workers(workers).map(|_, _| panic!("no {}", "way"));
        let error = panicking.collect(0).unwrap_err();
        assert_eq!(error.to_string(), "sample 0 of the stream: a panic in a function of the stream: no way");
        let schema = Schema::new().column("x", f32([2])).unwrap();
        let reading = Stream::files(schema.clone(), ["a"], |_| {
            Ok(|_: &mut SampleMut<'_>| -> Result<bool, DataError> { panic!("a reader") })
        });
        let error = reading.workers(workers).collect(0).unwrap_err();
        assert!(matches!(&error, DataError::Panic { message } if message == "a reader"), "{error}");
        let missing = Stream::records(schema, ["no/such/file"]).unwrap_err().to_string();
        assert!(missing.starts_with("no/such/file: "), "{missing}");
    }
}

#[test]
fn columns_are_what_they_are() {
    let wrong = |f: fn(&mut SampleMut<'_>) -> Result<(), DataError>| {
        numbers(2).map(0, move |sample, _| f(sample)).unwrap_err().to_string()
    };
    assert!(wrong(|s| s.put("z", &[0.0f32])).contains("the stream has no column `z`; it has x, y"));
    assert!(wrong(|s| s.put("x", &[0i32; 2])).contains("`x` holds f32[2], not elements of i32"));
    assert!(wrong(|s| s.put("x", &[0.0f32; 3])).contains("a sample of `x` has 2 elements, not 3"));
    let schema = Schema::new().column("x", f32([3])).unwrap();
    let error = Stream::iter(schema, || std::iter::once(Ok(numbers(3)))).collect(0).unwrap_err().to_string();
    assert_eq!(error, "column `x` of the stream is f32[3], but what comes has f32[2]");
    assert!(Schema::new().column("x", f32([3])).unwrap().column("x", f32([])).is_err());
    assert!(Schema::new().column("x", f32([0])).is_err());
}

/// A map works on samples of its own: those that the data set or the loop keeps stay what they are.
#[test]
fn kept_batches_stay_what_they_are() {
    let data = numbers(12);
    let doubled = data.stream().map(|sample, _| {
        sample.get_mut::<f32>("x")?.iter_mut().for_each(|x| *x *= 2.0);
        Ok(())
    });
    let kept: Vec<_> = doubled.batches(Epoch::in_order(2)).unwrap().map(Result::unwrap).collect();
    let all: Vec<usize> = kept.iter().flat_map(firsts).collect();
    assert_eq!(all, (0..12).map(|i| 2 * i).collect::<Vec<_>>());
    assert_eq!(firsts(&data), (0..12).collect::<Vec<_>>());
    let pixels = Column::new(array([2, 1], vec![0u8, 255]).unwrap()).unwrap().scaled_to_unit();
    let collected = Dataset::of("x", pixels).stream().collect(0).unwrap();
    assert!(collected.schema().field("x").unwrap().unit, "bytes that are fractions stay so");
}

/// All element types, in two files of records.
#[test]
fn records_are_read_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let types: Vec<TypeSpec> = DType::ALL.iter().map(|dtype| TypeSpec::new(*dtype, [2])).collect();
    let mut schema = Schema::new().column("label", u8([])).unwrap();
    for ty in &types {
        schema = schema.column(&ty.dtype.to_string(), ty.clone()).unwrap();
    }
    let element = |dtype, i: usize| ir::Scalar::from_f64((i % 2) as f64, dtype);
    let record = |i: usize| {
        let mut bytes = vec![i as u8];
        for ty in &types {
            let value = Value::from_fn(ty.check().unwrap(), |at| element(ty.dtype, i + at));
            bytes.extend(value.data().to_bytes());
        }
        bytes
    };
    let paths: Vec<_> = ["a", "b"].iter().map(|name| dir.path().join(name)).collect();
    std::fs::write(&paths[0], (0..3).flat_map(record).collect::<Vec<_>>()).unwrap();
    std::fs::write(&paths[1], (3..5).flat_map(record).collect::<Vec<_>>()).unwrap();
    let stream = Stream::records(schema.clone(), paths.clone()).unwrap();
    assert_eq!(stream.samples(), Some(5));
    let all = stream.shuffle(3).collect(0).unwrap();
    assert_eq!(all.value("label").unwrap().to_f64_vec(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    for ty in &types {
        let got = all.value(&ty.dtype.to_string()).unwrap();
        assert_eq!(got, Value::from_fn(ty.batched(5).check().unwrap(), |i| element(ty.dtype, i / 2 + i % 2)));
    }
    // A file that ends within a record, when the stream is made and when it shrinks afterwards.
    let stream = Stream::records(schema.clone(), paths.clone()).unwrap();
    std::fs::write(&paths[1], &record(3)[..20]).unwrap();
    let size = record(0).len();
    let want = format!("{}: at byte 0: the file ends within a record: 20 bytes of {size}", paths[1].display());
    assert_eq!(Stream::records(schema, paths).unwrap_err().to_string(), want);
    assert_eq!(stream.collect(0).unwrap_err().to_string(), want);
}

#[test]
fn a_byte_that_is_no_truth_value_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [7, 0, 1, 9, 1, 2]).unwrap();
    let schema = Schema::new().column("id", u8([])).unwrap().column("flags", TypeSpec::new(DType::Bool, [2])).unwrap();
    let error = Stream::records(schema, [file.path()]).unwrap().collect(0).unwrap_err().to_string();
    let want = "at byte 5: `flags` is a truth value, which the byte 2 is not";
    assert_eq!(error, format!("{}: {want}", file.path().display()));
}

/// Blocks are used again: many times more data than memory for them go through.
#[test]
fn memory_is_that_of_a_few_batches() {
    let places = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = places.clone();
    let schema = Schema::new().column("x", f32([64])).unwrap().column("y", i32([])).unwrap();
    let stream = Stream::indexed(schema, 4000, move |place, sample| {
        let x = sample.get_mut::<f32>("x")?;
        seen.lock().unwrap().insert(x.as_ptr() as usize);
        x.fill(place as f32);
        Ok(())
    });
    let stream = stream.workers(2).prefetch(2);
    let mut pass = stream.open(Epoch::in_order(10)).unwrap();
    let mut sum = 0;
    while let Some(batch) = pass.next_batch().unwrap() {
        sum += batch.len();
    }
    assert_eq!(sum, 4000);
    // Five blocks of ten samples.
    assert!(places.lock().unwrap().len() <= 50, "{}", places.lock().unwrap().len());
}
