//! A comparison as Markdown.

use super::{Comparison, Figures, Row};
use std::collections::BTreeSet;
use std::fmt;

/// Three digits that mean something.
fn short(value: Option<f64>, factor: f64) -> String {
    let Some(value) = value.map(|value| value * factor) else { return "-".into() };
    let whole = value.abs().log10().floor().max(-9.0) as i32;
    format!("{value:.*}", (2 - whole).max(0) as usize)
}

/// For each kind a table of ratios to the fastest other one, the geometric means of the ratios by number of threads, and tables with everybody's step and memory.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, rows) in self.rows.chunk_by(|a, b| a.kind == b.kind).enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            ratios(f, rows)?;
            means(f, rows)?;
            everybody(f, rows, "step, ms", |figures| Some(figures.ms))?;
            everybody(f, rows, "memory, MB", |figures| figures.peak_mb)?;
        }
        Ok(())
    }
}

fn ratios(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    writeln!(
        f,
        "| workload | threads | gradc, ms | best other | ms | ratio | compile, ms | memory, MB | the other's |"
    )?;
    writeln!(f, "|---|---:|---:|---|---:|---:|---:|---:|---:|")?;
    rows.iter().try_for_each(|row| line(f, row))
}

fn means(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    for rows in rows.chunk_by(|a, b| a.threads == b.threads) {
        let logs: Vec<f64> = rows.iter().filter_map(Row::ratio).map(f64::ln).collect();
        if !logs.is_empty() {
            let mean = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
            writeln!(f, "\nGeometric mean of the ratios, threads {}: {mean:.2}", rows[0].threads)?;
        }
    }
    Ok(())
}

/// One figure of all frameworks, a column each; nothing if gradc stands alone.
fn everybody(f: &mut fmt::Formatter<'_>, rows: &[Row], what: &str, figure: fn(&Figures) -> Option<f64>) -> fmt::Result {
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| row.others.keys().map(String::as_str)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let columns: Vec<&str> = names.into_iter().collect();
    writeln!(f, "\n| {what} | threads | gradc | {} |", columns.join(" | "))?;
    writeln!(f, "|---|---:|{}", "---:|".repeat(columns.len() + 1))?;
    for row in rows {
        let all = std::iter::once(Some(&row.gradc)).chain(columns.iter().map(|name| row.others.get(*name)));
        let cells: Vec<String> = all.map(|figures| short(figures.and_then(figure), 1.0)).collect();
        writeln!(f, "| {} | {} | {} |", row.workload, row.threads, cells.join(" | "))?;
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let Figures { ms, compile_s, peak_mb } = &row.gradc;
    write!(f, "| {} | {} | {} |", row.workload, row.threads, short(Some(*ms), 1.0))?;
    match (row.best(), row.ratio()) {
        (Some((name, best)), Some(ratio)) => write!(f, " {name} | {} | {ratio:.2} |", short(Some(best.ms), 1.0))?,
        _ => write!(f, " - | - | - |")?,
    }
    let other_mb = row.best().and_then(|(_, figures)| figures.peak_mb);
    writeln!(f, " {} | {} | {} |", short(*compile_s, 1e3), short(*peak_mb, 1.0), short(other_mb, 1.0))
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.001_234, 12.3456, 345.6].map(|value| short(Some(value), 1.0));
        assert_eq!(texts, ["0.00123", "12.3", "346"]);
    }
}
