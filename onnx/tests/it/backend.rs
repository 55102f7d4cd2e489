//! All cases of the standard, and the page that says which pass.

use crate::cases::{CaseEngine, CaseOutcome, folder, is_common, run};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The kinds of cases, and how many of each must pass at least.
const KINDS: [(&str, usize); 4] = [("node", 1200), ("pytorch-converted", 75), ("pytorch-operator", 32), ("simple", 15)];
/// How many of the node cases must pass that have common element types and the default domain alone.
const COMMON: usize = 1050;

/// What became of the cases of a kind.
#[derive(Default)]
struct Tally {
    all: usize,
    passed: usize,
    /// Cases whose import was given inputs as values.
    given: usize,
    common: usize,
    common_passed: usize,
    /// Cases by the reason that they failed of.
    failed: BTreeMap<String, Vec<String>>,
}

/// Runs each case of a kind.
fn tally(folder: &Path, engine: CaseEngine) -> Tally {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).expect("the cases are there").flatten().map(|e| e.path()).collect();
    names.sort();
    let mut tally = Tally::default();
    for path in names {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let common = usize::from(is_common(&path));
        tally.all += 1;
        tally.common += common;
        match run(&path, engine) {
            CaseOutcome::Passed(given) => {
                tally.passed += 1;
                tally.common_passed += common;
                tally.given += usize::from(!given.is_empty());
            }
            CaseOutcome::Failed(_) if name.contains("bernoulli") || name.contains("training_dropout") => {
                let reason = "random numbers are others than those of the case's generator";
                tally.failed.entry(reason.into()).or_default().push(name);
            }
            CaseOutcome::Failed(reason) => {
                assert!(!reason.starts_with("PANIC"), "{}: {reason}", path.display());
                tally.failed.entry(reason).or_default().push(name);
            }
        }
    }
    tally
}

/// The page's first part: which operators there are.
fn operators_page() -> String {
    let mut page = String::from(
        "# ONNX\n\n\
         Which operators the import (`gradc_onnx::Import`, `gradc import`) provides, and which of the standard's own cases pass. A test writes this page \
         (`INSTA_UPDATE=always cargo test -p gradc-onnx`) and fails where it isn't true.\n\n\
         ## Operators\n\n\
         Of the default domain, versions 6 to 27. After each name: the versions in which its meaning changed.\n\n",
    );
    for (family, operators) in gradc_onnx::operators() {
        let names: Vec<String> = operators
            .iter()
            .map(|op| {
                let versions: Vec<String> = op.versions.iter().map(ToString::to_string).collect();
                format!("{} ({})", op.name, versions.join(", "))
            })
            .collect();
        let _ = write!(page, "**{family}**: {}.\n\n", names.join(", "));
    }
    page
}

/// The page's second part: what became of the cases.
fn cases_page(tallies: &[(&str, Tally)]) -> String {
    let mut page = String::from(
        "## Cases\n\n\
         From the package `onnx` 1.22.0, fetched by `scripts/fetch_onnx_tests.sh`; outputs are compared with a relative bound of 1e-3 and an absolute one of 1e-7, integers and truth values exactly.\n\n\
         | Cases | all | pass | of them with inputs given as values, since they decide about shapes |\n|---|---|---|---|\n",
    );
    for (kind, tally) in tallies {
        let _ = writeln!(page, "| {kind} | {} | {} | {} |", tally.all, tally.passed, tally.given);
    }
    if let Some((_, node)) = tallies.first() {
        let _ = writeln!(
            page,
            "\nOf the node cases, {} have operators of the default domain alone and only f32, f64, bool, and integers of 8 to 64 bits; {} of those pass.",
            node.common, node.common_passed
        );
    }
    for (kind, tally) in tallies {
        let _ = writeln!(page, "\n### {kind}: what doesn't pass\n");
        let mut reasons: Vec<_> = tally.failed.iter().collect();
        reasons.sort_by_key(|(reason, names)| (std::cmp::Reverse(names.len()), reason.as_str()));
        for (reason, names) in reasons {
            let names: Vec<&str> = names.iter().map(|name| name.trim_start_matches("test_")).collect();
            let _ = writeln!(page, "- {reason} ({}): {}", names.len(), names.join(", "));
        }
    }
    page
}

/// The page as it is.
fn page_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/onnx.md")
}

#[test]
fn the_page_lists_the_operators() {
    let page = std::fs::read_to_string(page_path()).unwrap();
    assert!(page.starts_with(&operators_page()), "docs/onnx.md isn't true: INSTA_UPDATE=always writes it anew");
}

#[test]
fn standard_cases_pass_as_the_page_says() {
    let Some(folder) = folder() else {
        eprintln!(
            "SKIPPED: the standard's cases aren't in data/onnx: `scripts/fetch_onnx_tests.sh data/onnx` fetches them"
        );
        return;
    };
    // As machine code it takes minutes.
    let engine =
        if std::env::var_os("GRADC_ONNX_NATIVE").is_some() { CaseEngine::Native } else { CaseEngine::Interpreter };
    let tallies = KINDS.map(|(kind, _)| (kind, tally(&folder.join(kind), engine)));
    for ((kind, tally), (_, least)) in tallies.iter().zip(KINDS) {
        println!("{kind}: {} of {} pass", tally.passed, tally.all);
        assert!(tally.passed >= least, "{kind}: {} pass, at least {least} must", tally.passed);
    }
    assert!(tallies[0].1.common_passed >= COMMON, "{} common ones pass", tallies[0].1.common_passed);
    let page = operators_page() + &cases_page(&tallies);
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(page_path(), &page).unwrap();
    }
    let written = std::fs::read_to_string(page_path()).unwrap();
    if let Some((line, (old, new))) = written.lines().zip(page.lines()).enumerate().find(|(_, (old, new))| old != new) {
        panic!(
            "docs/onnx.md isn't true, INSTA_UPDATE=always writes it anew; line {}:\n{old}\nmust be\n{new}",
            line + 1
        );
    }
    assert_eq!(written.lines().count(), page.lines().count());
}
