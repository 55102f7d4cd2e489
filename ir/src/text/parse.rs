//! The parser: one function per line of the grammar. Only graphs inside graphs make it call itself, to a limited depth.

use super::ParseError;
use super::cursor::Cursor;
use crate::lexer::Token;
use crate::op::attr::{Attr, AttrMap};
use crate::op::parse::parse_op;
use crate::op::scan::{Body, MAX_NESTING};
use crate::{Graph, Loc, NodeId, Op, Section};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Graph {
    /// The graph that a text says; see [`crate::text`] for the grammar. Nodes have the source locations that the text gives them.
    ///
    /// # Errors
    /// The first place where the text is not a graph, or a node breaks its op's rule.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Parser::new(text, None)?.graph()
    }

    /// As [`Graph::parse`]; the source location of a node to which the text gives none is its place in `file`.
    ///
    /// # Errors
    /// As [`Graph::parse`].
    pub fn parse_file(text: &str, file: &str) -> Result<Self, ParseError> {
        Parser::new(text, Some(file.into()))?.graph()
    }
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    file: Option<LineStarts>,
    nodes: BTreeMap<u64, NodeId>,
    ports: BTreeSet<(&'static str, String)>,
    /// How many graphs are around this one.
    depth: usize,
}

/// The name of a file and the bytes at which its lines start, so that locations cost no search of the whole text.
struct LineStarts {
    file: Arc<str>,
    starts: Vec<usize>,
}

