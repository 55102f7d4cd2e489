//! From loops to a program that runs, without the graph that they were made of.

use super::cache::{CacheReport, CodeSource, FoundCode};
use super::{CompileError, CompileOptions, CompileReport, CompiledProgram};
use kernel::Program;
use runtime::{Executable, LoadOptions, Loaded};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Native code of loops that have their places in memory, as all passes leave them. Inputs, outputs and states are vectors, for loops know no other shapes; states
/// start at 0.
///
/// ```
/// use gradc::compile::{CompileOptions, compile_loops};
/// use gradc::data::array;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let loops = r#"program "twice" arena 128
/// b0: f32[2] input "x" @ 0
/// b1: f32[2] output "y" @ 64
/// kernel twice(p0: read f32[2], p1: write f32[2]) {
///   for i0 in 0..2 {
///     let v0 = load p0[i0]
///     store p1[i0] = add(v0, v0)
///   }
/// }
/// launch twice(b0, b1)
/// "#;
/// let mut program = compile_loops(loops.parse()?, &CompileOptions::default())?;
/// let out = program.run([("x", &array([2], vec![1.0f32, 2.0])?)])?;
/// assert_eq!(out["y"].to_f64_vec(), [2.0, 4.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Loops that break the rules, or have no places in memory yet; and as [`Step::compile`](crate::dsl::Step::compile).
pub fn compile_loops(program: Program, options: &CompileOptions) -> Result<CompiledProgram, CompileError> {
    let start = Instant::now();
    let memory = passes::plan_memory::report(&program);
    let buffers = program.buffers.clone();
    let target = Some(options.target_or_host()?);
    let load = LoadOptions { threads: options.threads, verify_code: options.verify_code, dump: false, target };
    let loaded = Arc::new(Loaded::compile(program, &load)?);
    let executable = Executable::new(Arc::clone(&loaded), options.threads)?;
    let (passes, report) = ((passes::Report::default(), Duration::ZERO), CacheReport::of(CodeSource::Compiled));
    let found = FoundCode { loaded, memory, check_places: None, passes, report };
    Ok(CompiledProgram::of_loops(&buffers, executable, CompileReport::new(found, start.elapsed())))
}
