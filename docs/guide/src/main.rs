//! Runs what the guide's chapters show: `gradc-guide run CHAPTER NUMBER` a program, `gradc-guide draw NAME FILE` what draws a picture.
//! Under the name `gradc` it is the command of that name, for the chapters' commands.

mod pictures;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// A program of a chapter.
type ProgramFn = fn() -> Result<(), Box<dyn Error>>;

/// The programs as the chapters have them: they print.
#[allow(clippy::print_stdout)]
mod programs {
    use super::ProgramFn;

    include!(concat!(env!("OUT_DIR"), "/programs.rs"));
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.first().is_some_and(|command| Path::new(command).ends_with("gradc")) {
        return gradc_cli::main();
    }
    let result = match words[1..] {
        ["run", chapter, number] => run(chapter, number),
        ["draw", name, file] => draw(name, Path::new(file)),
        _ => Err("usage: gradc-guide run CHAPTER NUMBER | draw PICTURE FILE".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(chapter: &str, number: &str) -> Result<(), Box<dyn Error>> {
    let is_it = |program: &&(&str, usize, ProgramFn)| program.0 == chapter && program.1.to_string() == number;
    let (_, _, program) = programs::PROGRAMS.iter().find(is_it).ok_or("there is no such program")?;
    program()
}

fn draw(name: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let (_, picture) = pictures::PICTURES.iter().find(|(known, _)| *known == name).ok_or("there is no such picture")?;
    Ok(std::fs::write(file, picture()?)?)
}
