//! `gradc cache`: the files of compiled steps.

use clap::{Args, Subcommand};
use gradc::compile::cache::directory::{clear, list};
use gradc::compile::cache::{Cache, VARIABLE};
use std::error::Error;
use std::path::PathBuf;

/// Look at or remove the compiled steps that are kept in files.
#[derive(Args)]
#[command(after_help = "Example:\n  gradc cache list --dir ~/.cache/gradc")]
pub(super) struct CacheFiles {
    /// The directory; by default what the environment variable `GRADC_CACHE` names
    #[arg(long, value_name = "DIR", global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand, Clone, Copy)]
enum Action {
    /// Print the directory
    Path,
    /// List the steps, the one used last first
    List,
    /// Remove all of them
    Clear,
}

impl CacheFiles {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        let directory = match (self.dir.clone(), Cache::from_environment()) {
            (Some(dir), _) | (None, Cache::Directory(dir)) => dir,
            _ => return Err(format!("there is no directory: set {VARIABLE}, or use --dir").into()),
        };
        match self.action.unwrap_or(Action::List) {
            Action::Path => super::print(&format!("{}\n", directory.display())),
            Action::List => {
                let files = list(&directory)?;
                let line = |file: &gradc::compile::cache::directory::CachedFile| {
                    let age = file.used.elapsed().unwrap_or_default().as_secs();
                    let name = file.name.as_deref().unwrap_or("(of another version, or damaged)");
                    let key = file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    format!("{:>10} {:>9}  {:.12}  {name}\n", bytes(file.bytes), ago(age), key)
                };
                let total = files.iter().map(|file| file.bytes).sum();
                let lines: String = files.iter().map(line).collect();
                super::print(&format!("{lines}{} steps, {}\n", files.len(), bytes(total)))
            }
            Action::Clear => super::print(&format!("{} files removed\n", clear(&directory)?)),
        }
    }
}

fn bytes(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86400),
    }
}
