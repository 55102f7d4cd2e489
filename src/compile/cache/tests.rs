//! The cache as a user meets it: what hits, what misses, and what files do to it.

use super::*;
use crate::compile::CompiledProgram;
use crate::data::array;
use crate::dsl::{GraphBuilder, f32, i32, uniform};
use crate::optim::Adam;
use damage::damage;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A training step with a check (the class labels), a parameter, an optimizer; distinct for each `width`.
fn step(width: usize) -> Step {
    let g = GraphBuilder::new("cached \"step\"");
    let (x, y) = (g.input("x", f32([4, 3])), g.input("y", i32([4])));
    let hidden = x.matmul(g.param("w", f32([3, width]), uniform(-1.0, 1.0))).tanh();
    let logits = hidden.matmul(g.param("v", f32([width, 2]), uniform(-1.0, 1.0)));
    g.minimize(crate::nn::sparse_cross_entropy(&logits, &y).mean(), &Adam::new(0.1)).unwrap()
}

fn options(cache: Cache) -> CompileOptions {
    CompileOptions::threads(1).cache(cache)
}

fn in_directory(directory: &Path) -> CompileOptions {
    options(Cache::Directory(directory.into()))
}

/// An entry to keep somewhere.
pub(super) fn entry() -> Entry {
    let step = step(1);
    let fresh = crate::compile::generate(&step.graph, &options(Cache::Off)).unwrap();
    let places = SourceLocations::of(&step.graph).find_all(fresh.loaded.checks()).unwrap();
    Entry { loaded: Arc::new(fresh.loaded), memory: fresh.memory, places }
}

/// The losses of a few steps, as bits.
fn losses(program: &mut CompiledProgram) -> Vec<u32> {
    let x = array([4, 3], (0..12).map(|i| (i as f32 * 0.7).sin()).collect()).unwrap();
    let y = array([4], vec![0i32, 1, 1, 0]).unwrap();
    let mut loss = || program.run([("x", &x), ("y", &y)]).unwrap()["loss"].as_f32().unwrap()[0].to_bits();
    (0..4).map(|_| loss()).collect()
}

fn source(program: &CompiledProgram) -> CodeSource {
    program.report().cache.source
}

/// Forgets what this process knows of a step, as another process would.
fn forget(step: &Step, options: &CompileOptions) {
    process::forget(Key::of(
        &step.graph,
        &SourceLocations::of(&step.graph),
        &options.target_or_host().unwrap(),
        options,
    ));
}

#[test]
fn a_second_compilation_finds_the_first_ones_code() {
    let step = step(2);
    let mut first = step.compile(&options(Cache::Process)).unwrap();
    let mut second = step.clone().compile(&options(Cache::Process)).unwrap();
    assert_eq!((source(&first), source(&second)), (CodeSource::Missed, CodeSource::Process));
    assert!(second.report().passes.is_empty() && second.report().cache.is_hit());
    assert!(second.report().to_string().starts_with("found in "), "{}", second.report());
    assert_eq!(first.report().memory, second.report().memory);
    // They share code, not data.
    let once = losses(&mut first);
    assert_eq!(once, losses(&mut second));
    assert_ne!(once, losses(&mut first), "training goes on");
    assert_eq!(source(&step.compile(&options(Cache::Off)).unwrap()), CodeSource::Compiled);
    let watched = CompileOptions { verify_code: true, ..options(Cache::Process) };
    assert_eq!(source(&step.compile(&watched).unwrap()), CodeSource::Compiled);
}

#[test]
fn what_changes_code_changes_the_key() {
    let key = |step: &Step, options: &CompileOptions| {
        Key::of(&step.graph, &SourceLocations::of(&step.graph), &options.target_or_host().unwrap(), options)
    };
    let base = options(Cache::Process);
    let (one, other) = (step(2), step(3));
    let same = CompileOptions { threads: 3, seed: 9, cache: Cache::Off, ..base.clone() };
    assert_eq!(key(&one, &base), key(&step(2), &same), "threads and seeds don't change code");
    let passes = passes::PassOptions { fold_elements: 1, ..Default::default() };
    let host = base.target_or_host().unwrap();
    let small = kernel::Caches { l1_bytes: 1, ..host.caches() };
    let changed = [
        key(&other, &base),
        key(&one, &CompileOptions { target: Some(host.clone().with_caches(small)), ..base.clone() }),
        key(&one, &CompileOptions { passes, ..base.clone() }),
        key(&one, &CompileOptions { verify: false, ..base.clone() }),
        key(&one, &base.clone().memory_limit(1 << 20)),
    ];
    assert!(changed.iter().all(|k| *k != key(&one, &base)));
    assert_eq!(key(&one, &base).to_string().len(), 64);
}

