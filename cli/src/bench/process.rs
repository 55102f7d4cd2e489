//! What the operating system knows of this process. Linux only; elsewhere the answers are `None`.

use std::fs::read_to_string;

/// The most memory that the process has held so far, in MiB.
pub(super) fn peak_rss_mb() -> Option<f64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Seconds since the process started, to a hundredth.
pub(super) fn age_s() -> Option<f64> {
    // Linux counts in hundredths of a second whatever the kernel's own clock is.
    const TICKS: f64 = 100.0;
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything; the start is field 22.
    let (_, fields) = stat.rsplit_once(')')?;
    let started: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(uptime - started / TICKS)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_answers() {
        assert!(peak_rss_mb().is_some_and(|mb| mb > 1.0));
        assert!(age_s().is_some_and(|age| (-0.02..1e6).contains(&age)));
    }
}
