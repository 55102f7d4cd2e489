//! Random kernels: text round trips, what the verifier proves holds in runs, vector code computes what scalar code does.

use kernel::eval::{EvalError, Interpreter, ParallelOrder, Tensors};
use kernel::walk::{refresh, substitute};
use kernel::{
    Access, Affine, BufRef, Buffer, BufferId, BufferKind, Code, DType, Data, Expr, Fresh, IndexExpr, IndexVar, Kernel,
    Launch, LoopKind, Param, Program, Scalar, ScalarOp, Spec, Stmt, Target, Types, in_place_safe, vectorize_body,
    verify, verify_kernel,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Decisions from random bytes; all zeros when they are used up.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(*self.0.next().unwrap_or(&0)) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const LEN: usize = 48;

/// A straight-line scalar body over `f32`, with indices from `index`.
struct BodyMaker<'a, 'c> {
    choices: &'a mut Choices<'c>,
    fresh: &'a mut Fresh,
    bound: Vec<Expr>,
    inner: IndexVar,
    index: &'a dyn Fn(&mut Choices<'c>) -> Affine,
}

impl BodyMaker<'_, '_> {
    fn number(&mut self, depth: usize) -> Expr {
        let kinds = if depth == 0 { 3 } else { 10 };
        match self.choices.below(kinds) {
            0 => Expr::load(BufRef::Param(0), (self.index)(self.choices)),
            1 => Expr::Const(Scalar::F32(self.choices.pick(&[0.0, -0.0, 1.5, -3.0, f32::INFINITY, f32::NAN]))),
            2 if !self.bound.is_empty() => self.bound[self.choices.below(self.bound.len())].clone(),
            2 => Expr::Const(Scalar::F32(f32::from_bits(0x7fc0_0001))),
            3 => {
                let index = Affine::term(self.inner, self.choices.pick(&[1, 2, -1])).plus(3);
                let index = Expr::Index { index, dtype: DType::I32, lanes: 1, stride: 1 };
                Expr::Cast(DType::F32, Box::new(index))
            }
            4 => {
                Expr::Apply(ScalarOp::FMA, vec![self.number(depth - 1), self.number(depth - 1), self.number(depth - 1)])
            }
            5 => {
                let condition = Expr::binary(ScalarOp::LT, self.number(depth - 1), self.number(depth - 1));
                Expr::Apply(ScalarOp::SELECT, vec![condition, self.number(depth - 1), self.number(depth - 1)])
            }
            6 => {
                let bits = Expr::Bitcast(DType::I32, Box::new(self.number(depth - 1)));
                let masked = Expr::binary(ScalarOp::AND, bits, Expr::Const(Scalar::I32(0x7fff_ffff)));
                Expr::Bitcast(DType::F32, Box::new(masked))
            }
            7 => Expr::Apply(
                self.choices.pick(&[ScalarOp::NEG, ScalarOp::RELU, ScalarOp::ABS]),
                vec![self.number(depth - 1)],
            ),
            _ => {
                let op = self.choices.pick(&[ScalarOp::ADD, ScalarOp::MUL, ScalarOp::MAX, ScalarOp::SUB]);
                Expr::binary(op, self.number(depth - 1), self.number(depth - 1))
            }
        }
    }

    fn body(&mut self, store_at: Affine) -> Vec<Stmt> {
        let mut body = vec![];
        for _ in 0..self.choices.below(3) {
            let value = self.number(2);
            let reg = self.fresh.reg();
            body.push(Stmt::Let { reg, value });
            self.bound.push(Expr::Reg(reg));
        }
        let value = self.number(3);
        body.push(Stmt::Store { buf: BufRef::Param(1), index: store_at, value });
        body
    }
}

fn offsets(choices: &mut Choices<'_>, vars: &[IndexVar]) -> Affine {
    let mut index = Affine::constant(choices.below(5) as i64);
    for &var in vars {
        index = index.plus_term(var, choices.pick(&[0, 1, 1, 2, 3, 4, 6, 8, -1]));
    }
    index
}

/// The kernel of a body that reads its first buffer and changes its second.
fn kernel_of(body: Vec<Stmt>) -> Kernel {
    let param = |access| Param { dtype: DType::F32, len: LEN, access };
    Kernel::new("k".into(), Code { params: vec![param(Access::Read), param(Access::ReadWrite)], locals: vec![], body })
}

