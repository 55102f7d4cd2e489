//! `gradc bench`: how long training steps, predictions and kernels take, and what the machine can do, as tables or as JSON lines.

use super::print;
use crate::bench::{
    ArenaLimit, BenchError, INFERENCE, KERNELS, MachineLimits, OPS, Settings, WORKLOADS, Workload, WorkloadKind,
    add_limit, compare, explain, measure,
};
use clap::Args;
use serde_json::Value as Json;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What to time, and how long.
#[derive(Args)]
#[command(
    after_help = "Example:\n  How long a step of two workloads takes, on one thread:\n      gradc bench --workload mlp_small,lstm_text --threads 1"
)]
pub(super) struct Bench {
    /// Names of workloads with commas between; or `all` training steps, `inference`, `kernels`, `ops` (many single operations). Several are measured each in a process of
    /// its own. An unknown name prints those that there are
    #[arg(long, value_name = "NAMES")]
    workload: Option<String>,
    /// Time kernels (or what `--workload` names) beside the machine's limits, measured first: the share is the least time that arithmetic or
    /// traffic needs, by the time of the fastest step
    #[arg(long)]
    kernels: bool,
    /// Measure the machine alone: multiply-adds, the bandwidth of each part of the memory, what handing a loop to the threads costs
    #[arg(long, conflicts_with_all = ["workload", "kernels", "explain", "compare"])]
    peak: bool,
    /// Print the names of what would be timed, a line each
    #[arg(long, conflicts_with_all = ["peak", "compare"])]
    list: bool,
    /// Threads that run a step; pin the process to as many cores with `taskset`
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// How large the arena of a step may be: bytes (`64M`) or a part of what it takes otherwise (`60%`). Activations are computed again as far as that needs it
    #[arg(long, value_name = "BYTES|%", conflicts_with_all = ["peak", "compare"])]
    memory_limit: Option<ArenaLimit>,
    /// How long to take samples
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
    /// Print one JSON line for each workload
    #[arg(long)]
    json: bool,
    /// Print the time of each pass, of compiling each kernel and of each kernel's launch instead, the latter beside the machine's limits
    #[arg(long, conflicts_with = "json")]
    explain: bool,
    /// Time nothing: read JSON lines of several frameworks, gradc's among them, and print gradc's ratio to the best other one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "explain"])]
    compare: Option<PathBuf>,
}

impl Bench {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        if let Some(path) = &self.compare {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
            return print(&compare(&text).map_err(|e| format!("{}: {e}", path.display()))?.to_string());
        }
        let settings = Settings { threads: self.threads, seconds: self.seconds, memory_limit: self.memory_limit };
        if self.peak {
            let machine = MachineLimits::measure(settings.threads)?;
            let lines = || machine.to_json().iter().map(|json| format!("{json}\n")).collect();
            return print(&if self.json { lines() } else { machine.to_string() });
        }
        let default = if self.kernels { "kernels" } else { "all" };
        let workloads = selected(self.workload.as_deref().unwrap_or(default))?;
        if self.list {
            return print(&workloads.iter().map(|w| format!("{}\n", w.name)).collect::<String>());
        }
        if self.explain {
            let machine = MachineLimits::measure(settings.threads)?;
            return workloads.iter().try_for_each(|w| print(&format!("{}\n", explain(w, &settings, &machine)?)));
        }
        let machine = if self.kernels { Some(MachineLimits::measure(settings.threads)?) } else { None };
        if let (Some(machine), false) = (&machine, self.json) {
            print(&format!("{machine}\n"))?;
        }
        // One process for each workload, once the machine has been measured or there are several: memory and start-up are then its own.
        let apart = workloads.len() > 1 || machine.is_some();
        let mut table = ResultTable::default();
        let mut failed = Vec::new();
        for workload in workloads {
            let measured =
                if apart { self.in_own_process(workload) } else { Ok(measure(workload, &settings)?.to_json()) };
            let mut json = match measured {
                Ok(json) => json,
                Err(e) => {
                    failed.push(format!("{}: {e}", workload.name));
                    continue;
                }
            };
            if let Some(machine) = &machine {
                add_limit(&mut json, workload, machine);
            }
            print(&if self.json { format!("{json}\n") } else { table.row(workload.kind(), &json) })?;
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
    }

