//! Programs that link `gradc-embed` or `gradc-pool` and a compiled step, as users' programs do. They are compiled by `rustc` itself: by cargo, each test would compile gradc once more, for a build
//! script. `.ci/run` builds the example by cargo.

#[path = "../../../examples/embedded/model.rs"]
mod model;

use super::same::{bits, cnn, digits, root, trained};
use super::{Built, exists, run};
use aot::{CompileObject, ObjectOptions};
use gradc::compile::Target;
use gradc::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles one of the workspace's crates, or a program, into a folder; gives the file. `None` without `rustc`.
fn rustc(source: &Path, kind: &str, folder: &Path, args: &[&str]) -> Option<PathBuf> {
    if !exists("rustc") {
        eprintln!("SKIPPED: there is no `rustc`");
        return None;
    }
    let mut command = Command::new("rustc");
    command.args(["--edition=2024", "-O", "-Cpanic=abort", "-Cstrip=symbols", "-Dwarnings", "--crate-type", kind]);
    command.arg(source).arg("--out-dir").arg(folder).arg("-L").arg(folder).args(args).env("OUT_DIR", folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    let name = args.iter().find_map(|arg| arg.strip_prefix("--crate-name=")).unwrap();
    Some(folder.join(match kind {
        "bin" => name.to_owned(),
        "staticlib" => format!("lib{name}.a"),
        _ => format!("lib{name}.rlib"),
    }))
}

/// Compiles `gradc-embed` into a folder.
fn embed(folder: &Path) -> Option<PathBuf> {
    rustc(&root().join("embed/src/lib.rs"), "rlib", folder, &["--crate-name=embed"])
}

/// A program with steps in a folder.
fn program(folder: &Path, source: &Path, steps: &[&str]) -> Option<PathBuf> {
    let embed = format!("embed={}", embed(folder)?.display());
    let links: Vec<String> = steps.iter().map(|step| format!("-lstatic={step}")).collect();
    let mut args = vec!["--crate-name=program", "--extern", &embed];
    args.extend(links.iter().map(String::as_str));
    rustc(source, "bin", folder, &args)
}

fn config(folder: &Path) -> gradc_build::Config {
    gradc_build::Config::new().target(host().triple().to_string()).out_dir(folder)
}

/// This machine, whatever `GRADC_TARGET` says: programs of their own don't ask for it.
fn host() -> Target {
    runtime::host_target().unwrap()
}

/// The target that the program's code was compiled for, of those that this processor can run.
fn target_of_program() -> Target {
    let generic = Target::generic(host().triple().clone()).unwrap();
    let sets = ["baseline", "avx2", "avx512"];
    let mut all = sets.iter().filter_map(|set| aot::targets(&generic, [*set]).ok()).flatten();
    all.rfind(|target| target.runs_on(&host())).unwrap()
}

#[test]
fn the_embedded_example_has_the_losses_of_the_process_that_compiles() {
    let step = model::training().unwrap();
    let built = Built::new(&step.compile_object(&ObjectOptions::named("unused")).unwrap());
    let folder = built.folder.path();
    let steps = [("train", &step), ("infer", &model::prediction().unwrap())];
    config(folder).compile_steps("cnn", &steps).unwrap();
    let source = root().join("examples/embedded/src/main.rs");
    let Some(program) = program(folder, &source, &["cnn_train", "cnn_infer"]) else { return };
    let (images_path, images) = digits(&built, "train-images-idx3-ubyte", usize::MAX, 784, 16);
    let (labels_path, labels) = digits(&built, "train-labels-idx1-ubyte", usize::MAX, 1, 8);
    let test_images = digits(&built, "t10k-images-idx3-ubyte", usize::MAX, 784, 16).0;
    let test_labels = digits(&built, "t10k-labels-idx1-ubyte", usize::MAX, 1, 8).0;
    let wanted = bits(trained(&step, Some(target_of_program()), &images, &labels).1);
    let mut predicted = None;
    for threads in ["1", "2", "3"] {
        let files = [&images_path, &labels_path, &test_images, &test_labels];
        let text = run(&program, files.map(|path| path.as_os_str()).into_iter().chain([threads.as_ref()]));
        let (losses, last) = text.trim_end().rsplit_once('\n').unwrap();
        assert!(bits(losses.lines().map(|loss| loss.parse().unwrap())) == wanted, "{threads} threads");
        assert_eq!(predicted.get_or_insert(last.to_owned()), last, "{threads} threads");
        let accuracy: f64 = last.rsplit(' ').nth(1).unwrap().parse().unwrap();
        assert!(accuracy > 94.0, "{last}");
    }
    let bytes = std::fs::metadata(&program).unwrap().len();
    println!("the program has {bytes} bytes: {predicted:?}");
    assert!(bytes <= 700_000, "the program has {bytes} bytes");
}

/// What can go wrong is an error with a message, and forbidding `unsafe` doesn't forbid a wrapper.
const MISUSE: &str = r##"//! Misuse.
#![forbid(unsafe_code)]
mod words { embed::include_step!("words"); }
mod other { embed::include_step!("other"); }
use embed::{AlignedBox, StepFailure};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut states, mut others) = (words::states(3)?, other::states(0)?);
    let mut step = words::Step::new(2)?;
    assert_eq!(words::X_SHAPE, [2, 4]);
    let short = step.inputs.y.write(&[1]).unwrap_err();
    assert!(matches!(short, StepFailure::Length { found: 1, expected: 2, .. }), "{short}");
    step.run(&mut states)?;
    assert!(step.outputs.loss[0].is_finite());
    step.inputs.y.write(&[1, 7])?;
    let failed = step.run(&mut states).unwrap_err();
    println!("{failed}");
    assert!(matches!(failed, StepFailure::Check { status: 1.., .. }));
    step.inputs.y = AlignedBox::zeros(3)?;
    println!("{}", step.run(&mut states).unwrap_err());
    step.inputs.y = AlignedBox::zeros(2)?;
    println!("{}", step.run(&mut others).unwrap_err());
    println!("{}", states.get::<f32>("dense/bia").unwrap_err());
    let kept = states.bytes().to_vec();
    step.run(&mut states)?;
    let loss = step.outputs.loss[0];
    states.restore(&kept)?;
    step.run(&mut states)?;
    assert_eq!(step.outputs.loss[0].to_bits(), loss.to_bits());
    assert_eq!(states.get::<f32>("dense/bias")?.len(), 3);
    Ok(())
}
"##;

