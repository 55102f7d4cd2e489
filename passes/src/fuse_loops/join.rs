//! Two loops that use the same stretches of a buffer, as one.

use super::link::{Link, LinkArguments, MIN_ITERATIONS};
use super::steps::{AccessRanges, MIN_STRETCH, definitions, in_common, step, uses};
use crate::PassError;
use kernel::verify::expand;
use kernel::walk::{has_tile, map_accesses, refresh, substitute, visit_exprs};
use kernel::{
    Affine, BufRef, Code, Expr, Fresh, IndexVar, Interval, Kernel, Local, LoopKind, Param, Program, Stmt, Types,
};
use std::collections::BTreeMap;

/// A serial loop.
#[derive(Clone)]
struct SerialLoop {
    var: IndexVar,
    extent: usize,
    body: Vec<Stmt>,
}

impl SerialLoop {
    /// The loop that a body is.
    fn alone(body: &[Stmt]) -> Option<Self> {
        if let [stmt] = body { Self::of(stmt) } else { None }
    }

    fn of(stmt: &Stmt) -> Option<Self> {
        match stmt {
            Stmt::For { var, extent, kind: LoopKind::Serial, body } => {
                Some(Self { var: *var, extent: *extent, body: body.clone() })
            }
            _ => None,
        }
    }
}

/// Two kernels on their way to be one.
pub(super) struct Join {
    params: Vec<Param>,
    locals: Vec<Local>,
    producer: SerialLoop,
    consumer: SerialLoop,
    types: Types,
    fresh: Fresh,
    /// The scratch buffer in place of the one between the kernels.
    between: BufRef,
    /// Whether tiles make what that buffer holds.
    is_of_tiles: bool,
}

/// One loop that computes stretches and uses them.
struct Joined {
    stmt: Stmt,
    iterations: usize,
    /// How many elements of scratch memory hold a stretch.
    stretch: i64,
}

impl Join {
    /// The two kernels of a link with names and parameters in common; `None` if one is more than a loop.
    pub(super) fn of(program: &Program, link: &Link, arguments: &LinkArguments) -> Result<Option<Self>, PassError> {
        let [first, second] = link.launches(program).map(|l| &program.kernels[l.kernel as usize]);
        let mut locals: Vec<Local> = first.locals.iter().chain(&second.locals).cloned().collect();
        let between = BufRef::Local(locals.len() as u32);
        let buffer = program.buffer(link.buffer);
        locals.push(Local { dtype: buffer.dtype, len: buffer.len });
        let mut fresh = Fresh::above(&second.body);
        let mut bodies = [refresh(&first.body, &mut fresh), second.body.clone()];
        let offsets = [0, first.locals.len() as u32];
        for ((body, places), offset) in bodies.iter_mut().zip(&arguments.places).zip(offsets) {
            map_accesses(body, &mut |buf, _| match *buf {
                BufRef::Param(i) => *buf = places[i as usize].map_or(between, |at| BufRef::Param(at as u32)),
                BufRef::Local(i) => *buf = BufRef::Local(i + offset),
            });
        }
        let params = params(arguments, [first, second]);
        let (Some(producer), Some(consumer)) = (SerialLoop::alone(&bodies[0]), SerialLoop::alone(&bodies[1])) else {
            return Ok(None);
        };
        let code = Code { params: params.clone(), locals: locals.clone(), body: bodies.concat() };
        let whole = Kernel::new(link.name(program), code);
        let types = Types::of_kernel(&whole).map_err(|e| PassError::Invalid(format!("{}: {e}", whole.name)))?;
        let is_of_tiles = has_tile(&producer.body);
        let mut join = Self { params, locals, producer, consumer, types, fresh, between, is_of_tiles };
        join.expand_indices();
        Ok(Some(join))
    }

    /// Indices of the buffer between the kernels by the variables of loops, where that is possible.
    fn expand_indices(&mut self) {
        let between = self.between;
        for body in [&mut self.producer.body, &mut self.consumer.body] {
            let definitions = definitions(body);
            map_accesses(body, &mut |buf, index| {
                if *buf == between {
                    *index = expand(index, &definitions);
                }
            });
        }
    }

    /// The code of the one kernel, if the loops fit together and a stretch has at most `limit` bytes.
    pub(super) fn code(mut self, limit: usize) -> Option<Code> {
        let (producer, consumer) = (self.producer.clone(), self.consumer.clone());
        let columns = [&producer, &consumer].map(|l| sums_columns(&l.body, l.var));
        if columns == [true, true] {
            return None;
        }
        let longer = producer.extent.max(consumer.extent);
        let joined = self.join(producer, consumer)?;
        // Columns' sums that are handed over one by one through memory aren't columns of vectors any more.
        if joined.stretch == 1 && columns.contains(&true) {
            return None;
        }
        let BufRef::Local(at) = self.between else { return None };
        let local = &mut self.locals[at as usize];
        local.len = usize::try_from(joined.stretch).ok()?;
        if local.len * local.dtype.size_bytes() > limit || joined.iterations < MIN_ITERATIONS.min(longer) {
            return None;
        }
        Some(Code { params: self.params, locals: self.locals, body: vec![joined.stmt] })
    }

