//! Handwritten digits by several processes, each of which computes its part of every batch:
//! `cargo build --release --features mpi --example mnist_parallel && mpirun -n 4 target/release/examples/mnist_parallel`.
//!
//! It is `examples/mnist.rs` but for the lines with `world`. An argument names a folder for checkpoints: started again after one of the processes was killed, it goes on from
//! there. (As root, `mpirun` wants `--allow-run-as-root`; for more processes than cores, `--oversubscribe`.)

use gradc::parallel::{Communicator, Mpi, threads_per_process};
use gradc::prelude::*;

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = Mpi::init()?;
    let (train, test) = gradc::data::mnist::load()?;
    let model = Sequential::new([28, 28, 1])
        .conv2d(32, 3)
        .relu()
        .max_pool2d(2)
        .conv2d(64, 3)
        .relu()
        .max_pool2d(2)
        .flatten()
        .dense(10)
        .softmax();
    let trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    let mut trainer = trainer.with_options(CompileOptions::threads(threads_per_process(&world)))?;
    let mut fit = Fit::epochs(5).batch(32).validate(&test).parallel(&world);
    if let Some(folder) = std::env::args().nth(1) {
        fit = fit.resume(Checkpoints::new(folder).every_steps(100));
    }
    trainer.fit(&train, fit)?;
    let evaluation = trainer.parallel(&world)?.evaluate(&test)?;
    if world.rank() == 0 {
        println!("Test, by {} processes: {evaluation}", world.size());
    }
    Ok(())
}
