//! Results of several frameworks side by side: for each workload and number of threads gradc against the best of the others.

use super::BenchError;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;

/// Step times of one framework in one mode, in milliseconds.
type Times = BTreeMap<String, Vec<f64>>;

/// A workload at a number of threads.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// The number of threads.
    pub threads: u64,
    /// gradc's step, in milliseconds: the median of its lines.
    pub gradc_ms: f64,
    /// The fastest other one, as `peer/mode`; `None` if no other line is about this workload.
    pub best: Option<(String, f64)>,
}

/// Rows, by workload and threads.
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
    let mut cases: BTreeMap<(String, u64), Times> = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let json: Json = serde_json::from_str(line)
            .map_err(|e| BenchError::Results { line: at + 1, what: format!("no JSON: {e}") })?;
        if !json.is_object() {
            return Err(BenchError::Results { line: at + 1, what: "it must be a JSON object".into() });
        }
        if let Some((case, name, ms)) = measured(&json) {
            cases.entry(case).or_default().entry(name).or_default().push(ms);
        }
    }
    let rows: Vec<Row> = cases.into_iter().filter_map(|(case, times)| row(case, times)).collect();
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

fn row((workload, threads): (String, u64), mut times: Times) -> Option<Row> {
    let gradc_ms = median(times.remove(GRADC)?);
    let best = times.into_iter().map(|(name, ms)| (name, median(ms))).min_by(|a, b| a.1.total_cmp(&b.1));
    Some(Row { workload, threads, gradc_ms, best })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    if times.len().is_multiple_of(2) { (times[middle - 1] + times[middle]) / 2.0 } else { times[middle] }
}

impl Row {
    /// How many times faster than the best other one gradc is; below 1 where it is slower.
    pub fn ratio(&self) -> Option<f64> {
        self.best.as_ref().map(|(_, ms)| ms / self.gradc_ms)
    }
}

/// A Markdown table, and the geometric mean of the ratios.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| workload | threads | gradc, ms | best other | ms | ratio |")?;
        writeln!(f, "|---|---:|---:|---|---:|---:|")?;
        for row in &self.rows {
            write!(f, "| {} | {} | {:.5} |", row.workload, row.threads, row.gradc_ms)?;
            match (&row.best, row.ratio()) {
                (Some((name, ms)), Some(ratio)) => writeln!(f, " {name} | {ms:.5} | {ratio:.2} |")?,
                _ => writeln!(f, " - | - | - |")?,
            }
        }
        let logs: Vec<f64> = self.rows.iter().filter_map(Row::ratio).map(f64::ln).collect();
        if logs.is_empty() {
            return Ok(());
        }
        let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
        writeln!(f, "\nGeometric mean of the ratios: {mean:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"
{"peer": "gradc", "mode": "jit", "workload": "logreg", "threads": 1, "step_ms": 0.25}
{"peer": "gradc", "mode": "jit", "workload": "logreg", "threads": 1, "step_ms": 0.75}
{"peer": "gradc", "mode": "jit", "workload": "logreg", "threads": 1, "step_ms": 0.5}
{"peer": "torch", "mode": "eager", "workload": "logreg", "threads": 1, "step_ms": 2.0}
{"peer": "candle", "workload": "logreg", "threads": 1, "step_ms": {"median": 1.0, "n": 5}}
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
        assert_eq!(comparison.rows[0].gradc_ms, 0.5);
        assert_eq!(comparison.rows[0].best, Some(("candle".to_owned(), 1.0)));
        let text = comparison.to_string();
        assert!(text.contains("| logreg | 1 | 0.50000 | candle | 1.00000 | 2.00 |"), "{text}");
        assert!(text.ends_with("Geometric mean of the ratios: 1.00\n"), "{text}");
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
