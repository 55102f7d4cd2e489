//! Chapters as the tests read them: which blocks are programs, commands, files, and what was printed.

use std::fmt::Write;

/// A fenced block of a chapter.
pub(crate) struct CodeBlock {
    /// The word behind the fence: `rust`, `sh`, `ir`, `text`.
    pub(crate) language: String,
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// What stands between the fences.
    pub(crate) text: String,
    /// Whether nothing but empty lines stands between it and the block before.
    pub(crate) follows: bool,
}

impl CodeBlock {
    /// The name in the first line of a graph, `; neuron.ir`: such a block is a file.
    pub(crate) fn file(&self) -> Option<&str> {
        let name = self.text.lines().next()?.strip_prefix("; ")?.trim();
        (self.language == "ir" && name.ends_with(".ir") && !name.contains([' ', '/'])).then_some(name)
    }

    /// Whether it shows what the block before it prints.
    fn is_output(&self) -> bool {
        self.follows && self.file().is_none() && ["text", "ir"].contains(&self.language.as_str())
    }
}

/// What is done with a block; numbers are those of blocks.
pub(crate) enum ChapterStep {
    /// A program, by its number among the chapter's programs, and the block that shows what it prints.
    Program { block: usize, number: usize, output: Option<usize> },
    /// A line for the shell, likewise.
    Command { block: usize, output: Option<usize> },
    /// A graph that is written to a file.
    File { block: usize },
}

/// The blocks of a chapter, in their order.
pub(crate) fn blocks(markdown: &str) -> Vec<CodeBlock> {
    let mut blocks: Vec<CodeBlock> = Vec::new();
    let (mut open, mut follows) = (false, false);
    for (at, line) in markdown.lines().enumerate() {
        match (open, line.strip_prefix("```")) {
            (false, Some(info)) => {
                let language = info.split(',').next().unwrap_or_default().trim().to_string();
                blocks.push(CodeBlock { language, line: at + 1, text: String::new(), follows });
                open = true;
            }
            (true, Some(_)) => (open, follows) = (false, true),
            (false, None) => follows = follows && line.trim().is_empty(),
            (true, None) => {
                if let Some(block) = blocks.last_mut() {
                    let _ = writeln!(block.text, "{line}");
                }
            }
        }
    }
    blocks
}

/// What a chapter asks for, from its first block to its last.
pub(crate) fn steps(blocks: &[CodeBlock]) -> Vec<ChapterStep> {
    let mut steps = Vec::new();
    let mut programs = 0;
    for (block, it) in blocks.iter().enumerate() {
        let output = blocks.get(block + 1).filter(|next| next.is_output()).map(|_| block + 1);
        match it.language.as_str() {
            "rust" => {
                programs += 1;
                steps.push(ChapterStep::Program { block, number: programs, output });
            }
            "sh" => steps.push(ChapterStep::Command { block, output }),
            _ if it.file().is_some() => steps.push(ChapterStep::File { block }),
            _ => {}
        }
    }
    steps
}

/// An expression of a table's column `gradc`, and its line.
pub(crate) struct Claim {
    /// The line in the chapter, from 1.
    pub(crate) line: usize,
    /// The expression.
    pub(crate) code: String,
}

/// What a chapter says of gradc in tables: each piece of code in a column of that name.
pub(crate) fn claims(markdown: &str) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut column = None;
    for (at, line) in markdown.lines().enumerate() {
        let cells = cells(line);
        match column {
            _ if cells.is_empty() => column = None,
            None => column = cells.iter().position(|cell| cell == "gradc").or(Some(usize::MAX)),
            Some(column) => {
                let code = cells.get(column).into_iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
                claims.extend(code.map(|code| Claim { line: at + 1, code: code.into() }));
            }
        }
    }
    claims
}

/// The cells of a line of a table; none of any other line. In a cell, `\\|` is a bar.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\u{1}");
    let Some(inner) = line.strip_prefix('|').and_then(|rest| rest.trim_end().strip_suffix('|')) else { return vec![] };
    inner.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}