/// Kernels of loops around a body, parallel outside, with quotients and remainders: many leave their buffers, or have iterations that
/// meet.
fn any_nest(bytes: &[u8]) -> Kernel {
    let mut choices = Choices(bytes.iter());
    let mut fresh = Fresh::new();
    let (outer, inner) = (fresh.index(), fresh.index());
    let mut vars = vec![outer, inner];
    let mut lets = vec![];
    let extent = choices.pick(&[2, 4, 6, 8]);
    if choices.below(2) == 1 {
        let by = choices.pick(&[2, 3, 4]);
        let (q, r) = (fresh.index(), fresh.index());
        let at = Affine::term(outer, 1);
        lets.push(Stmt::LetIndex { var: q, value: IndexExpr::Div(at.clone(), by) });
        lets.push(Stmt::LetIndex { var: r, value: IndexExpr::Rem(at, by) });
        vars.extend([q, r]);
    }
    let store_at = offsets(&mut choices, &vars);
    let same = choices.below(2) == 1;
    let index = |c: &mut Choices<'_>| if same { store_at.clone() } else { offsets(c, &vars) };
    let mut maker = BodyMaker { choices: &mut choices, fresh: &mut fresh, bound: vec![], inner, index: &index };
    let body = maker.body(store_at.clone());
    let inner_extent = maker.choices.pick(&[1, 2, 3, 4]);
    let kind = maker.choices.pick(&[LoopKind::Parallel, LoopKind::Serial]);
    lets.push(Stmt::serial(inner, inner_extent, body));
    kernel_of(vec![Stmt::For { var: outer, extent, kind, body: lets }])
}

/// One loop whose body stores contiguously; always in bounds.
fn any_map(bytes: &[u8]) -> (Kernel, Vec<Stmt>, IndexVar) {
    let mut choices = Choices(bytes.iter());
    let mut fresh = Fresh::new();
    let var = fresh.index();
    let index = move |c: &mut Choices<'_>| {
        let coefficient = c.pick(&[0, 1, 1, 1, 2, -1]);
        Affine::term(var, coefficient).plus(if coefficient < 0 { 16 } else { c.below(4) as i64 })
    };
    let mut maker = BodyMaker { choices: &mut choices, fresh: &mut fresh, bound: vec![], inner: var, index: &index };
    let body = maker.body(Affine::term(var, 1).plus(2));
    (kernel_of(vec![Stmt::serial(var, 16, body.clone())]), body, var)
}

fn program(kernel: &Kernel, aliased: bool) -> Program {
    let buffer = |kind| Buffer { dtype: DType::F32, len: LEN, kind, offset: None };
    let state = buffer(BufferKind::State { name: "x".into() });
    let other = buffer(BufferKind::State { name: "y".into() });
    let args = if aliased { vec![BufferId(0), BufferId(0)] } else { vec![BufferId(0), BufferId(1)] };
    Program {
        name: "p".into(),
        buffers: vec![state, other],
        kernels: vec![kernel.clone()],
        launches: vec![Launch { kernel: 0, args, origins: vec![] }],
        ..Program::default()
    }
}

/// What the two buffers hold after a run.
fn run(kernel: &Kernel, aliased: bool, order: ParallelOrder) -> Result<(Data, Data), EvalError> {
    let mut machine = Interpreter::new(&program(kernel, aliased))?;
    let numbers = |scale: f32| Data::F32((0..LEN).map(|i| (i as f32 - 20.0) * scale).collect());
    machine.set_state("x", &numbers(0.5))?;
    machine.set_state("y", &if aliased { numbers(3.0) } else { numbers(0.5) })?;
    machine.set_order(order);
    machine.run(&Tensors::new())?;
    let state = |name: &str| machine.state(name).expect("the program has this state");
    Ok((state("x"), state("y")))
}

