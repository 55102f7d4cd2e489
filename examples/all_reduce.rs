//! What it costs to sum gradients over processes, and what steps of training would take on more of them:
//! `cargo build --release --features mpi --example all_reduce && mpirun -n 2 target/release/examples/all_reduce`.
//!
//! Measures sums of buffers of several sizes, and a step of training of the digits' CNN with what of it is waiting for others and what is sending; computes from that what steps on up to
//! 1,000 machines would take. Two arguments, a number of parameters and the milliseconds of a step of one process, put another model in.

use gradc::data::{Dataset, array};
use gradc::parallel::{Communicator, Mpi, ParallelError, threads_per_process};
use gradc::prelude::*;
use std::cell::Cell;
use std::time::Instant;

/// Another communicator, with the seconds that its sums of gradients take.
struct Timed<'c> {
    inner: &'c dyn Communicator,
    /// Until all are there.
    waiting: Cell<f64>,
    /// From then on.
    summing: Cell<f64>,
}

impl Timed<'_> {
    fn timed(&self, call: impl FnOnce() -> Result<(), ParallelError>) -> Result<(), ParallelError> {
        let start = Instant::now();
        self.inner.barrier()?;
        let together = Instant::now();
        call()?;
        self.waiting.set(self.waiting.get() + (together - start).as_secs_f64());
        self.summing.set(self.summing.get() + together.elapsed().as_secs_f64());
        Ok(())
    }
}

impl Communicator for Timed<'_> {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn all_reduce(&self, buffer: &mut [f32]) -> Result<(), ParallelError> {
        self.timed(|| self.inner.all_reduce(buffer))
    }

    fn all_reduce_f64(&self, buffer: &mut [f64]) -> Result<(), ParallelError> {
        self.timed(|| self.inner.all_reduce_f64(buffer))
    }

    fn all_gather(&self, send: &[u8], receive: &mut [u8]) -> Result<(), ParallelError> {
        self.inner.all_gather(send, receive)
    }

    fn broadcast(&self, root: usize, bytes: &mut [u8]) -> Result<(), ParallelError> {
        self.inner.broadcast(root, bytes)
    }

    fn barrier(&self) -> Result<(), ParallelError> {
        self.inner.barrier()
    }

    fn abort(&self, message: &str) {
        self.inner.abort(message);
    }
}

/// What connects machines: seconds until a message is there, bytes in a second.
#[derive(Clone, Copy)]
struct Interconnect {
    name: &'static str,
    latency: f64,
    bandwidth: f64,
}

impl Interconnect {
    /// Seconds of a sum: two exchanges, in each of which a process sends its part of the buffer to each other one, one after the other, or, where messages are small, all of it in as many
    /// rounds as the number of processes has binary digits, whichever takes less.
    fn sum(self, bytes: f64, processes: usize) -> f64 {
        let n = processes as f64;
        let pairwise = (n - 1.0) * (self.latency + bytes / n / self.bandwidth);
        let in_rounds = n.log2().ceil() * (self.latency + bytes / 2.0 / self.bandwidth);
        2.0 * pairwise.min(in_rounds)
    }
}

/// The seconds of a sum of so many elements: the median of five series of `rounds` of them, one after the other.
fn measure(world: &dyn Communicator, elements: usize, rounds: u32) -> Result<f64, ParallelError> {
    let mut buffer = vec![0.0f32; elements];
    let mut seconds = Vec::with_capacity(5);
    for _ in 0..5 {
        world.barrier()?;
        let start = Instant::now();
        for _ in 0..rounds {
            world.all_reduce(&mut buffer)?;
        }
        seconds.push(start.elapsed().as_secs_f64() / f64::from(rounds));
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[2])
}