/// The same step, declared on one of two lines; the line is given too.
fn lookup(second: bool) -> (u32, Step) {
    let g = GraphBuilder::new("lookup");
    let table = g.param("table", f32([4, 2]), uniform(0.0, 1.0));
    let index = g.input("i", i32([2]));
    let (line, rows) = match second {
        false => (line!(), table.gather(&index)),
        true => (line!(), table.gather(&index)),
    };
    g.output("rows", &rows);
    (line, g.finish().unwrap())
}

#[test]
fn messages_name_the_line_of_the_step_at_hand() {
    let directory = tempfile::tempdir().unwrap();
    let options = in_directory(directory.path());
    let bad = array([2], vec![0i32, 7]).unwrap();
    for (second, expected) in [(false, CodeSource::Missed), (true, CodeSource::File), (false, CodeSource::Process)] {
        let (line, step) = lookup(second);
        if expected == CodeSource::File {
            forget(&step, &options);
        }
        let mut program = step.compile(&options).unwrap();
        assert_eq!(source(&program), expected);
        let error = program.run([("i", &bad)]).unwrap_err().to_string();
        assert!(error.contains(&format!("tests.rs:{line}:")), "{error}, not line {line}");
    }
}

#[test]
fn a_file_gives_the_same_bits() {
    let directory = tempfile::tempdir().unwrap();
    let options = in_directory(&directory.path().join("made/on/demand"));
    let step = step(4);
    let mut fresh = step.compile(&options).unwrap();
    assert_eq!(fresh.report().cache.warnings, Vec::<String>::new());
    forget(&step, &options);
    let mut read = step.compile(&CompileOptions { threads: 2, ..options.clone() }).unwrap();
    assert_eq!((source(&fresh), source(&read)), (CodeSource::Missed, CodeSource::File));
    assert_eq!(fresh.report().memory, read.report().memory);
    let names =
        |p: &CompiledProgram| p.report().kernels.iter().map(|k| (k.name.clone(), k.code_bytes)).collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&read));
    assert_eq!(losses(&mut fresh), losses(&mut read));
    let files = directory::list(&directory.path().join("made/on/demand")).unwrap();
    assert_eq!(files.iter().map(|f| f.name.as_deref()).collect::<Vec<_>>(), [Some("cached \"step\"")]);
    assert_eq!(directory::clear(&directory.path().join("made/on/demand")).unwrap(), 1);
    assert_eq!(directory::list(&directory.path().join("made/on/demand")).unwrap(), []);
}

/// The one file of a directory.
fn only_file(directory: &Path) -> PathBuf {
    directory::list(directory).unwrap().pop().unwrap().path
}

#[test]
fn a_damaged_file_is_compiled_again_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let options = in_directory(directory.path());
    let step = step(5);
    let want = losses(&mut step.compile(&options).unwrap());
    let path = only_file(directory.path());
    let good = fs::read(&path).unwrap();
    let mut damaged: Vec<Vec<u8>> = [0, 1, 12, 44, 75, 76, 80, 100, 300, good.len() / 2, good.len() - 1]
        .iter()
        .map(|&n| good[..n].to_vec())
        .collect();
    for at in [0, 11, 20, 50, 90, good.len() / 3, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        damaged.push(flipped);
    }
    damaged.push([&good[..], b"more"].concat());
    damaged.push(b"something else altogether".to_vec());
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        forget(&step, &options);
        let mut program = step.compile(&options).unwrap();
        let report = &program.report().cache;
        assert_eq!((report.source, report.warnings.len()), (CodeSource::Missed, 1), "{} bytes", bytes.len());
        assert!(report.warnings[0].contains("isn't used"), "{}", report.warnings[0]);
        assert_eq!(losses(&mut program), want);
        assert!(fs::read(&path).unwrap() == good, "replaced by the same contents");
    }
}

