//! Headless Chromium, for tests of pages.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.
#![allow(clippy::print_stdout)] // What a test says when it is skipped.

use std::process::{Command, Output};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser that is installed, if there is one.
pub(crate) fn browser() -> Option<&'static str> {
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let found = BROWSERS.iter().find(runs).copied();
    if found.is_none() {
        println!("SKIPPED: none of {} is installed, so that nobody looks at the page", BROWSERS.join(", "));
    }
    found
}

/// What a page is after its scripts have run, and what it said on the console.
pub(crate) struct Shown {
    pub(crate) dom: String,
    pub(crate) console: Vec<String>,
}

/// Opens an address.
pub(crate) fn shown(browser: &str, address: &str) -> Shown {
    let profile = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(address)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{stderr}");
    let console = stderr.lines().filter(|line| line.contains("CONSOLE")).map(String::from).collect();
    Shown { dom: String::from_utf8(stdout).unwrap(), console }
}
