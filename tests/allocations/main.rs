//! A step of a loop of one's own allocates nothing: feeding, learning rate, step, loss and metrics, also where the size of batches changes; nor does a prediction. Without the test harness, whose own
//! thread allocates at any time.

#![allow(unsafe_code, clippy::unwrap_used, clippy::print_stdout)]

use gradc::data::ArrayView;
use gradc::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    if asked("--list") {
        return if !asked("--ignored") {
            println!("a_step_of_an_own_loop_allocates_nothing: test")
        };
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
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    let mut last = first;
    for _ in 0..20 {
        last = round(&mut trainer, &batches, &x, &y);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst), before);
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
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    (0..20).for_each(|_| predict_all());
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst), before, "predictions");
    // `fit` takes the same steps: what it allocates doesn't depend on how many an epoch has.
    let mut of_fit = |data: &Dataset| {
        let fit = || Fit::epochs(1).batch(5).shuffle(false).silent();
        trainer.fit(data, fit()).unwrap();
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        trainer.fit(data, fit()).unwrap();
        ALLOCATIONS.load(Ordering::SeqCst) - before
    };
    assert_eq!(of_fit(&points(20)), of_fit(&points(200)));
}
