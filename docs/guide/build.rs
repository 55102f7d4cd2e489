//! Makes Rust of the chapters' programs: a function for each, in a list with the chapter and the number.

#[allow(dead_code)] // Files are written by the tests.
#[path = "src/chapter.rs"]
mod chapter;

use chapter::{ChapterStep, blocks, claims, steps};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

#[allow(clippy::print_stdout)] // Cargo reads it.
fn main() -> Result<(), Box<dyn Error>> {
    let chapters = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("chapters");
    println!("cargo::rerun-if-changed={}", chapters.display());
    let mut files: Vec<_> =
        std::fs::read_dir(&chapters)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Box<dyn Error>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let (mut modules, mut list) = (String::new(), String::new());
    for path in &files {
        let text = std::fs::read_to_string(path)?;
        let name = path.file_stem().ok_or("a chapter has a name")?.to_string_lossy().replace('-', "_");
        let blocks = blocks(&text);
        for step in steps(&blocks) {
            let ChapterStep::Program { block, number, .. } = step else { continue };
            let block = &blocks[block];
            let place = format!("{}:{}", path.display(), block.line);
            writeln!(modules, "/// {place}\nmod {name}_{number} {{\n{}}}", program(&block.text))?;
            writeln!(list, "    ({name:?}, {number}, {name}_{number}::main),")?;
        }
        modules += &compared(&name, path, &text);
    }
    let text = format!(
        "{modules}\n/// The programs: chapter, number in it, what runs.\npub(crate) const PROGRAMS: &[(&str, usize, ProgramFn)] = &[\n{list}];\n"
    );
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("programs.rs"), text)?;
    Ok(())
}

/// Functions that nobody calls, one for each piece of code in a table's column `gradc`: they compile.
fn compared(chapter: &str, path: &Path, text: &str) -> String {
    let mut functions = String::new();
    for (number, claim) in claims(text).into_iter().enumerate() {
        let code = match claim.code.strip_prefix("impl ").and_then(|code| code.strip_suffix(" for ..")) {
            Some(of) => format!("fn takes<T: {of}>(_: T) {{}}"),
            None => format!("let _ = {};", claim.code),
        };
        let place = format!("{}:{}", path.display(), claim.line);
        functions += &format!(
            "/// {place}\npub(super) fn claim_{number}({GIVEN}) -> Result<(), Box<dyn std::error::Error>> {{\n{code}\nOk(())\n}}\n"
        );
    }
    match functions.is_empty() {
        true => functions,
        false => format!(
            "#[allow(unused, clippy::too_many_arguments, clippy::let_unit_value)]\nmod {chapter}_claims {{\nuse gradc::prelude::*;\nuse gradc::io::{{Convention, WeightRules}};\n{functions}}}\n"
        ),
    }
}

/// What the tables' code is about.
const GIVEN: &str = "g: &GraphBuilder, x: &Tensor, y: &Tensor, model: Sequential, mut trainer: Trainer, train: &Dataset, test: &Dataset";

/// A module whose `main` is the block: as it stands if it has one, else made of its lines.
fn program(text: &str) -> String {
    match text.contains("fn main()") {
        true => text.replacen("fn main()", "pub(super) fn main()", 1),
        false => format!("pub(super) fn main() -> Result<(), Box<dyn std::error::Error>> {{\n{text}Ok(())\n}}\n"),
    }
}
