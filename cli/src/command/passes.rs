//! `gradc passes`: the pipeline, with the reason of each pass.

use super::print;
use ::passes::pipeline::PIPELINE;
use std::error::Error;

/// Where lines are broken.
const WIDTH: usize = 96;

pub(super) fn run() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    for (i, pass) in PIPELINE.iter().enumerate() {
        text += &format!("{:>2}  {}  ({} -> {})\n", i + 1, pass.name, pass.requires, pass.ensures);
        text += &wrapped(pass.why);
    }
    print(&text)
}

/// Indented lines of at most [`WIDTH`] characters, unless a word is longer.
fn wrapped(sentence: &str) -> String {
    let (mut text, mut line) = (String::new(), String::new());
    for word in sentence.split_whitespace() {
        if !line.is_empty() && 4 + line.chars().count() + 1 + word.chars().count() > WIDTH {
            text += &format!("    {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    text + &format!("    {line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_all_words_and_the_width() {
        for pass in PIPELINE {
            let text = wrapped(pass.why);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert!(text.split_whitespace().eq(pass.why.split_whitespace()));
        }
    }
}
