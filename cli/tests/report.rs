//! The page of `gradc report` in a browser: everything is drawn, and nothing is said on the console. Without Chromium the test says so and checks nothing.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod browser;

use browser::{browser, shown};
use std::process::Command;

fn gradc(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_gradc")).args(arguments).output().unwrap();
    assert!(output.status.success(), "gradc {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What the page holds as data.
fn data(page: &str) -> serde_json::Value {
    let data = page.split_once(r#"id="data">"#).unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(data).unwrap()
}

/// That errors are heard of is what the other test rests on.
#[test]
fn an_error_on_the_console_is_heard() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("broken.html");
    std::fs::write(&page, "<p>here</p><script>throw new Error('planted')</script>").unwrap();
    let shown = shown(browser, &format!("file://{}", page.display()));
    assert!(shown.dom.contains("here") && shown.console.iter().any(|line| line.contains("planted")));
}

#[test]
fn everything_is_drawn_without_an_error() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    // The first with the machine's limits, the second without.
    for (model, limits) in [("mlp_tiny", true), ("cnn", false)] {
        let page = dir.path().join(format!("{model}.html"));
        let mut arguments = vec!["report", model, "--steps", "2", "-o", page.to_str().unwrap()];
        arguments.extend((!limits).then_some("--no-limits"));
        gradc(&arguments);
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.len() < 5 << 20, "{model}: {} bytes", text.len());
        let (shown, data) = (shown(browser, &format!("file://{}", page.display())), data(&text));
        assert!(shown.console.is_empty(), "{model}: {:?}", shown.console);
        assert!(shown.dom.contains(r#"data-drawn="all""#), "{model}: not everything was drawn");
        let drawn = |what: &str| shown.dom.matches(what).count();
        let length = |of: &serde_json::Value| of.as_array().unwrap().len();
        assert_eq!(drawn(r#"<g class="node""#), length(&data["graph"]["nodes"]), "{model}");
        assert_eq!(drawn(r#"<g class="cluster""#), length(&data["layout"]["clusters"]), "{model}");
        for section in ["forward", "backward", "update"] {
            assert_eq!(drawn(&format!(r#"<g class="section {section}""#)), 1, "{model}: {section}");
        }
        let placed = data["program"]["buffers"].as_array().unwrap().iter().filter(|b| b["offset"].is_u64()).count();
        assert_eq!(drawn(r#"class="buffer""#), placed, "{model}");
        assert_eq!((drawn(r#"id="peak""#), drawn(r#"id="lower-bound""#)), (1, 1), "{model}");
        assert_eq!(drawn("<option "), length(&data["program"]["kernels"]), "{model}");
        assert_eq!(drawn(r#"aria-label="Roofline""#), usize::from(limits), "{model}");
        for pass in ["autodiff", "fuse", "plan_memory"] {
            assert!(drawn(&format!("<td>{pass}</td>")) >= 1, "{model}: {pass}");
        }
        assert!(shown.dom.contains(r#"id="loops""#) && shown.dom.contains("kernel "), "{model}");
    }
}

/// Each stage has the parts that there is something for: a graph its picture, loops their kernels, and their memory plan once there is one.
#[test]
fn every_stage_is_a_page() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (after, tabs) in [("none", 1), ("fuse", 1), ("fuse_loops", 1), ("plan_memory", 2)] {
        let page = dir.path().join(format!("{after}.html"));
        std::fs::write(&page, gradc(&["dump", "cnn", "--after", after, "--format", "html"])).unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        let (shown, data) = (shown(browser, &format!("file://{}", page.display())), data(&text));
        assert!(text.len() < 5 << 20 && shown.console.is_empty(), "{after}: {:?}", shown.console);
        assert!(shown.dom.contains(r#"data-drawn="all""#), "{after}: not everything was drawn");
        let drawn = |what: &str| shown.dom.matches(what).count();
        let nodes = data["graph"]["nodes"].as_array().map_or(0, Vec::len);
        let kernels = data["program"]["kernels"].as_array().map_or(0, Vec::len);
        assert_eq!((drawn(r#"<g class="node""#), drawn("<option ")), (nodes, kernels), "{after}");
        assert!((nodes > 0) != (kernels > 0), "{after}");
        let named = shown.dom.matches(" state conv2d/kernel</text>").count();
        assert_eq!(named, usize::from(nodes > 0), "{after}: names of states");
        let buttons = shown.dom.split(r#"<button role="tab""#).skip(1);
        let hidden = buttons.filter(|rest| rest.split_once('>').unwrap().0.contains("hidden")).count();
        assert_eq!((hidden, drawn(r#"aria-label="Memory plan""#)), (5 - tabs, tabs - 1), "{after}");
    }
}

#[test]
fn curves_of_runs_are_drawn() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (run, loss) in [("first", 0.5), ("second", 0.25)] {
        let lines = format!(
            "{{\"epoch\":1,\"loss\":{loss},\"val_loss\":1.0,\"lr\":0.1,\"seconds\":2.0,\"samples_per_second\":100.0}}\n\
             {{\"epoch\":2,\"loss\":0.125,\"val_loss\":null,\"lr\":0.1,\"seconds\":2.0,\"samples_per_second\":100.0}}\n"
        );
        std::fs::write(dir.path().join(format!("{run}.jsonl")), lines).unwrap();
    }
    gradc(&["watch", dir.path().to_str().unwrap(), "--once"]);
    let shown = shown(browser, &format!("file://{}", dir.path().join("watch.html").display()));
    assert!(shown.console.is_empty(), "{:?}", shown.console);
    let drawn = |what: &str| shown.dom.matches(what).count();
    assert!(shown.dom.contains(r#"data-drawn="all""#));
    // Of each run the loss, the loss of validation, which has one point, and the rate; a chart for both losses.
    assert_eq!((drawn(r#"class="chart""#), drawn(r#"class="curve""#), drawn(r#"class="curve validation""#)), (2, 4, 2));
    assert!(drawn("second") >= 1 && shown.dom.contains("2 runs") && shown.dom.contains("0.1250"), "{}", shown.dom);
}
