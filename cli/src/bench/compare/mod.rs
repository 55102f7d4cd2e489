//! Results of several frameworks side by side: for each workload and number of threads gradc against the fastest of the others, and all of them.

use super::BenchError;
use serde_json::Value as Json;
use std::collections::BTreeMap;

mod table;

/// What the lines of one framework in one mode say about one case.
#[derive(Clone, PartialEq, Default, Debug)]
struct CaseLines {
    /// Step times in milliseconds.
    ms: Vec<f64>,
    /// Times of compiling, in seconds.
    compile_s: Vec<f64>,
    /// Peaks of the process's memory, in MiB.
    peak_mb: Vec<f64>,
    /// `train`, `infer` or `kernel`, where a line says so.
    kind: Option<String>,
}

/// The figures of one framework: medians of its lines.
#[derive(Clone, PartialEq, Debug)]
pub struct Figures {
    /// The step, in milliseconds.
    pub ms: f64,
    /// Compiling, in seconds.
    pub compile_s: Option<f64>,
    /// The peak of the process's memory, in MiB.
    pub peak_mb: Option<f64>,
}

impl CaseLines {
    fn figures(self) -> Figures {
        Figures {
            ms: median(self.ms).unwrap_or(f64::NAN),
            compile_s: median(self.compile_s),
            peak_mb: median(self.peak_mb),
        }
    }
}

/// A workload at a number of threads.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// `train`, `infer` or `kernel`, as gradc's line says.
    pub kind: String,
    /// The workload.
    pub workload: String,
    /// The number of threads.
    pub threads: u64,
    /// gradc's figures.
    pub gradc: Figures,
    /// The others' figures, by `peer/mode`.
    pub others: BTreeMap<String, Figures>,
}

/// Rows, by kind, threads and workload.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// The rows.
    pub rows: Vec<Row>,
}

/// Reads a results file: one JSON object a line, with `peer`, `mode`, `workload`, `threads` and `step_ms` (a number, or an object with
/// a `median`). Lines without a time (failures, machine figures) are passed over; several lines for the same case are taken together
/// by their median.
///
/// # Errors
/// A line that is no JSON object, by its number; a file without a line of gradc's.
pub fn compare(text: &str) -> Result<Comparison, BenchError> {
    let mut cases: BTreeMap<(String, u64), BTreeMap<String, CaseLines>> = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let json: Json = serde_json::from_str(line)
            .map_err(|e| BenchError::Results { line: at + 1, what: format!("no JSON: {e}") })?;
        if !json.is_object() {
            return Err(BenchError::Results { line: at + 1, what: "it must be a JSON object".into() });
        }
        if let Some((case, name, ms)) = measured(&json) {
            let lines = cases.entry(case).or_default().entry(name).or_default();
            lines.ms.push(ms);
            lines.compile_s.extend(json["compile_s"].as_f64());
            lines.peak_mb.extend(json["peak_rss_mb"].as_f64());
            lines.kind = json["kind"].as_str().map(str::to_owned).or(lines.kind.take());
        }
    }
    let mut rows: Vec<Row> = cases.into_iter().filter_map(|(case, lines)| row(case, lines)).collect();
    // Training first, then kernels, then predictions.
    rows.sort_by_key(|row| (std::cmp::Reverse(row.kind.clone()), row.threads));
    if rows.is_empty() {
        return Err(BenchError::Setting(
            "no line of the results is gradc's: append those of `gradc bench --json`".into(),
        ));
    }
    Ok(Comparison { rows })
}

/// The case a line is about, whose it is, and its step time, if it has one.
fn measured(json: &Json) -> Option<((String, u64), String, f64)> {
    let time = &json["step_ms"];
    let ms = time.as_f64().or_else(|| time["median"].as_f64()).filter(|ms| ms.is_finite() && *ms > 0.0)?;
    let (peer, workload) = (json["peer"].as_str()?, json["workload"].as_str()?);
    let name = match json["mode"].as_str() {
        Some(mode) if peer != GRADC => format!("{peer}/{mode}"),
        _ => peer.to_owned(),
    };
    Some(((canonical(workload), json["threads"].as_u64()?), name, ms))
}

/// The name of a workload, whatever the benchmark that it comes from calls it: some write `k_` before kernels, and some names differ.
fn canonical(workload: &str) -> String {
    let name = workload.strip_prefix("k_").unwrap_or(workload);
    match name {
        "conv2d_same" => "conv3x3_fwd".into(),
        _ => name.replace("infer_cnn_mnist_", "infer_cnn_"),
    }
}

const GRADC: &str = "gradc";

fn row((workload, threads): (String, u64), mut lines: BTreeMap<String, CaseLines>) -> Option<Row> {
    let mut own = lines.remove(GRADC)?;
    let kind = own.kind.take().unwrap_or_default();
    let others = lines.into_iter().map(|(name, lines)| (name, lines.figures())).collect();
    Some(Row { kind, workload, threads, gradc: own.figures(), others })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |i: usize| values.get(i).copied();
    if values.len().is_multiple_of(2) { Some((at(middle.checked_sub(1)?)? + at(middle)?) / 2.0) } else { at(middle) }
}

