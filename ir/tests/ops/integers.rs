//! Integers of every width, with a sign and without, against Rust's own.

use ir::{DType, Scalar, ScalarOp};

macro_rules! agrees_with_rust {
    ($ty:ident, $variant:ident) => {{
        let edges =
            [0, 1, 2, 3, 7, 100, $ty::MAX / 2, $ty::MAX / 2 + 1, $ty::MAX - 1, $ty::MAX, $ty::MIN, $ty::MIN + 1];
        let scalar = Scalar::$variant;
        for x in edges {
            let unary = |op: ScalarOp| op.eval(&[scalar(x)]);
            assert_eq!(unary(ScalarOp::NEG), scalar((0 as $ty).wrapping_sub(x)));
            assert_eq!(unary(ScalarOp::NOT), scalar(!x));
            assert_eq!(unary(ScalarOp::RELU), scalar(x.max(0)));
            assert_eq!(Scalar::parse(&scalar(x).to_string(), DType::$variant), Some(scalar(x)));
            assert_eq!(scalar(x).cast(DType::F64), Scalar::F64(x as f64));
            assert_eq!(scalar(x).cast(DType::F32), Scalar::F32(x as f32));
            assert_eq!(scalar(x).cast(DType::I64), Scalar::I64(x as i64));
            assert_eq!(scalar(x).cast(DType::I32), Scalar::I32(x as i32));
            assert_eq!(scalar(x).cast(DType::I16), Scalar::I16(x as i16));
            assert_eq!(scalar(x).cast(DType::I8), Scalar::I8(x as i8));
            assert_eq!(scalar(x).cast(DType::U64), Scalar::U64(x as u64));
            assert_eq!(scalar(x).cast(DType::U32), Scalar::U32(x as u32));
            assert_eq!(scalar(x).cast(DType::U16), Scalar::U16(x as u16));
            assert_eq!(scalar(x).cast(DType::U8), Scalar::U8(x as u8));
            for y in edges {
                let binary = |op: ScalarOp| op.eval(&[scalar(x), scalar(y)]);
                assert_eq!(binary(ScalarOp::ADD), scalar(x.wrapping_add(y)));
                assert_eq!(binary(ScalarOp::SUB), scalar(x.wrapping_sub(y)));
                assert_eq!(binary(ScalarOp::MUL), scalar(x.wrapping_mul(y)));
                assert_eq!(binary(ScalarOp::DIV), scalar(if y == 0 { 0 } else { x.wrapping_div(y) }));
                assert_eq!(binary(ScalarOp::REM), scalar(if y == 0 { 0 } else { x.wrapping_rem(y) }));
                assert_eq!(binary(ScalarOp::MIN), scalar(x.min(y)));
                assert_eq!(binary(ScalarOp::MAX), scalar(x.max(y)));
                assert_eq!(binary(ScalarOp::LT), Scalar::Bool(x < y));
                let by = u32::try_from(y).unwrap_or(u32::MAX);
                let sign = if ScalarOp::LT.eval(&[scalar(x), scalar(0)]) == Scalar::Bool(true) {
                    (0 as $ty).wrapping_sub(1)
                } else {
                    0
                };
                assert_eq!(binary(ScalarOp::SHL), scalar(x.checked_shl(by).unwrap_or(0)));
                assert_eq!(binary(ScalarOp::SHR), scalar(x.checked_shr(by).unwrap_or(sign)));
                assert_eq!(binary(ScalarOp::GE), Scalar::Bool(x >= y));
                assert_eq!(binary(ScalarOp::EQ), Scalar::Bool(x == y));
            }
        }
        for x in [
            0.0,
            -0.9,
            -1.0,
            1.5,
            127.5,
            255.9,
            256.0,
            65535.5,
            65536.0,
            4294967295.5,
            4294967296.0,
            9.3e18,
            1.8446744073709552e19,
            1e30,
            -1e30,
        ] {
            assert_eq!(Scalar::F64(x).cast(DType::$variant), scalar(x as $ty), "{x}");
        }
        assert_eq!(Scalar::F32(f32::NAN).cast(DType::$variant), scalar(0));
        assert_eq!(Scalar::lowest(DType::$variant), scalar($ty::MIN));
        assert_eq!(Scalar::highest(DType::$variant), scalar($ty::MAX));
        assert_eq!(DType::$variant.size_bytes(), size_of::<$ty>());
        assert_eq!(DType::$variant.is_signed_int(), $ty::MIN != 0);
        assert_eq!(DType::$variant.is_unsigned_int(), $ty::MIN == 0);
    }};
}

#[test]
fn every_width_computes_as_rusts_integers_do() {
    agrees_with_rust!(i64, I64);
    agrees_with_rust!(i32, I32);
    agrees_with_rust!(i16, I16);
    agrees_with_rust!(i8, I8);
    agrees_with_rust!(u64, U64);
    agrees_with_rust!(u32, U32);
    agrees_with_rust!(u16, U16);
    agrees_with_rust!(u8, U8);
}

/// They went by way of `i64`, in which the upper half of `u64` is negative.
#[test]
fn the_upper_half_of_u64_is_positive() {
    let large = Scalar::U64(u64::MAX - 1);
    assert_eq!(ScalarOp::ABS.eval(&[large]), large);
    assert_eq!(ScalarOp::SIGN.eval(&[large]), Scalar::U64(1));
    assert_eq!(large.cast(DType::Bf16).as_f64(), 2f64.powi(64));
    assert_eq!(large.as_i128(), i128::from(u64::MAX) - 1);
}
