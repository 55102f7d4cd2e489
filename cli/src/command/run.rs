//! `gradc run`: a model, a graph or loops from a file, what it computes, by which of the ways there are, and how long it takes.

use super::given::{Subject, subject_of, target};
use super::native::{Native, PortValues, differentiated};
#[cfg(feature = "onnx")]
use super::onnx::OpenExtents;
use super::print;
use super::spinner::Spinner;
use super::values::{ValueSource, of_loops};
use ::passes::pipeline::on_loops;
use ::passes::{Module, PassContext, RunOptions, interpret};
use clap::{Args, ValueEnum};
use gradc::compile::CompileOptions;
use gradc::dsl::Step;
use gradc::io::save_tensors;
use ir::eval::{LazyTrials, RunResults};
use ir::shrink::GraphCase;
use ir::{Data, Shape, TensorType, Value};
use kernel::Program;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What to run, on what.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunModel {
    /// A graph as text (`Step::save` writes it), loops as text (`gradc opt`, `gradc dump` write them), a .safetensors file that `save_model` wrote, an .onnx file, or what `gradc dump` takes
    model: String,
    #[cfg(feature = "onnx")]
    #[command(flatten)]
    extents: OpenExtents,
    /// The inputs: a .npz or .safetensors file with a tensor for each, or `random:SEED`
    #[arg(long, value_name = "FILE|random:SEED", default_value = "random:0")]
    inputs: ValueSource,
    /// The states: a .npz or .safetensors file. Those that aren't in it start as the model says; of a graph or loops in a text file, as random numbers from 0 to 1
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    /// Write the outputs to a .safetensors file
    #[arg(long, value_name = "FILE")]
    outputs: Option<PathBuf>,
    /// By what it is run
    #[arg(long, value_enum, default_value_t)]
    through: Way,
    /// Run it in every way, and compare each with the interpreter, to the last digit that rounding leaves
    #[arg(long)]
    check: bool,
    /// Samples in a batch of a model that comes with gradc: interpreters are slow, and few are enough to compare
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Threads; without it, as many as `GRADC_THREADS` says, else all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How often to run it; the time is the median of all runs but the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

const EXAMPLES: &str = "Examples:
  What a saved model predicts for the arrays in a file, and how long it takes:
      gradc run model.safetensors --inputs x.npz --outputs y.safetensors --runs 100
  Whether a step of one's own computes the same by the interpreter, as loops and as machine code:
      gradc run step.ir --inputs random:7 --check
  By the interpreter alone:
      gradc run step.ir --through interpreter
  What loops compute that some passes have made, as they are, and whether their machine code does the same:
      gradc opt step.ir --until fuse_loops -o loops.ir && gradc run loops.ir --through interpreter --check";

/// The ways to run a graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Way {
    /// The reference interpreter: of a graph node by node, of loops as they are in the file
    Interpreter,
    /// The interpreter of the loops that all passes make
    Loops,
    /// Machine code
    #[default]
    Native,
}