impl Row {
    /// The fastest other one, as `peer/mode`, with its figures; `None` if no other line is about this workload.
    pub fn best(&self) -> Option<(&str, &Figures)> {
        let fastest = self.others.iter().min_by(|a, b| a.1.ms.total_cmp(&b.1.ms));
        fastest.map(|(name, figures)| (name.as_str(), figures))
    }

    /// How many times faster than the best other one gradc is; below 1 where it is slower.
    pub fn ratio(&self) -> Option<f64> {
        self.best().map(|(_, best)| best.ms / self.gradc.ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"
{"peer": "gradc", "mode": "jit", "workload": "logreg", "threads": 1, "step_ms": 0.25}
{"peer": "gradc", "mode": "jit", "workload": "logreg", "threads": 1, "step_ms": 0.75, "compile_s": 0.02, "peak_rss_mb": 12}
{"peer": "gradc", "mode": "jit", "workload": "logreg", "threads": 1, "step_ms": 0.5}
{"peer": "torch", "mode": "eager", "workload": "logreg", "threads": 1, "step_ms": 2.0}
{"peer": "candle", "workload": "logreg", "threads": 1, "step_ms": {"median": 1.0, "n": 5}, "peak_rss_mb": 60}
{"peer": "torch", "mode": "compile", "workload": "logreg", "threads": 1, "error": "timeout"}
{"peer": "machine", "workload": "clock", "threads": 1, "ghz": 3.7}
{"peer": "gradc", "mode": "jit", "workload": "mlp_tiny", "threads": 2, "step_ms": 4.0}
{"peer": "jax", "mode": "compile", "workload": "mlp_tiny", "threads": 2, "step_ms": 2.0}
{"peer": "gradc", "mode": "jit", "workload": "mlp_tiny", "threads": 1, "step_ms": 4.0}
"#;

    #[test]
    fn the_best_other_one_is_taken() {
        let comparison = compare(RESULTS).unwrap();
        let found: Vec<_> = comparison.rows.iter().map(|r| (r.workload.as_str(), r.threads, r.ratio())).collect();
        assert_eq!(found, [("logreg", 1, Some(2.0)), ("mlp_tiny", 1, None), ("mlp_tiny", 2, Some(0.5))]);
        assert_eq!(comparison.rows[0].gradc.ms, 0.5);
        assert_eq!(comparison.rows[0].best().map(|(name, best)| (name, best.ms)), Some(("candle", 1.0)));
        let text = comparison.to_string();
        assert!(text.contains("| logreg | 1 | 0.500 | candle | 1.00 | 2.00 | 20.0 | 12.0 | 60.0 |\n"), "{text}");
        assert!(text.contains("| mlp_tiny | 1 | 4.00 | - | - | - | - | - | - |\n"), "{text}");
        assert!(text.contains("threads 1: 2.00\n") && text.contains("threads 2: 0.50\n"), "{text}");
        // All of them: one column each, with a dash where nothing was measured.
        assert!(text.contains("| step, ms | threads | gradc | candle | jax/compile | torch/eager |\n"), "{text}");
        assert!(text.contains("| logreg | 1 | 0.500 | 1.00 | - | 2.00 |\n"), "{text}");
        assert!(text.contains("| mlp_tiny | 2 | 4.00 | - | 2.00 | - |\n"), "{text}");
        assert!(text.contains("| memory, MB | threads | gradc | candle | jax/compile | torch/eager |\n"), "{text}");
        assert!(text.ends_with("| mlp_tiny | 2 | - | - | - | - |\n"), "{text}");
    }

    #[test]
    fn one_workload_under_two_names_is_one_row() {
        let lines = r#"
{"peer": "gradc", "mode": "jit", "workload": "k_sgemm_64", "threads": 1, "step_ms": 2.0}
{"peer": "torch", "mode": "eager", "workload": "k_sgemm_64", "threads": 1, "step_ms": 8.0}
{"peer": "gemm", "workload": "sgemm_64", "threads": 1, "step_ms": 4.0}
{"peer": "gradc", "mode": "jit", "workload": "k_conv3x3_fwd", "threads": 1, "step_ms": 1.0}
{"peer": "candle", "workload": "conv2d_same", "threads": 1, "step_ms": 3.0}
"#;
        let comparison = compare(lines).unwrap();
        let found: Vec<_> = comparison.rows.iter().map(|r| (r.workload.as_str(), r.ratio())).collect();
        assert_eq!(found, [("conv3x3_fwd", Some(3.0)), ("sgemm_64", Some(2.0))]);
    }

    #[test]
    fn what_is_no_result_is_named_by_its_line() {
        let error = |text: &str| compare(text).unwrap_err().to_string();
        assert!(
            error("{\"peer\": \"gradc\"}\n{\"peer\":").starts_with("line 2 of the results: no JSON"),
            "{}",
            error("\n{")
        );
        assert_eq!(error("[1]"), "line 1 of the results: it must be a JSON object");
        assert!(error("").contains("append those of `gradc bench --json`"));
    }
}