fn bits(data: &Data) -> Vec<u8> {
    data.to_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let kernel = any_nest(&bytes);
        let text = kernel.to_string();
        let parsed: Kernel = text.parse().unwrap();
        prop_assert_eq!(&parsed, &kernel);
        prop_assert_eq!(parsed.to_string(), text);
        let program = program(&kernel, false);
        prop_assert_eq!(program.to_string().parse::<Program>().unwrap(), program);
    }

    #[test]
    fn other_names_are_the_same_code(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let kernel = any_nest(&bytes);
        let mut fresh = Fresh::above(&kernel.body);
        let mut renamed = kernel.clone();
        renamed.name = "other".into();
        renamed.body = refresh(&kernel.body, &mut fresh);
        prop_assert_ne!(&renamed.body, &kernel.body);
        prop_assert_eq!(renamed.canonical(), kernel.canonical());
    }

    #[test]
    fn what_is_proved_holds_in_runs(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let kernel = any_nest(&bytes);
        let proved = verify_kernel(&kernel, &[], Spec::LOWERED);
        let forward = run(&kernel, false, ParallelOrder::Forward);
        match &proved {
            Ok(()) => {
                let backward = run(&kernel, false, ParallelOrder::Backward).unwrap();
                let forward = forward.unwrap();
                prop_assert_eq!(bits(&forward.1), bits(&backward.1));
            }
            Err(errors) => {
                let known = errors.errors().iter().all(|e| [7, 10].contains(&e.invariant));
                prop_assert!(known, "{}", errors);
            }
        }
    }

    #[test]
    fn what_is_safe_in_place_is(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let kernel = any_nest(&bytes);
        // Not a rejection: most kernels aren't, `the_prover_proves` sees to it that enough are.
        if verify_kernel(&kernel, &[], Spec::LOWERED).is_err() || in_place_safe(&kernel, 0, 1).is_err() {
            return Ok(());
        }
        prop_assert!(verify(&program(&kernel, true), Spec::LOWERED).is_ok());
        let apart = run(&kernel, false, ParallelOrder::Forward).unwrap();
        let aliased = run(&kernel, true, ParallelOrder::Backward).unwrap();
        prop_assert_eq!(bits(&apart.1), bits(&aliased.0));
    }

    #[test]
    fn vector_code_computes_what_scalar_code_does(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let (kernel, body, var) = any_map(&bytes);
        prop_assert!(verify_kernel(&kernel, &[], Spec::LOWERED).is_ok(), "{}", kernel);
        let types = Types::of_kernel(&kernel).unwrap();
        let mut fresh = Fresh::above(&kernel.body);
        let vector = vectorize_body(&types, &body, var, 4, &Target::baseline(), &mut fresh, &BTreeMap::new());
        let mut vector = vector.expect("the generator makes nothing that has no vector form");
        let strip = fresh.index();
        substitute(&mut vector, var, &Affine::term(strip, 4));
        let vectorized = kernel_of(vec![Stmt::For { var: strip, extent: 4, kind: LoopKind::Vector, body: vector }]);
        if let Err(e) = verify_kernel(&vectorized, &[], Spec::LOWERED) {
            prop_assert!(false, "{}", e);
        }
        let (scalar, vector) = (run(&kernel, false, ParallelOrder::Forward), run(&vectorized, false, ParallelOrder::Forward));
        prop_assert_eq!(bits(&scalar.unwrap().1), bits(&vector.unwrap().1));
    }

    #[test]
    fn vectors_have_any_length(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 2u16..14) {
        let (kernel, body, var) = any_map(&bytes);
        let types = Types::of_kernel(&kernel).unwrap();
        let mut fresh = Fresh::above(&kernel.body);
        let mut both = vec![];
        for (first, lanes) in [(0, cut), (i64::from(cut), 16 - cut)] {
            let vector = vectorize_body(&types, &body, var, lanes, &Target::baseline(), &mut fresh, &BTreeMap::new());
            let mut vector = vector.expect("the generator makes nothing that has no vector form");
            substitute(&mut vector, var, &Affine::constant(first));
            both.extend(vector);
        }
        let vectorized = kernel_of(both);
        prop_assert!(verify_kernel(&vectorized, &[], Spec::LOWERED).is_ok(), "{}", vectorized);
        let (scalar, vector) = (run(&kernel, false, ParallelOrder::Forward), run(&vectorized, false, ParallelOrder::Forward));
        prop_assert_eq!(bits(&scalar.unwrap().1), bits(&vector.unwrap().1));
    }
}

/// The properties say little if the prover never proves: over fixed bytes, a good part of the kernels must pass, and of those some must
/// be safe in place.
#[test]
fn the_prover_proves() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let (mut proved, mut parallel, mut in_place) = (0, 0, 0);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..80).map(|_| random()).collect();
        let kernel = any_nest(&bytes);
        if verify_kernel(&kernel, &[], Spec::LOWERED).is_ok() {
            proved += 1;
            parallel += usize::from(matches!(kernel.body[0], Stmt::For { kind: LoopKind::Parallel, .. }));
            in_place += usize::from(in_place_safe(&kernel, 0, 1).is_ok());
        }
    }
    assert!(proved > 400 && parallel > 60 && in_place > 100, "{proved} {parallel} {in_place}");
}
