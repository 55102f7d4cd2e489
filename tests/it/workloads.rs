//! The benchmark's workloads, compiled: their losses are those that several other frameworks compute from the same numbers.

use gradc::bench::{Subject, WORKLOADS, Workload};

/// The losses of step 1 and step 10, before each step's update, to five digits. They are what several frameworks in Rust agree on;
/// where two of them differ in the last digits, the tolerance is theirs.
const LOSSES: [(&str, f64, f64, f64); 5] = [
    ("mlp_small", 2.31489, 2.22501, 1e-5),
    ("mlp_tiny", 0.46017, 0.41613, 1e-5),
    ("mlp_large", 2.30932, 1.3045, 1e-3),
    ("cnn_mnist_b32", 2.30592, 2.09144, 1e-4),
    ("cnn_mnist_b128", 2.30912, 2.20151, 1e-4),
];

#[test]
fn losses_are_those_of_other_frameworks() {
    for (name, first, tenth, tolerance) in LOSSES {
        let mut subject = Subject::new(Workload::named(name).unwrap(), 1).unwrap();
        let losses: Vec<f64> = (0..10).map(|_| f64::from(subject.step().unwrap())).collect();
        assert!((losses[0] - first).abs() < 1e-5, "{name}: the loss of step 1 is {}, not {first}", losses[0]);
        assert!((losses[9] - tenth).abs() < tolerance, "{name}: the loss of step 10 is {}, not {tenth}", losses[9]);
    }
}

/// The same bits at one thread and at two, and twice in a row.
#[test]
fn losses_do_not_depend_on_threads() {
    for workload in WORKLOADS {
        let run = |threads: usize| -> Vec<u32> {
            let mut subject = Subject::new(workload, threads).unwrap();
            (0..5).map(|_| subject.step().unwrap().to_bits()).collect()
        };
        let one = run(1);
        assert_eq!(one, run(1), "{}: another run has other losses", workload.name);
        assert_eq!(one, run(2), "{}: two threads have other losses", workload.name);
    }
}