impl RunModel {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.outputs {
            gradc::io::check_destination(path)?;
        }
        let case = self.case()?;
        let mut runner = self.runner(&case, self.through)?;
        let start = Instant::now();
        let results = runner.run()?;
        let mut times = vec![start.elapsed()];
        for _ in 1..self.runs {
            let start = Instant::now();
            runner.run_again()?;
            times.push(start.elapsed());
        }
        let mut text = format!("{:.4} ms\n", median(&mut times) * 1e3);
        for (name, value) in &results.outputs {
            let _ = writeln!(text, "{name:?} {}", described(value));
        }
        print(&text)?;
        if let Some(path) = &self.outputs {
            save_tensors(path, &results.outputs)?;
        }
        if self.check { self.check(&case, results.named()) } else { Ok(()) }
    }

    /// What to run, with its values.
    fn case(&self) -> Result<RunCase, Box<dyn Error>> {
        let states = self.states.as_deref();
        let is_onnx = Path::new(&self.model).extension().is_some_and(|extension| extension == "onnx");
        match if is_onnx { Subject::Step(self.imported()?.into()) } else { subject_of(&self.model, self.batch)? } {
            Subject::Step(step) => Ok(RunCase::Graph(self.inputs.case(&step, states)?)),
            Subject::Loops(program) => {
                let (inputs, states) = of_loops(&program, &self.inputs, states)?;
                Ok(RunCase::Loops { program, inputs, states })
            }
        }
    }

    #[cfg(feature = "onnx")]
    fn imported(&self) -> Result<Step, Box<dyn Error>> {
        let model = Path::new(&self.model);
        let survey = gradc_onnx::Import::new(model).survey()?;
        Ok(self.extents.load(model, &survey)?.finish()?)
    }

    #[cfg(not(feature = "onnx"))]
    fn imported(&self) -> Result<Step, Box<dyn Error>> {
        Err("ONNX models need the command's feature `onnx`: cargo build --features onnx".into())
    }

    fn runner<'c>(&self, case: &'c RunCase, way: Way) -> Result<CaseRunner<'c>, Box<dyn Error>> {
        let threads = self.threads.map_or_else(|| CompileOptions::default().threads, usize::from);
        let cx = PassContext::new(target(None)?);
        Ok(match (case, way) {
            (RunCase::Graph(case), Way::Native) => CaseRunner::Native(Native::new(case, threads)?.into()),
            (RunCase::Graph(case), Way::Interpreter) => {
                CaseRunner::Graph(Module::Graph(differentiated(&case.graph, &cx)?).into(), case)
            }
            (RunCase::Graph(case), Way::Loops) => {
                let loops = ::passes::compile(case.graph.clone(), &cx, &RunOptions::default())?.module;
                CaseRunner::Graph(loops.into(), case)
            }
            (RunCase::Loops { program, inputs, states }, way) => {
                let program = if way == Way::Interpreter { program.clone() } else { finished(program, &cx)? };
                match way {
                    Way::Native => CaseRunner::Native(Native::of_loops(program, (inputs, states), threads)?.into()),
                    _ => CaseRunner::Loops(program.into(), inputs, states),
                }
            }
        })
    }

    /// Says of each way whether it gives what the interpreter gives; `results` are those of the way that was asked for.
    fn check(&self, case: &RunCase, results: PortValues) -> Result<(), Box<dyn Error>> {
        let mut results = Some(results);
        let spinner = Spinner::new();
        let mut of = |way, what| match results.take_if(|_| way == self.through) {
            Some(results) => Ok(results),
            None => {
                spinner.say(what);
                Ok::<_, Box<dyn Error>>(self.runner(case, way)?.run()?.named())
            }
        };
        let expected = of(Way::Interpreter, "the interpreter")?;
        let (loops, native) = (of(Way::Loops, "the interpreter of loops")?, of(Way::Native, "machine code")?);
        spinner.say("how far roundings may carry");
        let told = match case {
            RunCase::Graph(case) => {
                let graph = differentiated(&case.graph, &PassContext::new(target(None)?))?;
                let trials = LazyTrials::new(&graph, (&case.inputs, &case.states));
                let told = |found: &PortValues| match trials.difference(&expected, found) {
                    None => Ok(format!("{} results are the interpreter's, but for rounding", found.len())),
                    Some(difference) => Err(format!("not what the interpreter gives: {difference}")),
                };
                [told(&loops), told(&native)]
            }
            // Loops alone don't say how far passes on them may change roundings; machine code changes none.
            RunCase::Loops { .. } => [Ok(furthest(&expected, &loops)), to_the_bit(&loops, &native)],
        };
        drop(spinner);
        let mut wrong = vec![];
        for (name, told) in ["loops", "native"].into_iter().zip(told) {
            let (Ok(is) | Err(is)) = &told;
            print(&format!("{name:<6} {is}\n"))?;
            wrong.extend(told.is_err().then_some(name));
        }
        match case {
            _ if wrong.is_empty() => Ok(()),
            RunCase::Graph(_) => {
                Err(format!("{} and interpreter differ: `gradc bisect` finds the pass", wrong.join(", ")).into())
            }
            RunCase::Loops { .. } => Err("the machine code of these loops is wrong".into()),
        }
    }
}

