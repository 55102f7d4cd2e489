//! What scripts that fetch data say where they can't.

use std::path::Path;
use std::process::Command;

/// Without a network, tools or the package: it names each, and what it couldn't have.
#[test]
fn the_script_says_what_is_missing() {
    if !cfg!(unix) || Path::new("/usr/share/datasets/fashion-mnist").exists() {
        eprintln!("SKIPPED: no shell, or the clothes are installed");
        return;
    }
    let (tools, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = std::env::var_os("PATH").unwrap_or_default();
    for tool in ["mkdir", "rm", "gzip", "sha256sum", "cut", "mv", "cp"] {
        if let Some(path) = std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|path| path.is_file()) {
            std::fs::write(tools.path().join(tool), format!("#!/bin/sh\nexec {} \"$@\"\n", path.display())).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(tools.path().join(tool), mode).unwrap();
        }
    }
    let mut script = Command::new("/bin/sh");
    script
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scripts/fetch_fashion_mnist.sh"))
        .arg(to.path())
        .env("PATH", tools.path());
    let output = script.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for what in ["curl is not installed", "apt-get is not installed", "train-images-idx3-ubyte.gz could not be had"] {
        assert!(said.contains(what), "{said} lacks {what}");
    }
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 0, "nothing is left behind");
}
