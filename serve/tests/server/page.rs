//! The page at `/` in a browser: models, a prediction, latencies, and nothing said on the console. Without Chromium the test says so and checks nothing.

#[path = "../../../cli/tests/browser/mod.rs"]
mod browser;

use crate::support::{TestServer, small};
use browser::{browser, shown};
use gradc_serve::server::ServerOptions;

#[test]
fn the_page_shows_models_and_an_answer() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    small(&path, 1);
    let broken = dir.path().join("broken.safetensors");
    std::fs::write(&broken, "no tensors").unwrap();
    let models = [("m", &*path), ("broken", &broken)];
    let server = TestServer::start(&models, ServerOptions::default());
    let shown = shown(browser, &format!("http://{}/#try", server.address));
    let has = |text: &str| assert!(shown.dom.contains(text), "no {text:?} in {}", shown.dom);
    assert_eq!(shown.console, [""; 0]);
    has(r#"data-drawn="all""#);
    has("x: FP32[n, 2]");
    has("output: FP32[n, 3]");
    has(">READY<");
    has(">UNAVAILABLE");
    // The form was sent once, filled with zeros.
    has("output: FP32[1, 3]");
    has("answered in");
    has("m (1): 1 answers");
    assert!(shown.dom.matches("<rect ").count() >= 1);
}