/// Loops with all that passes on loops do, if they have no places in memory yet.
fn finished(program: &Program, cx: &PassContext) -> Result<Program, Box<dyn Error>> {
    if program.arena_bytes.is_some() {
        return Ok(program.clone());
    }
    let module = ::passes::run(Module::Program(program.clone()), on_loops(), cx, &RunOptions::default())?.module;
    module.program().cloned().ok_or_else(|| "the passes left no loops".into())
}

/// The largest distance between results, by the largest element of each.
fn furthest(expected: &PortValues, found: &PortValues) -> String {
    let distance = |(name, x): (&String, &Value)| {
        let (x, y) = (x.to_f64_vec(), found.get(name)?.to_f64_vec());
        let largest = x.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let apart = x.iter().zip(&y).fold(0.0f64, |apart, (x, y)| apart.max((x - y).abs()));
        Some((apart / largest.max(f64::MIN_POSITIVE), name.clone()))
    };
    let distances = expected.iter().filter_map(distance);
    let (distance, name) = distances.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
    format!("{distance:.1e} of the largest element from the loops as they are in the file, at most ({name:?})")
}

/// Whether results are the same, whichever NaN is where one is.
fn to_the_bit(expected: &PortValues, found: &PortValues) -> Result<String, String> {
    for (name, x) in expected {
        let y = found.get(name).ok_or_else(|| format!("no result {name:?}"))?;
        let differs = |i: &usize| x.get(*i) != y.get(*i) && !(x.get(*i).is_nan() && y.get(*i).is_nan());
        if let Some(i) = (0..x.data().len()).find(differs) {
            return Err(format!(
                "not what the loops' interpreter gives: {name}[{i}]: {} against {}",
                x.get(i),
                y.get(i)
            ));
        }
    }
    Ok(format!("{} results are those of the loops' interpreter to the bit", found.len()))
}

/// What is run, with its values.
enum RunCase {
    Graph(GraphCase),
    Loops { program: Program, inputs: PortValues, states: PortValues },
}

/// A graph or loops on their values, ready to run in one of the ways.
enum CaseRunner<'c> {
    Graph(Box<Module>, &'c GraphCase),
    Loops(Box<Program>, &'c PortValues, &'c PortValues),
    Native(Box<Native<'c>>),
}

impl CaseRunner<'_> {
    /// Once, from the states that the case begins with.
    fn run(&mut self) -> Result<RunResults, Box<dyn Error>> {
        match self {
            Self::Graph(module, case) => Ok(interpret(module, case)?),
            Self::Loops(program, inputs, states) => interpreted(program, inputs, states),
            Self::Native(native) => native.run(),
        }
    }

    /// Once more, for its time.
    fn run_again(&mut self) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Graph(..) | Self::Loops(..) => self.run().map(drop),
            Self::Native(native) => native.step(),
        }
    }
}

/// What loops give by their interpreter, as vectors.
fn interpreted(program: &Program, inputs: &PortValues, states: &PortValues) -> Result<RunResults, Box<dyn Error>> {
    let elements =
        |values: &PortValues| values.iter().map(|(name, value)| (name.clone(), value.data().clone())).collect();
    let (outputs, states) = kernel::eval::eval(program, &elements(inputs), &elements(states))?;
    let vector = |(name, data): (String, Data)| {
        let ty = TensorType::new(data.dtype(), Shape::new([data.len()])?);
        Ok((name, Value::new(ty, data)?))
    };
    let vectors =
        |results: BTreeMap<String, Data>| results.into_iter().map(vector).collect::<Result<_, Box<dyn Error>>>();
    Ok(RunResults { outputs: vectors(outputs)?, states: vectors(states)? })
}

/// The median of the runs in seconds, of which the first only counts if there is no other.
fn median(times: &mut [Duration]) -> f64 {
    let later = if times.len() > 1 { &mut times[1..] } else { times };
    later.sort_unstable();
    later[later.len() / 2].as_secs_f64()
}

