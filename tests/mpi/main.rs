//! Training among processes of MPI. Each test starts this program again by `mpirun`; where there is none it says that it is skipped.

// Helpers of tests fail as tests do, and processes speak to the test that started them.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use gradc::data::{Value, array};
use gradc::parallel::{Communicator, Mpi};
use gradc::prelude::*;
use gradc::train::callback::StepPlace;
use gradc::train::{Callback, Control, EpochRecord};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The variables that say what a process is to do.
const SCENARIO: &str = "GRADC_MPI_SCENARIO";
const FOLDER: &str = "GRADC_MPI_FOLDER";
const KILL: &str = "GRADC_MPI_KILL";

/// Runs a scenario in so many processes; nothing where there is no `mpirun`.
fn mpirun(processes: usize, scenario: &str, folder: Option<&Path>, kill: bool) -> Option<Output> {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("mpirun");
    command.args(["-n", &processes.to_string()]).arg(program).args(["process", "--exact", "--nocapture"]);
    command.env(SCENARIO, scenario).env("GRADC_THREADS", "1").stdin(Stdio::null());
    // Containers run as root, and have fewer cores than processes.
    for (name, value) in [
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        ("OMPI_MCA_hwloc_base_binding_policy", "none"),
    ] {
        command.env(name, value);
    }
    if let Some(folder) = folder {
        command.env(FOLDER, folder);
    }
    if kill {
        command.env(KILL, "1");
    }
    match command.output() {
        Ok(output) => Some(output),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: there is no mpirun");
            None
        }
        Err(e) => panic!("mpirun: {e}"),
    }
}

/// Everything that processes have said.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What all processes said after `key`, which must be the same.
fn value_of(output: &Output, key: &str, processes: usize) -> String {
    let text = said(output);
    assert!(output.status.success(), "{text}");
    let values: Vec<&str> = text.lines().filter_map(|line| line.split_once(key).map(|(_, value)| value)).collect();
    assert_eq!(values.len(), processes, "{text}");
    assert!(values.iter().all(|value| *value == values[0]), "{text}");
    values[0].into()
}

#[test]
fn sums_are_in_the_order_of_ranks() {
    for processes in [1, 2, 3, 4] {
        let Some(output) = mpirun(processes, "sums", None, false) else { return };
        value_of(&output, "sums are right", processes);
    }
}

/// The same batch in one process and in several.
#[test]
fn gradients_are_those_of_one_process() {
    for processes in [2, 4] {
        let Some(output) = mpirun(processes, "gradients", None, false) else { return };
        let apart: f64 = value_of(&output, "gradients apart by ", processes).parse().unwrap();
        assert!(apart <= 1e-6, "{apart}");
    }
}

/// A process that is killed ends all, and the run goes on to the weights of one that nothing has disturbed.
#[test]
fn a_run_goes_on_after_a_process_was_killed() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(killed) = mpirun(2, "train", Some(folder.path()), true) else { return };
    assert!(!killed.status.success() && said(&killed).contains("signal"), "{}", said(&killed));
    let resumed = mpirun(2, "train", Some(folder.path()), false).unwrap();
    let undisturbed = mpirun(2, "train", Some(other.path()), false).unwrap();
    assert!(said(&resumed).contains("Resuming from"), "{}", said(&resumed));
    assert_eq!(value_of(&resumed, "weights ", 2), value_of(&undisturbed, "weights ", 2));
}

/// An error of one process ends the others, and is told.
#[test]
fn an_error_of_one_process_ends_all() {
    let Some(output) = mpirun(3, "error", None, false) else { return };
    assert!(!output.status.success());
    assert!(said(&output).contains("rank 1 ends all 3 processes: "), "{}", said(&output));
}

/// What is a test where this program was started by another one.
#[test]
fn process() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    let world = Mpi::init().unwrap();
    assert!(Mpi::init().is_err());
    match scenario.as_str() {
        "sums" => sums(&world),
        "gradients" => gradients(&world),
        "train" => train(&world),
        "error" => error(&world),
        other => panic!("no scenario {other}"),
    }
}

