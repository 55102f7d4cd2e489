//! Programs as text: what is printed is read back as it was, source locations included, at every stage; and no text makes a reader panic.
//!
//! `GRADC_IR_MUTATIONS=1000000` makes a long run of damaged texts, `GRADC_RANDOM_GRAPHS=10000` one of random graphs.

use crate::seeds::check_each;
use gradc_cli::bench::{Workload, WorkloadKind};
use ir::Graph;
use kernel::{Program, Target};
use passes::pipeline::PIPELINE;
use passes::{Module, Pass, PassContext, RunOptions};
use random_graphs::{Limits, Rng, random_graph};

/// Panics unless a program is what its text says.
fn comes_back(name: &str, module: &Module) {
    let text = module.text_with_locations();
    match module {
        Module::Graph(graph) => {
            let read = Graph::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(read.same_as(graph), "{name}: another graph:\n{text}");
            assert!(read.same_places_as(graph), "{name}: other places:\n{text}");
            assert_eq!(read.display().locations(true).comments(true).to_string(), text, "{name}");
        }
        Module::Program(program) => {
            let read: Program = text.parse().unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
            assert!(read == *program, "{name}: other loops:\n{text}");
        }
    }
}

/// The same of what each pass makes of a graph.
fn come_back_at_every_stage(name: &str, graph: Graph, target: Target) {
    let graph = Module::Graph(graph);
    comes_back(name, &graph);
    let options = RunOptions { verify: false, ..RunOptions::default() };
    let mut watch = |pass: &Pass, module: &Module| comes_back(&format!("{name} after `{}`", pass.name), module);
    passes::run_watched(graph, PIPELINE, &PassContext::new(target), &options, &mut watch).unwrap();
}

#[test]
fn models_come_back_at_every_stage() {
    let models: Vec<&Workload> = Workload::all().filter(|w| w.kind() != WorkloadKind::Kernel).collect();
    assert!(models.len() > 10, "{models:?}");
    for workload in models {
        let graph = workload.step().unwrap().graph;
        assert!(graph.ids().any(|id| graph.loc(id).is_some()), "{} has no places", workload.name);
        come_back_at_every_stage(workload.name, graph, Target::avx2());
    }
}

#[test]
fn random_graphs_come_back_at_every_stage() {
    check_each(0, 200, |seed| {
        let limits = Limits { steps: 2 + (seed % 24) as usize, ..Limits::default() };
        // Each node has its line in the text for a place.
        let graph = Graph::parse_file(&random_graph(seed, &limits).to_string(), "random.ir").unwrap();
        let target = [Target::baseline(), Target::avx2(), Target::avx512()][seed as usize % 3].clone();
        come_back_at_every_stage(&format!("seed {seed}"), graph, target);
        true
    });
}

/// The words of a text, and what stands between them.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![];
    let mut inside = false;
    for c in text.chars() {
        let of_word = c.is_alphanumeric() || c == '_' || c == '.';
        if of_word && inside {
            words.last_mut().unwrap().push(c);
        } else {
            words.push(c.into());
        }
        inside = of_word;
    }
    words
}

/// What stands in the place of a word: numbers at the ends of their types, marks, words that mean something.
const STRANGE: [&str; 24] = [
    "0",
    "1",
    "-1",
    "64",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "99999999999999999999",
    "nan",
    "-inf",
    "1e308",
    "%0",
    "%9",
    "graph",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "f32[2]",
    "@",
    "at \"a:1:1\"",
];

/// A text with a few words removed, doubled, exchanged or replaced, or with another end.
fn mutated(words: &[String], random: &mut Rng) -> String {
    let mut words = words.to_vec();
    for _ in 0..=random.below(4) {
        let (at, other) = (random.below(words.len()), random.below(words.len()));
        match random.below(7) {
            0 => drop(words.remove(at)),
            1 => words.insert(at, words[other].clone()),
            2 => words.swap(at, other),
            3 => words.truncate(at + 1),
            4 => drop(words.splice(at..at, words[other..words.len().min(other + random.below(30))].to_vec())),
            5 => words[at] = char::from_u32(random.below(0x500) as u32).unwrap_or('\u{fffd}').into(),
            _ => words[at] = random.pick(&STRANGE).into(),
        }
        if words.is_empty() {
            break;
        }
    }
    words.concat()
}

/// Each is refused with a place in it, or is a program: verified, printed and read again.
#[test]
fn mutated_texts_are_refused_or_are_programs() {
    let count = std::env::var("GRADC_IR_MUTATIONS").map_or(4000, |n| n.parse().unwrap());
    let mut random = Rng::new(14);
    let texts: Vec<Vec<String>> = (0..40)
        .flat_map(|seed| {
            let graph = random_graph(seed, &Limits { steps: 3 + (seed % 5) as usize, ..Limits::default() });
            let loops =
                passes::compile(graph.clone(), &PassContext::new(Target::avx2()), &RunOptions::default()).unwrap();
            let graph = Graph::parse_file(&graph.to_string(), "a.ir").unwrap();
            [words(&graph.display().locations(true).to_string()), words(&loops.module.text())]
        })
        .filter(|words| words.len() < 4000)
        .collect();
    let mut read = [0, 0];
    for number in 0..count {
        let text = mutated(&texts[number % texts.len()], &mut random);
        if let Ok(graph) = Graph::parse(&text) {
            read[0] += 1;
            let _ = ir::verify(&graph, ir::Spec::DECLARED);
            comes_back("a mutated graph", &Module::Graph(graph));
        }
        if let Ok(program) = text.parse::<Program>() {
            read[1] += 1;
            let _ = kernel::verify(&program, kernel::Spec::PLANNED);
            comes_back("mutated loops", &Module::Program(program));
        }
    }
    assert!(
        read.iter().all(|&read| read * 200 > count),
        "of {count} texts only {read:?} were programs: too few to say anything"
    );
}
