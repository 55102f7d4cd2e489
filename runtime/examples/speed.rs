//! Measures what the emitter and the runtime reach on this machine: the register tiles of contractions against a peak given in
//! GFLOP/s, strips of elementwise code, compile time per kernel, and the cost of forking a parallel loop.
//!
//! `cargo run --release -p gradc-runtime --example speed [PEAK_GFLOPS]`

#![allow(clippy::print_stdout)]

use kernel::{Buffer, Program};
use runtime::{Executable, LoadError, LoadOptions};
use std::time::Instant;

fn load(text: &str, threads: usize, dump: bool) -> Result<Executable, Box<dyn std::error::Error>> {
    let mut program: Program = text.parse()?;
    let mut end = 0;
    for buffer in &mut program.buffers {
        buffer.offset = Some(end);
        end += Buffer::size_bytes(buffer).next_multiple_of(64);
    }
    program.arena_bytes = Some(end);
    let options = LoadOptions { threads, verify_code: false, dump, ..LoadOptions::default() };
    Executable::load(program, &options).map_err(|e: LoadError| e.into())
}

/// Best seconds per step of many short runs.
fn best(executable: &mut Executable, steps: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let mut best = f64::MAX;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..steps {
            executable.step()?;
        }
        best = best.min(start.elapsed().as_secs_f64() / steps as f64);
    }
    Ok(best)
}

/// A tile that runs many times over the same packed panels, as the inner loop of a blocked matrix product.
fn tile_program(m: usize, n: usize, k: usize, times: usize) -> String {
    let (a, b, c) = (m * k, k * n, m * n);
    format!(
        "program \"tile\"
b0: f32[{a}] input \"a\"
b1: f32[{b}] input \"b\"
b2: f32[{c}] output \"c\"
kernel tile(p0: read f32[{a}], p1: read f32[{b}], p2: write f32[{c}]) {{
  for i0 in 0..{times} {{
    micro {m}x{n} a=p0[0] stride {k}, b=p1[0], reduce=[({k}, 1, {n})], c=p2[0] stride {n}
  }}
}}
launch tile(b0, b1, b2)"
    )
}

fn tiles(peak: f64, dump: bool) -> Result<(), Box<dyn std::error::Error>> {
    println!("tile   GFLOP/s  of peak  compile");
    for (m, n) in [(6, 8), (4, 12), (3, 16), (5, 8), (4, 8), (8, 4), (1, 16), (6, 9)] {
        let (k, times) = (256, 50);
        let mut executable = load(&tile_program(m, n, k, times), 1, dump)?;
        let seconds = best(&mut executable, 4)?;
        let speed = 2.0 * (m * n * k * times) as f64 / seconds / 1e9;
        let compile = executable.loaded().kernels()[0].compile_time;
        println!("{m:2}x{n:<3} {speed:7.1}  {:5.0} %  {compile:?}", 100.0 * speed / peak);
        if let (6, 8, Some(dump)) = (m, n, &executable.loaded().kernels()[0].dump) {
            println!("{}", dump.assembly);
        }
    }
    Ok(())
}

fn strips() -> Result<(), Box<dyn std::error::Error>> {
    let n = 2048;
    let text = format!(
        "program \"strip\"
b0: f32[{n}] input \"x\"
b1: f32[{n}] input \"y\"
b2: f32[{n}] output \"z\"
b3: f32[1] output \"sum\"
kernel axpy(p0: read f32[{n}], p1: read f32[{n}], p2: write f32[{n}]) {{
  vector i0 in 0..{} {{
    store p2[i0*4] = fma(load.x4 p0[i0*4], splat.x4(0.5f32), load.x4 p1[i0*4])
  }}
}}
kernel sum(p0: read f32[{n}], p1: write f32[1]) {{
  var v0 = splat.x4(0.0f32)
  vector i0 in 0..{} {{
    v0 add= load.x4 p0[i0*4]
  }}
  store p1[0] = fold add(v0)
}}
launch axpy(b0, b1, b2)
launch sum(b2, b3)",
        n / 4,
        n / 4
    );
    let mut executable = load(&text, 1, false)?;
    for launch in executable.profile(2000)? {
        let elements = n as f64 / launch.best.as_nanos() as f64;
        println!("{:5} {n} elements: {:?}, {elements:.2} elements/ns", launch.kernel, launch.best);
    }
    Ok(())
}

fn forks() -> Result<(), Box<dyn std::error::Error>> {
    // Just enough work to be run in parallel; the same work on one thread is taken off.
    let n = 16_384;
    let text = format!(
        "program \"fork\"
b0: f32[{n}] output \"z\"
kernel fill(p0: write f32[{n}]) {{
  parallel i0 in 0..64 {{
    for i1 in 0..256 {{
      store p0[i0*256 + i1] = add(mul(1.0f32, 2.0f32), 3.0f32)
    }}
  }}
}}
launch fill(b0)"
    );
    let alone = best(&mut load(&text, 1, false)?, 10)?;
    let both = best(&mut load(&text, 2, false)?, 10)?;
    println!("loop of 16384 stores: {:.0} ns on one thread, {:.0} ns on two", alone * 1e9, both * 1e9);
    println!("fork and join: about {:.0} ns", (both - alone / 2.0) * 1e9);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let peak = args.next().and_then(|a| a.parse().ok()).unwrap_or(59.0);
    tiles(peak, args.next().as_deref() == Some("--dump"))?;
    strips()?;
    forks()
}