/// A step of the digits' CNN on 32 samples in each process: seconds, and of them waiting and summing.
fn step(world: &dyn Communicator) -> Result<(f64, f64, f64), Box<dyn std::error::Error>> {
    let model = Sequential::new([28, 28, 1]).conv2d(32, 3).relu().max_pool2d(2).conv2d(64, 3).relu().max_pool2d(2);
    let trainer = model.flatten().dense(10).compile(Adam::default(), SparseCategoricalCrossEntropy, [])?;
    let mut trainer = trainer.with_options(CompileOptions::threads(threads_per_process(world)))?;
    let pixels = (0..32 * 784).map(|i| (i * 31 % 255) as f32 / 255.0).collect();
    let data =
        Dataset::new(array([32, 28, 28, 1], pixels)?, array([32], (0..32).map(|i| i % 10).collect::<Vec<i32>>())?)?;
    let timed = Timed { inner: world, waiting: Cell::new(0.0), summing: Cell::new(0.0) };
    let mut replica = trainer.parallel(&timed)?;
    for _ in 0..20 {
        replica.train_step(&data)?;
    }
    timed.waiting.set(0.0);
    timed.summing.set(0.0);
    let (start, steps) = (Instant::now(), 300);
    for _ in 0..steps {
        replica.train_step(&data)?;
    }
    let of_step = |seconds: f64| seconds / f64::from(steps);
    Ok((of_step(start.elapsed().as_secs_f64()), of_step(timed.waiting.get()), of_step(timed.summing.get())))
}

/// What steps would take in which each process computes as much as one does alone.
#[allow(clippy::print_stdout)]
fn table(interconnects: &[Interconnect], parameters: f64, compute: f64) {
    println!(
        "\n{parameters} parameters, {:.3} ms of computing in each process; milliseconds of a step, and efficiency",
        compute * 1e3
    );
    print!("{:>9}", "processes");
    interconnects.iter().for_each(|interconnect| print!("  {:>24}", interconnect.name));
    println!();
    for processes in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000] {
        print!("{processes:>9}");
        for interconnect in interconnects {
            let step = compute + if processes > 1 { interconnect.sum(parameters * 4.0, processes) } else { 0.0 };
            print!("  {:>15.3} {:>6.1} %", step * 1e3, 100.0 * compute / step);
        }
        println!();
    }
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = Mpi::init()?;
    let (size, is_first) = (world.size(), world.rank() == 0);
    if size == 1 {
        println!("alone there is nothing to sum: start it by `mpirun -n 2`");
        return Ok(());
    }
    let mut measured = Vec::new();
    for elements in [1, 16, 256, 2048, 4096, 34_826, 1 << 18, 1 << 20, 1 << 22, 1 << 24] {
        let seconds = measure(&world, elements, if elements > 1 << 20 { 4 } else { 100 })?;
        if is_first {
            let bytes = elements as f64 * 4.0;
            println!(
                "sum of {bytes:>10} bytes over {size}: {:>10.1} us, {:>6.2} GB/s",
                seconds * 1e6,
                bytes / seconds / 1e9
            );
        }
        measured.push((elements as f64 * 4.0, seconds));
    }
    let (seconds, waiting, summing) = step(&world)?;
    if !is_first {
        return Ok(());
    }
    let ms = |seconds: f64| seconds * 1e3;
    println!(
        "a step of the CNN: {:.3} ms, of which {:.3} ms are waiting for others and {:.3} ms ({:.1} %) sums",
        ms(seconds),
        ms(waiting),
        ms(summing),
        100.0 * summing / seconds
    );
    let given: Vec<f64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let (parameters, compute) = match given[..] {
        [parameters, milliseconds] => (parameters, milliseconds / 1e3),
        _ => (34_826.0, seconds - waiting - summing),
    };
    // Of a small sum, and of one about as large as the model.
    let latency = measured.first().map_or(0.0, |(_, seconds)| *seconds);
    let apart = |bytes: f64| (bytes / (parameters * 4.0)).ln().abs();
    let near = measured.iter().min_by(|a, b| apart(a.0).total_cmp(&apart(b.0))).copied();
    let (bytes, seconds) = near.unwrap_or((1.0, 1.0));
    let share = (size as f64 - 1.0) / size as f64;
    // A small sum is one exchange, a large one is two.
    let here = Interconnect { name: "this machine's memory", latency, bandwidth: 2.0 * share * bytes / seconds };
    println!("latency {:.2} us, bandwidth {:.2} GB/s", here.latency * 1e6, here.bandwidth / 1e9);
    let ethernet = Interconnect { name: "10 Gbit/s, 30 us", latency: 30e-6, bandwidth: 1.1e9 };
    let fast = Interconnect { name: "100 Gbit/s, 2 us", latency: 2e-6, bandwidth: 11e9 };
    table(&[here, ethernet, fast], parameters, compute);
    Ok(())
}
