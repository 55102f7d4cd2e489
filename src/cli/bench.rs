//! `gradc bench`: how long training steps take, as a table or as a JSON line for each.

use super::print;
use crate::bench::{Settings, WORKLOADS, Workload, compare, explain, measure};
use clap::Args;
use serde_json::Value as Json;
use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What to time, and how long.
#[derive(Args)]
pub(super) struct Bench {
    /// mlp_tiny, mlp_small, mlp_large, logreg, cnn_mnist_b32 or cnn_mnist_b128; or `all`, each in a process of its own
    #[arg(long, value_name = "NAME", default_value = "all")]
    workload: String,
    /// Threads that run a step; pin the process to as many cores with `taskset`
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// How long to take samples
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
    /// Print one JSON line for each workload
    #[arg(long)]
    json: bool,
    /// Print the time of each pass, of compiling each kernel and of each kernel's launch instead
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
        let settings = Settings { threads: self.threads, seconds: self.seconds };
        let all = self.workload == "all";
        let workloads = if all { WORKLOADS } else { std::slice::from_ref(Workload::named(&self.workload)?) };
        if self.explain {
            return workloads.iter().try_for_each(|w| print(&format!("{}\n", explain(w, &settings)?)));
        }
        let mut failed = Vec::new();
        let mut title = header();
        for workload in workloads {
            let measured =
                if all { self.in_own_process(workload) } else { Ok(measure(workload, &settings)?.to_json()) };
            match measured {
                Ok(json) if self.json => print(&format!("{json}\n"))?,
                Ok(json) => print(&(std::mem::take(&mut title) + &row(&json)))?,
                Err(e) => failed.push(format!("{}: {e}", workload.name)),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
    }

    /// Measures in a fresh process: start-up and peak memory are then the workload's own.
    fn in_own_process(&self, workload: &Workload) -> Result<Json, Box<dyn Error>> {
        let (threads, seconds) = (self.threads.to_string(), self.seconds.to_string());
        let output = Command::new(std::env::current_exe()?)
            .args(["bench", "--workload", workload.name, "--threads", &threads, "--seconds", &seconds, "--json"])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("its process ended with {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The columns of the table: title, width, field of the JSON line, what it is multiplied with, decimals.
const COLUMNS: [(&str, usize, &str, f64, usize); 11] = [
    ("step ms", 10, "step_ms", 1.0, 4),
    ("p10", 10, "p10_ms", 1.0, 4),
    ("p90", 10, "p90_ms", 1.0, 4),
    ("steps", 8, "n", 1.0, 0),
    ("compile ms", 11, "compile_s", 1e3, 1),
    ("items/s", 10, "items_per_s", 1.0, 0),
    ("GFLOP/s", 8, "gflops", 1.0, 1),
    ("arena MiB", 10, "arena_mb", 1.0, 2),
    ("peak MiB", 9, "peak_rss_mb", 1.0, 1),
    ("loss 1", 8, "loss_1", 1.0, 4),
    ("loss 20", 8, "loss_n", 1.0, 4),
];

fn header() -> String {
    let titles: String = COLUMNS.iter().map(|(title, width, ..)| format!(" {title:>width$}")).collect();
    format!("{:<15}{titles}\n", "workload")
}

fn row(json: &Json) -> String {
    let cell = |&(_, width, field, factor, decimals): &(&str, usize, &str, f64, usize)| match json[field].as_f64() {
        Some(x) => format!(" {:>width$.decimals$}", x * factor),
        None => format!(" {:>width$}", "-"),
    };
    let cells: String = COLUMNS.iter().map(cell).collect();
    format!("{:<15}{cells}\n", json["workload"].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_under_their_titles() {
        let row = row(&json!({"workload": "mlp_tiny", "step_ms": 0.0125, "compile_s": 0.25, "n": 100}));
        assert_eq!(row.len(), header().len());
        assert_eq!(row.split_whitespace().take(2).collect::<Vec<_>>(), ["mlp_tiny", "0.0125"]);
        assert!(row.contains(" 250.0 "));
    }

    #[test]
    fn the_table_reads_fields_that_the_line_has() {
        let settings = Settings { threads: 1, seconds: 0.0 };
        let json = measure(Workload::named("mlp_tiny").unwrap(), &settings).unwrap().to_json();
        assert!(COLUMNS.iter().all(|(_, _, field, ..)| !json[field].is_null()), "{json}");
        let loss = json["loss_1"].as_f64().unwrap();
        assert!((loss - 0.46017).abs() < 1e-5, "{loss}");
        assert!(json["loss_n"].as_f64().unwrap() < loss);
    }
}