    /// Measures in a fresh process: start-up and peak memory are then the workload's own.
    fn in_own_process(&self, workload: &Workload) -> Result<Json, Box<dyn Error>> {
        let (threads, seconds) = (self.threads.to_string(), self.seconds.to_string());
        let output = Command::new(std::env::current_exe()?)
            .args(["bench", "--workload", workload.name, "--threads", &threads, "--seconds", &seconds, "--json"])
            .args(self.memory_limit.iter().flat_map(|limit| ["--memory-limit".into(), limit.to_string()]))
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("its process ended with {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The workloads of a list of names, each a workload or a group.
fn selected(names: &str) -> Result<Vec<&'static Workload>, BenchError> {
    let mut found = Vec::new();
    for name in names.split(',').map(str::trim) {
        match name {
            "all" => found.extend(WORKLOADS),
            "inference" => found.extend(INFERENCE),
            "kernels" => found.extend(KERNELS),
            "ops" => found.extend(OPS),
            name => found.push(Workload::named(name)?),
        }
    }
    Ok(found)
}

/// A column of a table.
struct TableColumn {
    title: &'static str,
    width: usize,
    /// The field of the JSON line.
    field: &'static str,
    /// What the field is multiplied with.
    factor: f64,
    decimals: usize,
}

const fn column(title: &'static str, width: usize, field: &'static str, factor: f64, decimals: usize) -> TableColumn {
    TableColumn { title, width, field, factor, decimals }
}

const MODELS: &[TableColumn] = &[
    column("step ms", 10, "step_ms", 1.0, 4),
    column("min", 10, "min_ms", 1.0, 4),
    column("p10", 10, "p10_ms", 1.0, 4),
    column("p90", 10, "p90_ms", 1.0, 4),
    column("steps", 8, "n", 1.0, 0),
    column("compile ms", 11, "compile_s", 1e3, 1),
    column("items/s", 10, "items_per_s", 1.0, 0),
    column("GFLOP/s", 8, "gflops", 1.0, 1),
    column("arena MiB", 10, "arena_mb", 1.0, 2),
    column("peak MiB", 9, "peak_rss_mb", 1.0, 1),
    column("loss 1", 8, "loss_1", 1.0, 4),
    column("loss 20", 8, "loss_n", 1.0, 4),
];

const SINGLE: &[TableColumn] = &[
    column("ms", 10, "step_ms", 1.0, 4),
    column("min", 10, "min_ms", 1.0, 4),
    column("p90", 10, "p90_ms", 1.0, 4),
    column("steps", 8, "n", 1.0, 0),
    column("compile ms", 11, "compile_s", 1e3, 1),
    column("GFLOP/s", 8, "gflops", 1.0, 1),
    column("GB/s", 8, "gbytes_s", 1.0, 1),
    column("share %", 8, "share", 100.0, 1),
    column("arena MiB", 10, "arena_mb", 1.0, 2),
    column("peak MiB", 9, "peak_rss_mb", 1.0, 1),
    column("check", 10, "check", 1.0, 6),
];

fn columns(kind: WorkloadKind) -> &'static [TableColumn] {
    if kind == WorkloadKind::Training { MODELS } else { SINGLE }
}

/// The width of the column with the names.
const NAMES: usize = 22;

/// Lines printed one by one, with titles above the first and wherever the columns change.
#[derive(Default)]
struct ResultTable {
    columns: Option<&'static str>,
}

impl ResultTable {
    fn row(&mut self, kind: WorkloadKind, json: &Json) -> String {
        let columns = columns(kind);
        let same = self.columns.replace(columns[0].title) == Some(columns[0].title);
        let title = if same { String::new() } else { header(columns) };
        format!("{title}{} {}\n", row(columns, json), json["limit"].as_str().unwrap_or_default())
    }
}

fn header(columns: &[TableColumn]) -> String {
    let titles: String = columns.iter().map(|c| format!(" {:>width$}", c.title, width = c.width)).collect();
    format!("{:<NAMES$}{titles}\n", "workload")
}

fn row(columns: &[TableColumn], json: &Json) -> String {
    let cell = |&TableColumn { width, field, factor, decimals, .. }: &TableColumn| match json[field].as_f64() {
        Some(x) => format!(" {:>width$.decimals$}", x * factor),
        None => format!(" {:>width$}", "-"),
    };
    let cells: String = columns.iter().map(cell).collect();
    format!("{:<NAMES$}{cells}", json["workload"].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::MemoryLevel;
    use serde_json::json;

    #[test]
    fn columns_stand_under_their_titles() {
        let row = row(MODELS, &json!({"workload": "mlp_tiny", "step_ms": 0.0125, "compile_s": 0.25, "n": 100}));
        assert_eq!(row.len() + 1, header(MODELS).len());
        assert_eq!(row.split_whitespace().take(2).collect::<Vec<_>>(), ["mlp_tiny", "0.0125"]);
        assert!(row.contains(" 250.0 "));
    }

    #[test]
    fn the_tables_read_fields_that_the_lines_have() {
        let settings = Settings { threads: 1, seconds: 0.0, memory_limit: None };
        let line = |name: &str| measure(Workload::named(name).unwrap(), &settings).unwrap().to_json();
        let json = line("mlp_tiny");
        assert!(MODELS.iter().all(|c| !json[c.field].is_null()), "{json}");
        let loss = json["loss_1"].as_f64().unwrap();
        assert!((loss - 0.46017).abs() < 1e-5, "{loss}");
        assert!(json["loss_n"].as_f64().unwrap() < loss);
        let machine = machine();
        let with_limit = |name: &str| {
            let mut json = line(name);
            add_limit(&mut json, Workload::named(name).unwrap(), &machine);
            json
        };
        let (product, map) = (with_limit("k_sgemm_64"), with_limit("k_tanh_64k"));
        assert_eq!((product["limit"].as_str(), map["limit"].as_str()), (Some("FMA"), Some("memory")));
        assert_eq!(map["limit_ms"].as_f64(), Some(0.52429), "8 bytes of 65536 elements at 1 GB/s");
        assert!(SINGLE.iter().all(|c| !product[c.field].is_null() || !map[c.field].is_null()), "{product} {map}");
    }

    fn machine() -> MachineLimits {
        let memory =
            MemoryLevel { name: "memory", capacity: f64::INFINITY, measured: 1, read: 1.0, copy: 1.0, triad: 1.0 };
        MachineLimits { threads: 1, gflops: 1.0, levels: vec![memory], fork_join: None }
    }

    #[test]
    fn names_and_groups_select_workloads() {
        let names = |text: &str| selected(text).unwrap().iter().map(|w| w.name).collect::<Vec<_>>();
        assert_eq!(names("k_tanh_64k, mlp_tiny"), ["k_tanh_64k", "mlp_tiny"]);
        assert_eq!(names("all").len(), WORKLOADS.len());
        assert_eq!(names("inference,kernels").len(), INFERENCE.len() + KERNELS.len());
        assert!(selected("mlp").unwrap_err().to_string().contains("mlp_tiny, "));
    }
}
