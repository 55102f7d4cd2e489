//! Every expansion of every scalar op, in every type: well typed, of primitives only, and for types of up to 32 bits of values that
//! fit lanes of 32 bits.

use ir::scalar::{Instr, ProgramBuilder, Reg, ScalarProgram, Typing};
use ir::{DType, Scalar, ScalarOp};

/// The operand types of `op` over `dtype`, and the result type, if it takes them.
fn signature(op: ScalarOp, dtype: DType) -> Option<(Vec<DType>, DType)> {
    let mut operands = vec![dtype; op.arity()];
    if op.def().typing == Typing::Select {
        operands[0] = DType::Bool;
    }
    let result = op.def().typing.infer(&operands).ok()?;
    Some((operands, result))
}

/// All expansions, with their operand types and result type.
fn all() -> Vec<(ScalarOp, DType, ScalarProgram, Vec<DType>, DType)> {
    let pairs = ScalarOp::all().flat_map(|op| DType::ALL.map(|dtype| (op, dtype)));
    pairs
        .filter_map(|(op, dtype)| {
            let (operands, result) = signature(op, dtype)?;
            let program = (op.def().expand)(dtype)?;
            Some((op, dtype, program, operands, result))
        })
        .collect()
}

#[test]
fn are_well_typed() {
    for (op, dtype, program, operands, result) in all() {
        assert_eq!(program.validate(&operands), Ok(result), "{op} of {dtype}");
    }
}

#[test]
fn use_primitives_only() {
    for (op, dtype, program, operands, _) in all() {
        let types = program.types(&operands).expect("well typed");
        for instr in &program.body {
            let Instr::Apply(used, args) = instr else { continue };
            let of = types[args[if used.def().typing == Typing::Select { 1 } else { 0 }].0 as usize];
            assert!((used.def().expand)(of).is_none(), "{op} of {dtype} uses {used} of {of}, which has an expansion");
        }
    }
}

#[test]
fn keep_to_lanes_of_32_bits() {
    for (op, dtype, program, operands, _) in all() {
        if dtype.size_bytes() <= 4 {
            let types = program.types(&operands).expect("well typed");
            assert!(types.iter().all(|t| t.size_bytes() <= 4), "{op} of {dtype} computes in {types:?}");
        }
    }
}

#[test]
fn exist_for_every_transcendental_op_in_every_float_type() {
    use ScalarOp as Op;
    let ops = [
        Op::EXP,
        Op::EXPM1,
        Op::LOG,
        Op::LOG1P,
        Op::TANH,
        Op::SIGMOID,
        Op::SOFTPLUS,
        Op::ERF,
        Op::ERFC,
        Op::SIN,
        Op::COS,
        Op::POW,
        Op::RSQRT,
    ];
    for op in ops {
        for dtype in DType::ALL {
            assert_eq!((op.def().expand)(dtype).is_some(), dtype.is_float(), "{op} of {dtype}");
        }
    }
}

#[test]
fn relu_and_sign_agree_with_their_references() {
    for op in [ScalarOp::RELU, ScalarOp::SIGN] {
        for dtype in DType::ALL.into_iter().filter(|d| d.is_number()) {
            let program = (op.def().expand)(dtype).expect("an expansion");
            for x in [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
                let x = Scalar::from_f64(x, dtype);
                let (got, want) = (program.eval(&[x]), op.eval(&[x]));
                assert!(got == want || (got.is_nan() && want.is_nan()), "{op}({x}) of {dtype}: {got}, not {want}");
            }
        }
    }
}

#[test]
fn shifts_to_the_right_agree_with_their_reference() {
    for dtype in DType::ALL.into_iter().filter(|dtype| dtype.is_int()) {
        let program = (ScalarOp::SHR.def().expand)(dtype).expect("an expansion");
        let edges = [Scalar::lowest(dtype), Scalar::highest(dtype), Scalar::zero(dtype), Scalar::from_i64(-5, dtype)];
        for x in edges {
            for by in [0, 1, 3, 7, 8, 15, 16, 31, 32, 63, 64, -1, -64] {
                let by = Scalar::from_i64(by, dtype);
                assert_eq!(program.eval(&[x, by]), ScalarOp::SHR.eval(&[x, by]), "{x} by {by} of {dtype}");
            }
        }
    }
}

/// A program of one instruction after `f32` and `i32` parameters.
fn with_instr(instr: Instr) -> Result<DType, String> {
    let program = ScalarProgram { body: vec![Instr::Param(0), Instr::Param(1), instr], result: Reg(2) };
    program.validate(&[DType::F32, DType::I32])
}

#[test]
fn ill_typed_programs_are_told_why() {
    let cases = [
        (Instr::Param(2), "instruction 2: there are 2 parameters, not 3"),
        (Instr::Cast(DType::F32, Reg(2)), "instruction 2: instruction 2 is not defined before its use"),
        (Instr::Apply(ScalarOp::NEG, vec![]), "instruction 2: neg takes 1 operands, not 0"),
        (
            Instr::Apply(ScalarOp::ADD, vec![Reg(0), Reg(1)]),
            "instruction 2: add: operands must have one element type, not f32 and i32: cast one of them",
        ),
        (Instr::Apply(ScalarOp::EXP, vec![Reg(1)]), "instruction 2: exp: operands must have a float type, not i32"),
        (Instr::Bitcast(DType::F64, Reg(0)), "instruction 2: f32 and f64 differ in size: bits can't be reinterpreted"),
    ];
    for (instr, message) in cases {
        assert_eq!(with_instr(instr), Err(message.to_string()));
    }
    assert_eq!(with_instr(Instr::Bitcast(DType::I32, Reg(0))), Ok(DType::I32));
    assert_eq!(
        ProgramBuilder::new().finish(Reg(0)).validate(&[]),
        Err("result: instruction 0 is not defined before its use".into())
    );
}