#[test]
fn misuse_of_a_wrapper_is_an_error_that_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let words = |units: usize| {
        let model = Sequential::new([4]).dense(units);
        model.training_graph(2, &SparseCategoricalCrossEntropy, &[], &Adam::default()).unwrap()
    };
    config(folder.path()).compile_step("words", &words(3)).unwrap();
    config(folder.path()).compile_step("other", &words(5)).unwrap();
    let source = folder.path().join("misuse.rs");
    std::fs::write(&source, MISUSE).unwrap();
    let Some(program) = program(folder.path(), &source, &["words", "other"]) else { return };
    let text = run(program, [] as [&str; 0]);
    let lines: Vec<&str> = text.lines().collect();
    let wanted = [
        "embedded.rs:",
        "`y` has 2 elements, and was given 3",
        "lays them out in another way",
        "no state `dense/bia`; there are ",
    ];
    assert_eq!(lines.len(), wanted.len(), "{text}");
    assert!(lines.iter().zip(wanted).all(|(line, wanted)| line.contains(wanted)), "{text}");
}

#[test]
fn a_build_script_is_told_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.ir");
    let message = |result: Result<(), gradc_build::ScriptError>| format!("{:?}", result.unwrap_err());
    let text = message(config(folder.path()).compile_file(&path));
    assert!(text.contains("broken.ir: ") && text.contains("os error"), "{text}");
    std::fs::write(&path, "graph \"g\"\nnonsense").unwrap();
    let text = message(config(folder.path()).compile_file(&path));
    assert!(text.contains("broken.ir: ") && text.contains('2'), "{text}");
    let step = cnn();
    assert!(
        message(config(folder.path()).cpus(["avx3"]).compile_step("c", &step)).contains("no instruction set \"avx3\"")
    );
    assert!(message(config(folder.path()).target("vax").compile_step("c", &step)).contains("`vax` can't be read"));
    assert!(message(config(folder.path()).compile_step("c-d", &step)).contains("`c-d` can't be an entry's name"));
    assert!(message(config(folder.path()).weights("nowhere").compile_step("c", &step)).contains("nowhere"));
    // Tests are no build scripts.
    assert!(message(gradc_build::Config::new().compile_step("c", &step)).contains("`TARGET` isn't set"));
}

/// The example in C with the pool of `gradc-pool` in place of threads that it starts for each loop.
#[test]
fn the_pool_for_c_gives_the_losses_of_the_process_that_compiles() {
    let step = cnn();
    let built = Built::new(&step.compile_object(&ObjectOptions::named("cnn_train")).unwrap());
    let folder = built.folder.path();
    let Some(embed) = embed(folder) else { return };
    let embed = format!("embed={}", embed.display());
    let pool = root().join("pool/src/lib.rs");
    let Some(library) = rustc(&pool, "staticlib", folder, &["--crate-name=gradc_pool", "--extern", &embed]) else {
        return;
    };
    let (images_path, images) = digits(&built, "train-images-idx3-ubyte", 640, 784, 16);
    let (labels_path, labels) = digits(&built, "train-labels-idx1-ubyte", 640, 1, 8);
    let wanted = bits(trained(&step, None, &images, &labels).1);
    assert_eq!(wanted.len(), 20);
    let (source, header) = (root().join("examples/c/train_cnn.c"), root().join("pool").display().to_string());
    let library = library.display().to_string();
    for (compiler, standard) in [("cc", "-std=c11"), ("c++", "-std=c++17")] {
        let flags = [standard, "-O1", "-DGRADC_POOL", "-I", &header];
        let Some(program) = built.compile_with(compiler, &flags, &source, compiler, &[&library, "-ldl"]) else {
            continue;
        };
        for threads in ["1", "2", "3"] {
            let text = run(&program, [images_path.as_os_str(), labels_path.as_os_str(), threads.as_ref()]);
            assert!(bits(text.lines().map(|line| line.parse().unwrap())) == wanted, "{compiler}, {threads} threads");
        }
        if compiler == "cc"
            && exists("valgrind")
            && target_of_program() == target_of_program().limited_to(kernel::InstructionSet::Avx2)
        {
            let args = ["--error-exitcode=9", "--leak-check=full", "-q"].map(std::ffi::OsStr::new).into_iter();
            run(
                "valgrind",
                args.chain([program.as_os_str(), images_path.as_os_str(), labels_path.as_os_str(), "3".as_ref()]),
            );
        }
    }
}
