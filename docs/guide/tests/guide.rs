//! The guide is true: programs and commands of the chapters print what stands below them, pictures are what is drawn today, links lead somewhere.
//!
//! `INSTA_UPDATE=always` writes outputs and pictures anew. Each chapter runs in a folder of its own, from its first block to its last. Code is held to vectors of 128 bits, so that
//! every x86-64 gives the same numbers; on other processors the last digits differ, and chapters are skipped.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

#[path = "../src/chapter.rs"]
mod chapter;
#[path = "guide/links.rs"]
mod links;

use chapter::{ChapterStep, CodeBlock, blocks, claims, steps};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package's binary, which is all commands of the chapters.
const GUIDE: &str = env!("CARGO_BIN_EXE_gradc-guide");

/// The folder of the chapters.
fn chapters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chapters")
}

/// Whether outputs and pictures are to be written instead of compared.
fn updates() -> bool {
    std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always")
}

/// Whether numbers are those of this machine.
fn is_measured_here() -> bool {
    let here = cfg!(all(target_arch = "x86_64", unix));
    if !here {
        eprintln!("SKIPPED: the numbers in the guide are those of x86-64, and its commands are a shell's");
    }
    here
}

/// A command in the folder of a chapter, with the data of the repository.
fn command(program: &str, folder: &Path) -> Command {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/mnist-subset");
    let path = std::env::join_paths(
        std::iter::once(folder.join(".bin"))
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut command = Command::new(program);
    command.current_dir(folder).env("PATH", path.unwrap()).env("GRADC_DATA", data);
    command.env("GRADC_TARGET", "baseline").env("GRADC_CACHE", "off").env_remove("GRADC_DUMP").env("COLUMNS", "100");
    command
}

/// What it prints; or why it failed.
fn printed(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match output.status.success() {
        true => Ok(text),
        false => Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// A folder with the command `gradc`, and with room for pictures.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".bin")).unwrap();
    std::fs::create_dir_all(folder.path().join("pictures")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(GUIDE, folder.path().join(".bin/gradc")).unwrap();
    folder
}

/// Runs a chapter: `Err` says which block prints something else than is shown.
fn check(name: &str) -> Result<(), String> {
    let path = chapters().join(format!("{name}.md"));
    let text = std::fs::read_to_string(&path).unwrap();
    let blocks = blocks(&text);
    let folder = folder();
    let mut new: Vec<Option<String>> = vec![None; blocks.len()];
    for step in steps(&blocks) {
        let (block, output, found) = match step {
            ChapterStep::File { block } => {
                let file = folder.path().join(blocks[block].file().unwrap());
                std::fs::write(file, &blocks[block].text).unwrap();
                continue;
            }
            ChapterStep::Program { block, number, output } => {
                let id = name.replace('-', "_");
                (block, output, printed(command(GUIDE, folder.path()).args(["run", &id, &number.to_string()])))
            }
            ChapterStep::Command { block, output } => {
                (block, output, printed(command("/bin/sh", folder.path()).args(["-euc", &blocks[block].text])))
            }
        };
        let place = format!("{}:{}", path.display(), blocks[block].line);
        let found = found.map_err(|e| format!("{place} fails:\n{e}"))?;
        let shown = output.map_or("", |output| &blocks[output].text);
        if found != shown && output.is_some() && updates() {
            new[block + 1] = Some(found);
        } else if found != shown {
            return Err(format!("{place} prints\n{found}and not\n{shown}(INSTA_UPDATE=always writes it)"));
        }
    }
    if new.iter().any(Option::is_some) {
        std::fs::write(&path, rewritten(&text, &blocks, &new)).unwrap();
    }
    drawn_by_commands(folder.path())
}

/// The chapter with other outputs.
fn rewritten(text: &str, blocks: &[CodeBlock], new: &[Option<String>]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    let mut at = 0;
    for (block, new) in blocks.iter().zip(new).filter_map(|(block, new)| Some((block, new.as_ref()?))) {
        lines[at..block.line].iter().for_each(|line| out.extend([line, "\n"]));
        out += new;
        at = block.line + block.text.lines().count();
    }
    lines[at..].iter().for_each(|line| out.extend([line, "\n"]));
    out
}

/// Compares the pictures that a chapter's commands wrote with those in the book.
fn drawn_by_commands(folder: &Path) -> Result<(), String> {
    for entry in std::fs::read_dir(folder.join("pictures")).unwrap() {
        let file = entry.unwrap();
        same_picture(&file.file_name().to_string_lossy(), &std::fs::read_to_string(file.path()).unwrap())?;
    }
    Ok(())
}

fn same_picture(name: &str, drawn: &str) -> Result<(), String> {
    assert!(drawn.starts_with("<svg "), "{name} is no SVG");
    let file = chapters().join("pictures").join(name);
    if updates() {
        std::fs::write(&file, drawn).unwrap();
    }
    let shown = std::fs::read_to_string(&file).unwrap_or_default();
    if shown == drawn { Ok(()) } else { Err(format!("{} isn't what is drawn today", file.display())) }
}

/// Draws a picture and compares it with that in the book.
fn check_picture(name: &str) -> Result<(), String> {
    let folder = folder();
    let file = folder.path().join("picture.svg");
    printed(command(GUIDE, folder.path()).args(["draw", name]).arg(&file))?;
    same_picture(&format!("{name}.svg"), &std::fs::read_to_string(&file).unwrap())
}

macro_rules! tests {
    ($check:ident: $list:ident: $($name:ident)*) => {
        /// What has a test here.
        const $list: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];
        mod $check {
            $(
                #[test]
                fn $name() {
                    if super::is_measured_here() {
                        super::$check(&stringify!($name).replace('_', "-")).unwrap_or_else(|e| panic!("{e}"));
                    }
                }
            )*
        }
    };
}

tests!(check: CHAPTERS: introduction neuron activations losses backpropagation gradient_descent cnn lstm transformer regularization transfer deployment interpretability keras pytorch);
tests!(check_picture: PICTURES: activations slopes regression_losses cross_entropy xor descent rates digits filters reading attention fits overfitting explanations);

/// What is run is what a reader takes for it; and there is much of it.
#[test]
fn chapters_are_read_as_people_read_them() {
    let text = "# A\n```rust\nf();\n```\n\n```text\nout\n```\n```text\nprose\n```\n```ir\n; a.ir\ngraph\n```\n```sh\ntrue\n```\nwords\n```text\nno\n```\n| x | gradc |\n|---|---|\n| `a` | `b(\\|c\\|)`, `d` |\n";
    let blocks = blocks(text);
    let languages: Vec<(&str, usize)> = blocks.iter().map(|block| (block.language.as_str(), block.line)).collect();
    assert_eq!(languages, [("rust", 2), ("text", 6), ("text", 9), ("ir", 12), ("sh", 16), ("text", 20)]);
    let [program, file, command] = &steps(&blocks)[..] else { panic!("three things are done") };
    assert!(matches!(program, ChapterStep::Program { block: 0, number: 1, output: Some(1) }));
    assert!(matches!(file, ChapterStep::File { block: 3 }) && blocks[3].file() == Some("a.ir"));
    assert!(matches!(command, ChapterStep::Command { block: 4, output: None }));
    let found: Vec<String> = claims(text).into_iter().map(|claim| format!("{} {}", claim.line, claim.code)).collect();
    assert_eq!(found, ["25 b(|c|)", "25 d"]);

    let pages = CHAPTERS
        .map(|name| std::fs::read_to_string(chapters().join(format!("{}.md", name.replace('_', "-")))).unwrap());
    let programs = pages.iter().flat_map(|page| steps(&self::blocks(page))).count();
    assert!(programs >= 50 && pages.iter().map(|page| claims(page).len()).sum::<usize>() >= 80);
}

/// Chapters with something to run, and pictures that a program draws, all have a test.
#[test]
fn nothing_is_forgotten() {
    for entry in std::fs::read_dir(chapters()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().replace('-', "_");
        if path.extension().is_some_and(|e| e == "md") {
            let runs = !steps(&blocks(&std::fs::read_to_string(&path).unwrap())).is_empty();
            assert!(!runs || CHAPTERS.contains(&name.as_str()), "no test runs {}", path.display());
        }
    }
    let commands: String = CHAPTERS
        .iter()
        .map(|name| std::fs::read_to_string(chapters().join(format!("{}.md", name.replace('_', "-")))).unwrap())
        .collect();
    for entry in std::fs::read_dir(chapters().join("pictures")).unwrap() {
        let file = entry.unwrap().file_name().to_string_lossy().to_string();
        let drawn = PICTURES.contains(&file.trim_end_matches(".svg").replace('-', "_").as_str());
        assert!(drawn || commands.contains(&format!("> pictures/{file}")), "nothing draws pictures/{file}");
        assert!(commands.contains(&format!("(pictures/{file})")), "no chapter shows pictures/{file}");
    }
}