impl LineStarts {
    /// The place of a byte. A line starts with an id after blanks, so bytes count as columns.
    fn loc(&self, at: usize) -> Loc {
        let line = self.starts.partition_point(|&start| start <= at);
        let column = at + 1 - self.starts[line - 1];
        let saturate = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Loc::new(self.file.clone(), saturate(line), saturate(column))
    }
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, file: Option<Arc<str>>) -> Result<Self, ParseError> {
        let file = file.map(|file| {
            let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            LineStarts { file, starts: std::iter::once(0).chain(ends.map(|(i, _)| i + 1)).collect() }
        });
        Ok(Self { cursor: Cursor::new(text)?, file, nodes: BTreeMap::new(), ports: BTreeSet::new(), depth: 0 })
    }

    fn graph(mut self) -> Result<Graph, ParseError> {
        let graph = self.braced()?;
        match self.cursor.token() {
            Token::End => Ok(graph),
            _ => Err(self.cursor.expected("the end of the text")),
        }
    }

    /// From the word `graph` to the closing brace.
    fn braced(&mut self) -> Result<Graph, ParseError> {
        self.cursor.keyword("graph")?;
        let mut graph = Graph::new(self.cursor.string("the graph's name as a string")?);
        self.cursor.mark('{')?;
        while matches!(self.cursor.token(), Token::Id(_)) {
            self.node(&mut graph)?;
        }
        while !self.cursor.eat('}')? {
            self.port(&mut graph)?;
        }
        Ok(graph)
    }

    /// A graph inside another one, whose ids are its own.
    fn body(&mut self) -> Result<Attr, ParseError> {
        let at = self.cursor.at();
        if self.depth == MAX_NESTING {
            return Err(self.cursor.error(at, format!("graphs are nested more than {MAX_NESTING} deep")));
        }
        let outer = (std::mem::take(&mut self.nodes), std::mem::take(&mut self.ports));
        self.depth += 1;
        let graph = self.braced()?;
        self.depth -= 1;
        (self.nodes, self.ports) = outer;
        Body::new(graph).map(Attr::Body).map_err(|e| self.cursor.error(at, e.to_string()))
    }

    /// The body of a node above.
    fn body_of(&mut self, graph: &Graph) -> Result<Attr, ParseError> {
        let at = self.cursor.at();
        let node = self.operand()?;
        match graph.op(node) {
            Op::Scan(scan) => Ok(Attr::Body(scan.body.clone())),
            op => Err(self.cursor.error(at, format!("this is a `{}`, which has no body", op.name()))),
        }
    }

    fn node(&mut self, graph: &mut Graph) -> Result<(), ParseError> {
        let start = self.cursor.at();
        let number = self.cursor.id("a node's id")?;
        if self.nodes.contains_key(&number) {
            return Err(self.cursor.error(start, format!("%{number} is defined twice")));
        }
        self.cursor.mark('=')?;
        let op_at = self.cursor.at();
        let name = self.cursor.word("the name of an op")?;
        let operands = self.operands()?;
        let attrs = self.attrs(graph)?;
        self.cursor.mark(':')?;
        let type_at = self.cursor.at();
        let stated = self.cursor.ty()?;
        let cluster = if self.cursor.eat('@')? { Some(self.cursor.number("the number of a cluster")?) } else { None };
        let place = self.place()?;

        let op = parse_op(&name, attrs, &stated).map_err(|e| self.cursor.error(op_at, format!("`{name}`: {e}")))?;
        let loc = place.or_else(|| self.file.as_ref().map(|lines| lines.loc(start)));
        // The position is printed in front of the message already.
        let added = graph.add(op, &operands, None).map_err(|e| self.cursor.error(op_at, e.to_string()))?;
        let inferred = graph.ty(added);
        if *inferred != stated {
            let message = format!("the text says {stated}, but `{name}` of these operands gives {inferred}");
            return Err(self.cursor.error(type_at, message));
        }
        if let Some(loc) = loc {
            graph.set_loc(added, loc);
        }
        if let Some(cluster) = cluster {
            graph.set_cluster(added, cluster);
        }
        self.nodes.insert(number, added);
        Ok(())
    }

    /// `at "src/main.rs:12:9" in forward "dense"`, if it stands there.
    fn place(&mut self) -> Result<Option<Loc>, ParseError> {
        if *self.cursor.token() != Token::Word("at".into()) {
            return Ok(None);
        }
        self.cursor.keyword("at")?;
        let at = self.cursor.at();
        let text = self.cursor.string("a source location as a string")?;
        let wrong = || self.cursor.error(at, "a source location is `\"file:line:column\"`");
        let mut loc: Loc = text.parse().map_err(|_| wrong())?;
        if *self.cursor.token() == Token::Word("in".into()) {
            self.cursor.keyword("in")?;
            (loc.section, loc.layer) = self.declared_in()?;
        }
        Ok(Some(loc))
    }

    /// `backward "dense"`: a section, a layer's path, or both.
    fn declared_in(&mut self) -> Result<(Option<Section>, Option<Arc<str>>), ParseError> {
        let section = match self.cursor.token() {
            Token::Word(word) => Section::named(word),
            _ => None,
        };
        if section.is_some() {
            self.cursor.word("a section")?;
        }
        let layer = match self.cursor.token() {
            Token::Str(_) => Some(self.cursor.string("a layer's path")?.into()),
            _ if section.is_some() => None,
            _ => return Err(self.cursor.expected("`forward`, `backward`, `update` or a layer's path as a string")),
        };
        Ok((section, layer))
    }

    /// A node that is defined above.
    fn operand(&mut self) -> Result<NodeId, ParseError> {
        let at = self.cursor.at();
        let number = self.cursor.id("a node's id")?;
        let node = self.nodes.get(&number).copied();
        node.ok_or_else(|| self.cursor.error(at, format!("%{number} is not defined above this line")))
    }

    fn operands(&mut self) -> Result<Vec<NodeId>, ParseError> {
        let mut operands = Vec::new();
        if matches!(self.cursor.token(), Token::Id(_)) {
            operands.push(self.operand()?);
            while self.cursor.eat(',')? {
                operands.push(self.operand()?);
            }
        }
        Ok(operands)
    }

    fn attrs(&mut self, graph: &Graph) -> Result<AttrMap, ParseError> {
        let mut items: Vec<(String, Attr)> = Vec::new();
        if !self.cursor.eat('{')? || self.cursor.eat('}')? {
            return Ok(AttrMap(items));
        }
        loop {
            let at = self.cursor.at();
            let name = self.cursor.word("the name of an attribute")?;
            if items.iter().any(|(n, _)| *n == name) {
                return Err(self.cursor.error(at, format!("attribute `{name}` is given twice")));
            }
            self.cursor.mark('=')?;
            let value = match self.cursor.token() {
                Token::Word(w) if w == "graph" => self.body()?,
                Token::Id(_) => self.body_of(graph)?,
                _ => self.cursor.attr()?,
            };
            items.push((name, value));
            if self.cursor.eat('}')? {
                return Ok(AttrMap(items));
            }
            if !self.cursor.eat(',')? {
                return Err(self.cursor.expected("`,` or `}`"));
            }
        }
    }

    fn port(&mut self, graph: &mut Graph) -> Result<(), ParseError> {
        let kind = match self.cursor.token() {
            Token::Word(w) if w == "output" => "output",
            Token::Word(w) if w == "update" => "update",
            Token::Id(_) => return Err(self.cursor.expected("an output or an update (nodes come before them)")),
            _ => return Err(self.cursor.expected("a node, `output`, `update` or `}`")),
        };
        self.cursor.keyword(kind)?;
        let at = self.cursor.at();
        let name = self.cursor.string(&format!("the {kind}'s name as a string"))?;
        if !self.ports.insert((kind, name.clone())) {
            return Err(self.cursor.error(at, format!("{kind} {name:?} is defined twice")));
        }
        self.cursor.mark('=')?;
        let id = self.operand()?;
        if kind == "output" {
            graph.set_output(name, id)
        } else {
            graph.set_update(name, id)
        }
        Ok(())
    }
}