    /// One loop in the place of two, if each of its iterations uses only what the same iteration computes.
    fn join(&mut self, producer: SerialLoop, consumer: SerialLoop) -> Option<Joined> {
        let steps = [&producer, &consumer].map(|l| self.step(l));
        let [Some(made), Some(used)] = steps else { return None };
        let (iterations, stretch) = in_common([(producer.extent, made), (consumer.extent, used)])?;
        let var = self.fresh.index();
        self.types.bind_index(var, Interval::of_extent(iterations)?);
        let mut parts = [producer, consumer].map(|l| self.part(l, var, iterations));
        let between = self.between;
        for part in &mut parts {
            map_accesses(part, &mut |buf, index| {
                if *buf == between {
                    *index = index.clone().plus_term(var, -stretch);
                }
            });
        }
        let [made, used] = parts;
        let (body, stretch) = match self.join_inside(&made, &used) {
            Some((body, inner)) => (body, inner),
            None => ([made, used].concat(), stretch),
        };
        Some(Joined { stmt: Stmt::serial(var, iterations, body), iterations, stretch })
    }

    /// The body of a loop in terms of the common loop's variable, with a loop of its own around where it has more iterations.
    fn part(&mut self, l: SerialLoop, var: IndexVar, iterations: usize) -> Vec<Stmt> {
        let inside = l.extent / iterations;
        let mut body = l.body;
        if inside == 1 {
            substitute(&mut body, l.var, &Affine::term(var, 1));
            return body;
        }
        let inner = self.fresh.index();
        if let Some(range) = Interval::of_extent(inside) {
            self.types.bind_index(inner, range);
        }
        substitute(&mut body, l.var, &Affine::term(var, inside as i64).plus_term(inner, 1));
        vec![Stmt::serial(inner, inside, body)]
    }

    /// The loops inside joined: the last one that computes, and the first that uses. What stands around them has nothing to do with the
    /// buffer.
    fn join_inside(&mut self, made: &[Stmt], used: &[Stmt]) -> Option<(Vec<Stmt>, i64)> {
        let (last, before) = made.split_last()?;
        let first = used.iter().position(|s| !matches!(s, Stmt::Let { .. } | Stmt::LetIndex { .. }))?;
        let (bound, after) = (&used[..first], &used[first + 1..]);
        if [before, bound, after].iter().any(|part| self.touches(part)) {
            return None;
        }
        let joined =
            self.join(SerialLoop::of(last)?, SerialLoop::of(&used[first])?).filter(|j| j.stretch >= MIN_STRETCH)?;
        Some(([before, bound, &[joined.stmt], after].concat(), joined.stretch))
    }

    /// True if the statements use the buffer between the kernels.
    fn touches(&self, body: &[Stmt]) -> bool {
        self.uses(body).is_none_or(|all| !all.is_empty())
    }

    /// How far the stretch moves that an iteration uses, if no two iterations' stretches overlap.
    fn step(&self, l: &SerialLoop) -> Option<i64> {
        step(&self.uses(&l.body)?, l.var, self.types.ranges())
    }

    /// Where the statements use the buffer between the kernels.
    fn uses(&self, body: &[Stmt]) -> AccessRanges {
        uses(body, self.is_of_tiles).remove(&self.between).unwrap_or_else(|| Some(vec![]))
    }
}

/// True if loops in the body of the loop over `column` walk down columns that lie side by side in memory. Such a loop is cut into chunks of rows whose columns fill
/// vectors; two of them in one would be folded an element at a time.
fn sums_columns(body: &[Stmt], column: IndexVar) -> bool {
    let mut found = false;
    for stmt in body {
        if let Stmt::For { var, body, .. } = stmt {
            visit_exprs(body, &mut |expr| {
                if let Expr::Load { index, .. } = expr {
                    found |= index.coefficient(column) == 1 && index.coefficient(*var) > 1;
                }
            });
        }
    }
    found
}

/// The parameters of the one kernel, as the first of the two that has each declares it.
fn params(arguments: &LinkArguments, kernels: [&Kernel; 2]) -> Vec<Param> {
    let mut params: BTreeMap<usize, &Param> = BTreeMap::new();
    for (places, kernel) in arguments.places.iter().zip(kernels) {
        for (place, param) in places.iter().zip(&kernel.params) {
            if let Some(at) = place {
                params.entry(*at).or_insert(param);
            }
        }
    }
    params.into_values().cloned().collect()
}