/// The type of a result, its range, its first elements.
fn described(value: &Value) -> String {
    let elements = value.to_f64_vec();
    let (low, high) = elements.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
    let mean = elements.iter().sum::<f64>() / elements.len() as f64;
    let first: Vec<String> = elements.iter().take(5).map(|x| format!("{x:.6}")).collect();
    format!("{}: from {low:.6} to {high:.6}, mean {mean:.6}; {}", value.ty(), first.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::{given::step_of, parsed};
    use super::*;
    use crate::command::opt::Opt;
    use ::passes::pipeline::PIPELINE;

    #[test]
    fn loops_from_a_file_run_as_they_are_and_as_machine_code() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let [begun, planned] = ["fuse_loops", "plan_memory"].map(|pass| {
            let file = at(&format!("{pass}.ir"));
            parsed::<Opt>(&format!("mlp_tiny --until {pass} -o {file}")).run().unwrap();
            file
        });
        let run = |arguments: &str| parsed::<RunModel>(arguments).run().map_err(|e| e.to_string());
        for file in [&begun, &planned] {
            run(&format!("{file} --check --outputs {}", at("native.safetensors"))).unwrap();
            run(&format!("{file} --through interpreter --outputs {}", at("loops.safetensors"))).unwrap();
            let [native, loops] = ["native", "loops"].map(|name| {
                gradc::io::load_tensors(at(&format!("{name}.safetensors"))).unwrap()["loss"].to_f64_vec()[0]
            });
            assert!((native - loops).abs() <= 1e-5 * loops.abs(), "{file}: {native} against {loops}");
        }
        // Loops say what they take.
        gradc::io::save_npz(
            at("x.npz"),
            &PortValues::from([("z".to_string(), Value::splat(ir::Scalar::F32(0.0), Shape::scalar()))]),
        )
        .unwrap();
        let error = run(&format!("{begun} --inputs {}", at("x.npz"))).unwrap_err();
        assert!(error.contains("\"z\"") && error.contains("the loops take x, y"), "{error}");
    }

    /// All ways say the same, and so does `gradc bisect`: what doesn't fit is no fault of a pass.
    #[test]
    fn tensors_that_do_not_fit_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let (file, graph) = (dir.path().join("v.npz").display().to_string(), step_of("mlp_tiny", None).unwrap().graph);
        let right: PortValues = graph
            .inputs()
            .map(|(_, port)| (port.name.clone(), Value::splat(ir::Scalar::F32(0.5), port.ty.shape.clone())))
            .collect();
        let scalar = Value::splat(ir::Scalar::F32(0.0), Shape::scalar());
        let save = |change: fn(&mut PortValues, Value)| {
            let mut values = right.clone();
            change(&mut values, scalar.clone());
            gradc::io::save_npz(&file, &values).unwrap();
        };
        let run = |arguments: &str| parsed::<RunModel>(arguments).run().map_err(|e| e.to_string());
        let told = || {
            let [native, interpreter] = ["native", "interpreter"]
                .map(|way| run(&format!("mlp_tiny --inputs {file} --through {way}")).unwrap_err());
            let bisected = crate::bisect_in(&["mlp_tiny", "--inputs", &file], PIPELINE).unwrap_err().to_string();
            assert_eq!((&native, &native), (&interpreter, &bisected));
            native
        };
        save(|_, _| {});
        run(&format!("mlp_tiny --inputs {file}")).unwrap();
        save(|values, scalar| drop(values.insert("z".into(), scalar)));
        assert!(told().ends_with(
            "v.npz has a tensor \"z\", but the graph no such input: there are \"x\" f32[8,4], \"y\" f32[8,2]"
        ));
        save(|values, _| drop(values.remove("y")));
        assert!(told().contains("v.npz has no tensor \"y\": the graph takes \"x\" f32[8,4]"));
        save(|values, scalar| drop(values.insert("x".into(), scalar)));
        assert!(told().ends_with("v.npz: the input \"x\" is f32[8,4], but the tensor is f32[]"));
        let error = run(&format!("mlp_tiny --states {file}")).unwrap_err();
        assert!(error.contains("no such state"), "{error}");
    }

    #[test]
    fn a_step_is_checked_in_all_ways() {
        parsed::<RunModel>("mlp_tiny --through interpreter --check").run().unwrap();
    }
}
