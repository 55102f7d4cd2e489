//! Training on more than memory holds: `cargo run --release --example stream`.
//!
//! Writes 2 GiB of images into eight files, trains on them as a stream at a memory that it states, and then measures how long a step takes whose samples come from a
//! file beside one whose samples are in memory. An argument names a folder to write the files to, and to keep them in: `cargo run --release --example stream --
//! images`; a second run reads them as they are. Without one they are written to a temporary folder. `--small` writes a hundredth.

use gradc::data::{DataError, Rng, Schema, Source, Stream};
use gradc::dsl::u8;
use gradc::prelude::*;
use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Pixels each way, of three colours.
const SIZE: usize = 64;
const FILES: usize = 8;
const BATCH: usize = 64;
/// Samples of which the next one is drawn: 24 MiB.
const BUFFER: usize = 2048;
/// How often a file is passed over from either place.
const ROUNDS: usize = 4;

/// A label, and an image with a bright square at one of four places for each of four labels, in noise.
fn record(rng: &mut Rng, bytes: &mut [u8]) {
    let label = rng.below(4);
    let (label_byte, image) = bytes.split_at_mut(1);
    label_byte[0] = label as u8;
    for noise in image.chunks_mut(8) {
        noise.copy_from_slice(&rng.bits().to_le_bytes()[..noise.len()]);
        noise.iter_mut().for_each(|c| *c /= 2);
    }
    let (y, x) = (label / 2 * SIZE / 2, label % 2 * SIZE / 2);
    for row in y..y + SIZE / 2 {
        let start = (row * SIZE + x) * 3;
        image[start..start + SIZE / 2 * 3].iter_mut().for_each(|c| *c += 40);
    }
}

/// Writes the files that aren't there yet in full.
fn write(dir: &Path, samples: usize) -> std::io::Result<Vec<PathBuf>> {
    let mut bytes = vec![0; 1 + SIZE * SIZE * 3];
    let paths: Vec<PathBuf> = (0..FILES).map(|file| dir.join(format!("images-{file}.bin"))).collect();
    for (file, path) in paths.iter().enumerate() {
        if path.metadata().is_ok_and(|found| found.len() == (samples * bytes.len()) as u64) {
            continue;
        }
        let mut out = BufWriter::new(std::fs::File::create(path)?);
        for sample in 0..samples {
            record(&mut Rng::new(&[file as u64, sample as u64]), &mut bytes);
            out.write_all(&bytes)?;
        }
        out.into_inner()?.sync_all()?;
    }
    Ok(paths)
}

fn images(paths: &[PathBuf]) -> Result<Stream, DataError> {
    let schema = Schema::new().column("y", u8([]))?.image("x", [SIZE, SIZE, 3])?;
    Ok(Stream::records(schema, paths)?.interleave(2).shuffle(BUFFER).prefetch(3))
}

/// The most memory that the process has had, in MiB, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[allow(clippy::print_stdout)]
fn say_memory(when: &str) {
    if let Some(peak) = peak_memory() {
        println!("{when}: {peak:.0} MiB of memory at the most");
    }
}

/// Milliseconds of a step in a pass of whole batches.
fn milliseconds(trainer: &mut Trainer, data: &dyn Source) -> Result<f64, Box<dyn Error>> {
    let history = trainer.fit(data, Fit::epochs(1).batch(BATCH).drop_last(true).silent())?;
    Ok(1000.0 * BATCH as f64 / history.epochs[0].samples_per_second)
}

#[allow(clippy::print_stdout)] // An example speaks to whoever runs it.
fn main() -> Result<(), Box<dyn Error>> {
    let (flags, folders): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let small = flags.iter().any(|flag| flag == "--small");
    let temporary = tempfile::tempdir()?;
    let dir = folders.first().map_or(temporary.path(), Path::new);
    std::fs::create_dir_all(dir)?;
    let bytes: usize = if small { 20 << 20 } else { 2 << 30 };
    let paths = write(dir, bytes.div_ceil(FILES * (1 + SIZE * SIZE * 3)))?;

    let model = Sequential::new([SIZE, SIZE, 3]).conv2d(16, 3).relu().max_pool2d(4).flatten().dense(4);
    let mut trainer = model.compile(Adam::default(), SparseCategoricalCrossEntropy, [Accuracy])?;
    let all = images(&paths)?;
    trainer.fit(&all.clone().take(BATCH), Fit::epochs(1).batch(BATCH).silent())?;
    say_memory("With the step compiled");
    let history = trainer.fit(&all, Fit::epochs(1).batch(BATCH).drop_last(true))?;
    let read: u64 = paths.iter().map(|path| path.metadata().map_or(0, |found| found.len())).sum();
    let accuracy = history.last("accuracy").unwrap_or(0.0) * 100.0;
    println!("{:.2} GiB passed by; {accuracy:.1} % of the labels were told right", read as f64 / (1u64 << 30) as f64);
    say_memory("After that");

    // One file, in turn from the disk and from memory, so that whatever else the machine does meets both.
    let file = images(&paths[..1])?;
    let memory = file.collect(0)?;
    let (mut from_file, mut from_memory) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        from_file.push(milliseconds(&mut trainer, &file)?);
        from_memory.push(milliseconds(&mut trainer, &memory)?);
    }
    let best = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    let more = |of: &dyn Fn(&[f64]) -> f64| 100.0 * (of(&from_file) / of(&from_memory) - 1.0);
    println!(
        "A step takes {:.2} ms from the file and {:.2} ms from memory, on average of {ROUNDS} passes: {:+.1} %; of the fastest passes {:+.1} %",
        mean(&from_file),
        mean(&from_memory),
        more(&mean),
        more(&best)
    );
    Ok(())
}