/// Sums of small and large buffers, one by one and cut into parts.
fn sums(world: &Mpi) {
    let number = |rank: usize, i: usize| ((i * 31 + rank * 17) % 97) as f32 * 1.1f32.powi((rank * 5) as i32) + 0.1;
    for length in [1, 7, 2000, 2100, 50_001] {
        let mut buffer: Vec<f32> = (0..length).map(|i| number(world.rank(), i)).collect();
        let mut doubles: Vec<f64> = buffer.iter().map(|x| f64::from(*x)).collect();
        world.all_reduce(&mut buffer).unwrap();
        world.all_reduce_f64(&mut doubles).unwrap();
        for (i, (sum, double)) in buffer.iter().zip(doubles).enumerate() {
            let ranks = 1..world.size();
            assert_eq!(*sum, ranks.clone().fold(number(0, i), |sum, rank| sum + number(rank, i)));
            assert_eq!(double, ranks.fold(f64::from(number(0, i)), |sum, rank| sum + f64::from(number(rank, i))));
        }
    }
    let mut all = vec![0; 3 * world.size()];
    world.all_gather(&[world.rank() as u8; 3], &mut all).unwrap();
    assert!(all.chunks(3).enumerate().all(|(rank, block)| block == [rank as u8; 3]));
    let mut bytes = [world.rank() as u8];
    world.broadcast(world.size() - 1, &mut bytes).unwrap();
    assert_eq!((usize::from(bytes[0]), world.local_size()), (world.size() - 1, world.size()));
    world.barrier().unwrap();
    println!("sums are right");
}

fn digits(n: usize) -> Dataset {
    let x = (0..n * 64).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    let y = (0..n).map(|i| (i % 10) as i32).collect();
    Dataset::new(array([n, 8, 8, 1], x).unwrap(), array([n], y).unwrap()).unwrap()
}

fn trainer(dropout: f64, optimizer: impl Optimizer + 'static) -> Trainer {
    let model = Sequential::new([8, 8, 1]).conv2d(8, 3).relu().max_pool2d(2).flatten().dropout(dropout).dense(10);
    model.compile(optimizer, SparseCategoricalCrossEntropy, [Accuracy]).unwrap()
}

fn gradients(world: &Mpi) {
    // At rate 1 a step changes weights by the gradient. The batch can't be divided.
    let data = digits(33);
    let mut apart = 0.0f64;
    let fit = || Fit::epochs(1).batch(33).shuffle(false).silent();
    let (mut together, mut alone) = (trainer(0.0, Sgd::new(1.0)), trainer(0.0, Sgd::new(1.0)));
    together.fit(&data, fit().parallel(world)).unwrap();
    alone.fit(&data, fit()).unwrap();
    let alone = alone.weights().unwrap();
    for (name, value) in together.weights().unwrap() {
        for (a, b) in value.to_f64_vec().iter().zip(alone[&name].to_f64_vec()) {
            apart = apart.max((a - b).abs());
        }
    }
    println!("gradients apart by {apart:e}");
}

/// Kills its process in the second epoch.
struct Killer;

impl Callback for Killer {
    fn batch_end(&mut self, at: StepPlace, control: &mut Control<'_>) -> Result<(), TrainError> {
        if std::env::var(KILL).is_ok() && control.rank() == 1 && (at.epoch, at.step) == (2, 4) {
            let killed = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
            panic!("still alive: {killed:?}");
        }
        Ok(())
    }

    fn epoch_end(&mut self, _: &EpochRecord, _: &mut Control<'_>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn digest(weights: &BTreeMap<String, Value>) -> u64 {
    let bytes = weights.values().flat_map(|value| value.data().to_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn train(world: &Mpi) {
    let folder = std::env::var(FOLDER).unwrap();
    let data = digits(40);
    let mut trainer = trainer(0.2, Adam::new(0.01));
    let checkpoints = Checkpoints::new(folder).every_steps(1);
    let fit = Fit::epochs(3).batch(8).validate(&data).callback(Killer).resume(checkpoints).parallel(world);
    trainer.fit(&data, fit).unwrap();
    println!("weights {:016x}", digest(&trainer.weights().unwrap()));
}

fn error(world: &Mpi) {
    let labels = if world.rank() == 1 { 11 } else { 1 };
    let data = digits(4).with("y", gradc::data::Column::new(array([4], vec![labels; 4]).unwrap()).unwrap()).unwrap();
    let mut trainer = trainer(0.0, Sgd::new(0.1));
    let mut replica = trainer.parallel(world).unwrap();
    let failed = replica.train_step(&data).map(|logs| logs.loss());
    println!("came back with {failed:?}");
}