#[test]
fn every_change_of_a_byte_is_noticed() {
    let (entry, key) = (entry(), Key([7; 32]));
    let good = file::encode(key, "name", &entry).unwrap();
    assert_eq!(file::decode(&good, key).unwrap().places, entry.places);
    assert_eq!(file::name(&good[..100]).as_deref(), Some("name"));
    for at in (0..good.len()).step_by(good.len() / 200) {
        let mut bad = good.clone();
        bad[at] = bad[at].wrapping_add(1);
        assert!(file::decode(&bad, key).is_err(), "byte {at}");
        assert!(file::decode(&good[..at], key).is_err(), "{at} bytes");
    }
    let other = file::decode(&good, Key([8; 32])).err().unwrap();
    assert_eq!(other, "holds another program");
}

#[test]
fn files_that_others_could_have_written_are_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let options = in_directory(directory.path());
    let step = step(6);
    step.compile(&options).unwrap();
    let path = only_file(directory.path());
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let again = |step: &Step| {
        forget(step, &options);
        let report = step.compile(&options).unwrap().report().cache.clone();
        (report.source, report.warnings.join("; "))
    };
    assert_eq!(again(&step), (CodeSource::File, String::new()));
    mode(&path, 0o620);
    let (source, why) = again(&step);
    assert!(source == CodeSource::Missed && why.contains("can be written by others (mode 620)"), "{why}");
    assert_eq!(again(&step), (CodeSource::File, String::new()), "it was replaced by one that can't");
    mode(directory.path(), 0o777);
    let (source, why) = again(&step);
    assert!(source == CodeSource::Missed && why.contains("can be written by others (mode 777)"), "{why}");
    mode(directory.path(), 0o700);
    assert_eq!(again(&step).0, CodeSource::File);
}

#[test]
fn a_directory_that_cannot_be_used_costs_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("a file");
    fs::write(&blocked, "").unwrap();
    let step = step(7);
    let report = step.compile(&in_directory(&blocked)).unwrap().report().cache.clone();
    assert_eq!((report.source, report.warnings.len()), (CodeSource::Missed, 2), "{:?}", report.warnings);
    assert!(report.warnings.iter().all(|w| w.contains("a file")), "{:?}", report.warnings);
}

#[test]
fn many_may_read_and_write_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (entry, key) = (entry(), Key([3; 32]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    directory::write(directory.path(), key, "shared", &entry).unwrap();
                    let read = directory::read(directory.path(), key).unwrap().expect("somebody has written it");
                    assert_eq!(read.places, entry.places);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// A file whose checksum is right, but whose contents are not: what a hand, and not an accident, could make. Its code isn't run, but everything is
/// done with it up to there. `GRADC_MUTATIONS` says how many; 100,000 take some minutes.
#[test]
fn no_change_of_a_file_makes_reading_it_panic() {
    let mutations: u64 = std::env::var("GRADC_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let (entry, key) = (entry(), Key([7; 32]));
    let whole = file::encode(key, "mutated", &entry).unwrap();
    let mut random = ir::SplitMix64::new(1);
    let (mut read, mut loaded) = (0, 0);
    for _ in 0..mutations {
        let mut bytes = whole.clone();
        // Behind the checksum and the key, which whoever makes such a file makes right.
        damage(&mut bytes, 76, &mut random);
        let bytes = file::seal(bytes);
        let Ok(decoded) = file::decode(&bytes, key) else { continue };
        read += 1;
        let Ok(entry) = directory::load(decoded) else { continue };
        loaded += 1;
        // Memory that a program asks for is taken, as far as there is some: nothing is written to it but constants.
        drop(runtime::Executable::without_states(entry.loaded, 1));
    }
    assert!(read > mutations / 20 && loaded > mutations / 50, "{read} of {mutations} were read, {loaded} loaded");
}
