//! A step as one HTML page: its graph, its memory plan, the times of passes and kernels, and each kernel's text, machine code and source line.
//!
//! The page is a file by itself: what it shows stands in it as JSON, and the scripts that draw it, which are written for it, stand in `page/`. Places of nodes are computed
//! here, everything else is drawn from the numbers.

mod layers;
mod layout;
mod page;
mod picture;
mod source;

pub use picture::to_svg;

use crate::bench::{MachineLimits, Profile};
use crate::document::{GraphDocument, ProgramDocument};
use layout::GraphLayout;
use passes::PassRecord;
use runtime::Loaded;
use serde::Serialize;
use source::SourceLines;
use std::collections::BTreeMap;

/// What a report is made of.
pub struct ReportParts<'p> {
    /// What was compiled, as the user called it.
    pub model: &'p str,
    /// The graph as it was lowered: fused and in its order.
    pub graph: GraphDocument,
    /// The planned loops.
    pub program: ProgramDocument,
    /// What each pass did.
    pub passes: &'p [PassRecord],
    /// The loops as machine code, with its text.
    pub loaded: &'p Loaded,
    /// The times of the launches, and the machine's limits if they were measured.
    pub profile: &'p Profile,
    /// The processor that code is for.
    pub target: String,
}

/// What the scripts draw: the parts that there are.
#[derive(Serialize, Default)]
struct ReportData<'p> {
    version: &'static str,
    sources: BTreeMap<String, SourceLines>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<GraphLayout>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graph: Option<GraphDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<ProgramDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passes: Option<Vec<PassData>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<Vec<CodeData<'p>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    launches: Option<Vec<LaunchData>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<MachineData>,
}

#[derive(Serialize)]
struct PassData {
    name: &'static str,
    ms: f64,
    changed: bool,
    before: usize,
    after: usize,
    rules: BTreeMap<&'static str, usize>,
}

/// The machine code of a kernel.
#[derive(Serialize)]
struct CodeData<'p> {
    emitter: String,
    bytes: usize,
    compile_ms: f64,
    /// Nothing if it is the code of an equal kernel before.
    assembly: Option<&'p str>,
}

/// The measured times of a launch.
#[derive(Serialize)]
struct LaunchData {
    median_ms: f64,
    best_ms: f64,
    threads: usize,
    gflops: f64,
    gbytes_s: f64,
    /// Of the machine's nearer limit: `86% FMA`.
    of_limit: Option<String>,
}

#[derive(Serialize)]
struct MachineData {
    threads: usize,
    gflops: f64,
    levels: Vec<LevelData>,
}

/// A part of the memory, with billions of bytes in a second.
#[derive(Serialize)]
struct LevelData {
    name: &'static str,
    read: f64,
    copy: f64,
    triad: f64,
}

/// The page as HTML.
///
/// # Errors
/// If what is to be drawn can't be written as JSON.
pub fn html(parts: ReportParts<'_>) -> Result<String, serde_json::Error> {
    let title = format!("{}: {}", parts.model, parts.graph.name);
    let program = ReportData {
        target: Some(parts.target),
        passes: Some(parts.passes.iter().map(pass).collect()),
        codes: Some(codes(parts.loaded)),
        launches: Some(launches(parts.profile)),
        machine: parts.profile.machine.as_ref().map(machine),
        program: Some(parts.program),
        ..ReportData::default()
    };
    program.with_graph(parts.graph).html(&title)
}

/// A graph alone as HTML: the page's picture of it.
///
/// # Errors
/// If it can't be written as JSON.
pub fn graph_html(title: &str, graph: GraphDocument) -> Result<String, serde_json::Error> {
    ReportData::default().with_graph(graph).html(title)
}

/// Loops alone as HTML: their memory plan, if they have one, and their kernels beside the source.
///
/// # Errors
/// If they can't be written as JSON.
pub fn program_html(title: &str, program: ProgramDocument) -> Result<String, serde_json::Error> {
    ReportData { program: Some(program), ..ReportData::default() }.html(title)
}

impl ReportData<'_> {
    fn with_graph(self, graph: GraphDocument) -> Self {
        Self { layout: Some(GraphLayout::of(&graph)), graph: Some(graph), ..self }
    }

    fn html(mut self, title: &str) -> Result<String, serde_json::Error> {
        let nodes = self.graph.iter().flat_map(|graph| &graph.nodes).filter_map(|node| node.location.as_deref());
        let launches = self.program.iter().flat_map(|program| &program.launches);
        let origins = launches.flat_map(|launch| &launch.origins).filter_map(|origin| origin.location.as_deref());
        self.sources = source::read(nodes.chain(origins));
        self.version = env!("CARGO_PKG_VERSION");
        Ok(page::page(title, &serde_json::to_string(&self)?))
    }
}

fn pass(record: &PassRecord) -> PassData {
    let PassRecord { name, seconds, changed, before, after, rules } = record.clone();
    PassData { name, ms: seconds * 1e3, changed, before, after, rules }
}

fn codes(loaded: &Loaded) -> Vec<CodeData<'_>> {
    let kernels = loaded.kernels().iter().map(|kernel| CodeData {
        emitter: kernel.emitter.to_string(),
        bytes: kernel.code_bytes,
        compile_ms: kernel.compile_time.as_secs_f64() * 1e3,
        assembly: kernel.dump.as_ref().map(|dump| dump.assembly.as_str()),
    });
    kernels.collect()
}

fn launches(profile: &Profile) -> Vec<LaunchData> {
    let launch = |launch: &crate::bench::LaunchProfile| {
        let [gflops, gbytes_s] = launch.rates(launch.median);
        LaunchData {
            median_ms: launch.median.as_secs_f64() * 1e3,
            best_ms: launch.best.as_secs_f64() * 1e3,
            threads: launch.threads,
            gflops,
            gbytes_s,
            of_limit: profile.machine.as_ref().map(|machine| launch.share_of_limit(machine)),
        }
    };
    profile.launches.iter().map(launch).collect()
}

fn machine(limits: &MachineLimits) -> MachineData {
    let level = |level: &crate::bench::MemoryLevel| LevelData {
        name: level.name,
        read: level.read,
        copy: level.copy,
        triad: level.triad,
    };
    MachineData { threads: limits.threads, gflops: limits.gflops, levels: limits.levels.iter().map(level).collect() }
}
