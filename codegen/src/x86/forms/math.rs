//! Arithmetic, comparisons, logic, shifts.

use super::Form;
use iced_x86::Code;

/// Sum of floats.
pub(in crate::x86) static ADD: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vaddps_xmm_xmm_xmmm128, VEX_Vaddps_ymm_ymm_ymmm256],
        [EVEX_Vaddps_xmm_k1z_xmm_xmmm128b32, EVEX_Vaddps_ymm_k1z_ymm_ymmm256b32, EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er]
    ),
    form!(
        8,
        true,
        [VEX_Vaddpd_xmm_xmm_xmmm128, VEX_Vaddpd_ymm_ymm_ymmm256],
        [EVEX_Vaddpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vaddpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er]
    ),
];
/// Difference of floats.
pub(in crate::x86) static SUB: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vsubps_xmm_xmm_xmmm128, VEX_Vsubps_ymm_ymm_ymmm256],
        [EVEX_Vsubps_xmm_k1z_xmm_xmmm128b32, EVEX_Vsubps_ymm_k1z_ymm_ymmm256b32, EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er]
    ),
    form!(
        8,
        false,
        [VEX_Vsubpd_xmm_xmm_xmmm128, VEX_Vsubpd_ymm_ymm_ymmm256],
        [EVEX_Vsubpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vsubpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er]
    ),
];
/// Product of floats.
pub(in crate::x86) static MUL: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vmulps_xmm_xmm_xmmm128, VEX_Vmulps_ymm_ymm_ymmm256],
        [EVEX_Vmulps_xmm_k1z_xmm_xmmm128b32, EVEX_Vmulps_ymm_k1z_ymm_ymmm256b32, EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er]
    ),
    form!(
        8,
        true,
        [VEX_Vmulpd_xmm_xmm_xmmm128, VEX_Vmulpd_ymm_ymm_ymmm256],
        [EVEX_Vmulpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vmulpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er]
    ),
];
/// Quotient of floats.
pub(in crate::x86) static DIV: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vdivps_xmm_xmm_xmmm128, VEX_Vdivps_ymm_ymm_ymmm256],
        [EVEX_Vdivps_xmm_k1z_xmm_xmmm128b32, EVEX_Vdivps_ymm_k1z_ymm_ymmm256b32, EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er]
    ),
    form!(
        8,
        false,
        [VEX_Vdivpd_xmm_xmm_xmmm128, VEX_Vdivpd_ymm_ymm_ymmm256],
        [EVEX_Vdivpd_xmm_k1z_xmm_xmmm128b64, EVEX_Vdivpd_ymm_k1z_ymm_ymmm256b64, EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er]
    ),
];
/// `a < b ? a : b` of floats.
pub(in crate::x86) static MIN: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vminps_xmm_xmm_xmmm128, VEX_Vminps_ymm_ymm_ymmm256],
        [
            EVEX_Vminps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vminps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae
        ]
    ),
    form!(
        8,
        false,
        [VEX_Vminpd_xmm_xmm_xmmm128, VEX_Vminpd_ymm_ymm_ymmm256],
        [
            EVEX_Vminpd_xmm_k1z_xmm_xmmm128b64,
            EVEX_Vminpd_ymm_k1z_ymm_ymmm256b64,
            EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae
        ]
    ),
];
/// `a > b ? a : b` of floats.
pub(in crate::x86) static MAX: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vmaxps_xmm_xmm_xmmm128, VEX_Vmaxps_ymm_ymm_ymmm256],
        [
            EVEX_Vmaxps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vmaxps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae
        ]
    ),
    form!(
        8,
        false,
        [VEX_Vmaxpd_xmm_xmm_xmmm128, VEX_Vmaxpd_ymm_ymm_ymmm256],
        [
            EVEX_Vmaxpd_xmm_k1z_xmm_xmmm128b64,
            EVEX_Vmaxpd_ymm_k1z_ymm_ymmm256b64,
            EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae
        ]
    ),
];
/// Extrema that order zeros by their signs.
pub(in crate::x86) static RANGE: [Form; 2] = [
    form!(
        4,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vrangeps_xmm_k1z_xmm_xmmm128b32_imm8,
            EVEX_Vrangeps_ymm_k1z_ymm_ymmm256b32_imm8,
            EVEX_Vrangeps_zmm_k1z_zmm_zmmm512b32_imm8_sae
        ]
    ),
    form!(
        8,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vrangepd_xmm_k1z_xmm_xmmm128b64_imm8,
            EVEX_Vrangepd_ymm_k1z_ymm_ymmm256b64_imm8,
            EVEX_Vrangepd_zmm_k1z_zmm_zmmm512b64_imm8_sae
        ]
    ),
];
/// Square root.
pub(in crate::x86) static SQRT: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vsqrtps_xmm_xmmm128, VEX_Vsqrtps_ymm_ymmm256],
        [EVEX_Vsqrtps_xmm_k1z_xmmm128b32, EVEX_Vsqrtps_ymm_k1z_ymmm256b32, EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er]
    ),
    form!(
        8,
        false,
        [VEX_Vsqrtpd_xmm_xmmm128, VEX_Vsqrtpd_ymm_ymmm256],
        [EVEX_Vsqrtpd_xmm_k1z_xmmm128b64, EVEX_Vsqrtpd_ymm_k1z_ymmm256b64, EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er]
    ),
];
/// Rounding to integral values, by the mode in the immediate.
pub(in crate::x86) static ROUND: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vroundps_xmm_xmmm128_imm8, VEX_Vroundps_ymm_ymmm256_imm8],
        [
            EVEX_Vrndscaleps_xmm_k1z_xmmm128b32_imm8,
            EVEX_Vrndscaleps_ymm_k1z_ymmm256b32_imm8,
            EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae
        ]
    ),
    form!(
        8,
        false,
        [VEX_Vroundpd_xmm_xmmm128_imm8, VEX_Vroundpd_ymm_ymmm256_imm8],
        [
            EVEX_Vrndscalepd_xmm_k1z_xmmm128b64_imm8,
            EVEX_Vrndscalepd_ymm_k1z_ymmm256b64_imm8,
            EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae
        ]
    ),
];
/// Bitwise and.
pub(in crate::x86) static AND: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vandps_xmm_xmm_xmmm128, VEX_Vandps_ymm_ymm_ymmm256],
        [EVEX_Vpandd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpandd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [VEX_Vandpd_xmm_xmm_xmmm128, VEX_Vandpd_ymm_ymm_ymmm256],
        [EVEX_Vpandq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpandq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Bitwise or.
pub(in crate::x86) static OR: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vorps_xmm_xmm_xmmm128, VEX_Vorps_ymm_ymm_ymmm256],
        [EVEX_Vpord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpord_ymm_k1z_ymm_ymmm256b32, EVEX_Vpord_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [VEX_Vorpd_xmm_xmm_xmmm128, VEX_Vorpd_ymm_ymm_ymmm256],
        [EVEX_Vporq_xmm_k1z_xmm_xmmm128b64, EVEX_Vporq_ymm_k1z_ymm_ymmm256b64, EVEX_Vporq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Bitwise exclusive or.
pub(in crate::x86) static XOR: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vxorps_xmm_xmm_xmmm128, VEX_Vxorps_ymm_ymm_ymmm256],
        [EVEX_Vpxord_xmm_k1z_xmm_xmmm128b32, EVEX_Vpxord_ymm_k1z_ymm_ymmm256b32, EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [VEX_Vxorpd_xmm_xmm_xmmm128, VEX_Vxorpd_ymm_ymm_ymmm256],
        [EVEX_Vpxorq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpxorq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// `!a & b`.
pub(in crate::x86) static ANDN: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vandnps_xmm_xmm_xmmm128, VEX_Vandnps_ymm_ymm_ymmm256],
        [EVEX_Vpandnd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpandnd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpandnd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        false,
        [VEX_Vandnpd_xmm_xmm_xmmm128, VEX_Vandnpd_ymm_ymm_ymmm256],
        [EVEX_Vpandnq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpandnq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpandnq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Sum of integers.
pub(in crate::x86) static IADD: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vpaddd_xmm_xmm_xmmm128, VEX_Vpaddd_ymm_ymm_ymmm256],
        [EVEX_Vpaddd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpaddd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [VEX_Vpaddq_xmm_xmm_xmmm128, VEX_Vpaddq_ymm_ymm_ymmm256],
        [EVEX_Vpaddq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpaddq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Difference of integers.
pub(in crate::x86) static ISUB: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vpsubd_xmm_xmm_xmmm128, VEX_Vpsubd_ymm_ymm_ymmm256],
        [EVEX_Vpsubd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpsubd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        false,
        [VEX_Vpsubq_xmm_xmm_xmmm128, VEX_Vpsubq_ymm_ymm_ymmm256],
        [EVEX_Vpsubq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpsubq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Product of integers.
pub(in crate::x86) static IMUL: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vpmulld_xmm_xmm_xmmm128, VEX_Vpmulld_ymm_ymm_ymmm256],
        [EVEX_Vpmulld_xmm_k1z_xmm_xmmm128b32, EVEX_Vpmulld_ymm_k1z_ymm_ymmm256b32, EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [INVALID, INVALID],
        [EVEX_Vpmullq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpmullq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Products of the lower halves of 64-bit lanes.
pub(in crate::x86) static MULU: [Form; 2] = [
    form!(
        8,
        true,
        [VEX_Vpmuludq_xmm_xmm_xmmm128, VEX_Vpmuludq_ymm_ymm_ymmm256],
        [
            EVEX_Vpmuludq_xmm_k1z_xmm_xmmm128b64,
            EVEX_Vpmuludq_ymm_k1z_ymm_ymmm256b64,
            EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64
        ]
    ),
    form!(
        8,
        true,
        [VEX_Vpmuludq_xmm_xmm_xmmm128, VEX_Vpmuludq_ymm_ymm_ymmm256],
        [
            EVEX_Vpmuludq_xmm_k1z_xmm_xmmm128b64,
            EVEX_Vpmuludq_ymm_k1z_ymm_ymmm256b64,
            EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64
        ]
    ),
];
/// Smaller integer.
pub(in crate::x86) static IMIN: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vpminsd_xmm_xmm_xmmm128, VEX_Vpminsd_ymm_ymm_ymmm256],
        [EVEX_Vpminsd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpminsd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [INVALID, INVALID],
        [EVEX_Vpminsq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpminsq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Larger integer.
pub(in crate::x86) static IMAX: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vpmaxsd_xmm_xmm_xmmm128, VEX_Vpmaxsd_ymm_ymm_ymmm256],
        [EVEX_Vpmaxsd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpmaxsd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [INVALID, INVALID],
        [EVEX_Vpmaxsq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpmaxsq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Smaller integer without a sign.
pub(in crate::x86) static UMIN: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vpminud_xmm_xmm_xmmm128, VEX_Vpminud_ymm_ymm_ymmm256],
        [EVEX_Vpminud_xmm_k1z_xmm_xmmm128b32, EVEX_Vpminud_ymm_k1z_ymm_ymmm256b32, EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [INVALID, INVALID],
        [EVEX_Vpminuq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpminuq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpminuq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Larger integer without a sign.
pub(in crate::x86) static UMAX: [Form; 2] = [
    form!(
        4,
        true,
        [VEX_Vpmaxud_xmm_xmm_xmmm128, VEX_Vpmaxud_ymm_ymm_ymmm256],
        [EVEX_Vpmaxud_xmm_k1z_xmm_xmmm128b32, EVEX_Vpmaxud_ymm_k1z_ymm_ymmm256b32, EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [INVALID, INVALID],
        [EVEX_Vpmaxuq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpmaxuq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpmaxuq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Magnitude of integers.
pub(in crate::x86) static IABS: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vpabsd_xmm_xmmm128, VEX_Vpabsd_ymm_ymmm256],
        [EVEX_Vpabsd_xmm_k1z_xmmm128b32, EVEX_Vpabsd_ymm_k1z_ymmm256b32, EVEX_Vpabsd_zmm_k1z_zmmm512b32]
    ),
    form!(
        8,
        false,
        [INVALID, INVALID],
        [EVEX_Vpabsq_xmm_k1z_xmmm128b64, EVEX_Vpabsq_ymm_k1z_ymmm256b64, EVEX_Vpabsq_zmm_k1z_zmmm512b64]
    ),
];
/// Left shift by the immediate.
pub(in crate::x86) static SHL_BY: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vpslld_xmm_xmm_imm8, VEX_Vpslld_ymm_ymm_imm8],
        [EVEX_Vpslld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpslld_ymm_k1z_ymmm256b32_imm8, EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8]
    ),
    form!(
        8,
        false,
        [VEX_Vpsllq_xmm_xmm_imm8, VEX_Vpsllq_ymm_ymm_imm8],
        [EVEX_Vpsllq_xmm_k1z_xmmm128b64_imm8, EVEX_Vpsllq_ymm_k1z_ymmm256b64_imm8, EVEX_Vpsllq_zmm_k1z_zmmm512b64_imm8]
    ),
];
/// Logical right shift by the immediate.
pub(in crate::x86) static SHR_BY: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vpsrld_xmm_xmm_imm8, VEX_Vpsrld_ymm_ymm_imm8],
        [EVEX_Vpsrld_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrld_ymm_k1z_ymmm256b32_imm8, EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8]
    ),
    form!(
        8,
        false,
        [VEX_Vpsrlq_xmm_xmm_imm8, VEX_Vpsrlq_ymm_ymm_imm8],
        [EVEX_Vpsrlq_xmm_k1z_xmmm128b64_imm8, EVEX_Vpsrlq_ymm_k1z_ymmm256b64_imm8, EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8]
    ),
];
/// Right shift of 32-bit lanes by the immediate, the sign moving in.
pub(in crate::x86) static SAR_BY: Form = form!(
    4,
    false,
    [VEX_Vpsrad_xmm_xmm_imm8, VEX_Vpsrad_ymm_ymm_imm8],
    [EVEX_Vpsrad_xmm_k1z_xmmm128b32_imm8, EVEX_Vpsrad_ymm_k1z_ymmm256b32_imm8, EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8]
);
/// Left shift, lane by lane.
pub(in crate::x86) static SHL: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vpsllvd_xmm_xmm_xmmm128, VEX_Vpsllvd_ymm_ymm_ymmm256],
        [EVEX_Vpsllvd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpsllvd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        false,
        [VEX_Vpsllvq_xmm_xmm_xmmm128, VEX_Vpsllvq_ymm_ymm_ymmm256],
        [EVEX_Vpsllvq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpsllvq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpsllvq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Logical right shift, lane by lane.
pub(in crate::x86) static SHR: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vpsrlvd_xmm_xmm_xmmm128, VEX_Vpsrlvd_ymm_ymm_ymmm256],
        [EVEX_Vpsrlvd_xmm_k1z_xmm_xmmm128b32, EVEX_Vpsrlvd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32]
    ),
    form!(
        8,
        false,
        [VEX_Vpsrlvq_xmm_xmm_xmmm128, VEX_Vpsrlvq_ymm_ymm_ymmm256],
        [EVEX_Vpsrlvq_xmm_k1z_xmm_xmmm128b64, EVEX_Vpsrlvq_ymm_k1z_ymm_ymmm256b64, EVEX_Vpsrlvq_zmm_k1z_zmm_zmmm512b64]
    ),
];
/// Comparison of floats: a mask.
pub(in crate::x86) static CMP: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vcmpps_xmm_xmm_xmmm128_imm8, VEX_Vcmpps_ymm_ymm_ymmm256_imm8],
        [
            EVEX_Vcmpps_kr_k1_xmm_xmmm128b32_imm8,
            EVEX_Vcmpps_kr_k1_ymm_ymmm256b32_imm8,
            EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae
        ]
    ),
    form!(
        8,
        false,
        [VEX_Vcmppd_xmm_xmm_xmmm128_imm8, VEX_Vcmppd_ymm_ymm_ymmm256_imm8],
        [
            EVEX_Vcmppd_kr_k1_xmm_xmmm128b64_imm8,
            EVEX_Vcmppd_kr_k1_ymm_ymmm256b64_imm8,
            EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae
        ]
    ),
];
/// Comparison of integers: a mask register.
pub(in crate::x86) static ICMP: [Form; 2] = [
    form!(
        4,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vpcmpd_kr_k1_xmm_xmmm128b32_imm8,
            EVEX_Vpcmpd_kr_k1_ymm_ymmm256b32_imm8,
            EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8
        ]
    ),
    form!(
        8,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vpcmpq_kr_k1_xmm_xmmm128b64_imm8,
            EVEX_Vpcmpq_kr_k1_ymm_ymmm256b64_imm8,
            EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8
        ]
    ),
];
/// Comparison of integers without a sign by a predicate: a mask register.
pub(in crate::x86) static UCMP: [Form; 2] = [
    form!(
        4,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vpcmpud_kr_k1_xmm_xmmm128b32_imm8,
            EVEX_Vpcmpud_kr_k1_ymm_ymmm256b32_imm8,
            EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8
        ]
    ),
    form!(
        8,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vpcmpuq_kr_k1_xmm_xmmm128b64_imm8,
            EVEX_Vpcmpuq_kr_k1_ymm_ymmm256b64_imm8,
            EVEX_Vpcmpuq_kr_k1_zmm_zmmm512b64_imm8
        ]
    ),
];
/// Equality of integers: a vector mask.
pub(in crate::x86) static IEQ: [Form; 2] = [
    form!(0, true, [VEX_Vpcmpeqd_xmm_xmm_xmmm128, VEX_Vpcmpeqd_ymm_ymm_ymmm256], [INVALID, INVALID, INVALID]),
    form!(0, true, [VEX_Vpcmpeqq_xmm_xmm_xmmm128, VEX_Vpcmpeqq_ymm_ymm_ymmm256], [INVALID, INVALID, INVALID]),
];
/// `a > b` of integers: a vector mask.
pub(in crate::x86) static IGT: [Form; 2] = [
    form!(0, false, [VEX_Vpcmpgtd_xmm_xmm_xmmm128, VEX_Vpcmpgtd_ymm_ymm_ymmm256], [INVALID, INVALID, INVALID]),
    form!(0, false, [VEX_Vpcmpgtq_xmm_xmm_xmmm128, VEX_Vpcmpgtq_ymm_ymm_ymmm256], [INVALID, INVALID, INVALID]),
];
/// Lanes of `a & b` that are not 0: a mask register.
pub(in crate::x86) static TEST: [Form; 2] = [
    form!(
        4,
        true,
        [INVALID, INVALID],
        [EVEX_Vptestmd_kr_k1_xmm_xmmm128b32, EVEX_Vptestmd_kr_k1_ymm_ymmm256b32, EVEX_Vptestmd_kr_k1_zmm_zmmm512b32]
    ),
    form!(
        8,
        true,
        [INVALID, INVALID],
        [EVEX_Vptestmq_kr_k1_xmm_xmmm128b64, EVEX_Vptestmq_kr_k1_ymm_ymmm256b64, EVEX_Vptestmq_kr_k1_zmm_zmmm512b64]
    ),
];
/// `b` where the mask register is set, else `a`.
pub(in crate::x86) static BLEND: [Form; 2] = [
    form!(
        4,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vblendmps_xmm_k1z_xmm_xmmm128b32,
            EVEX_Vblendmps_ymm_k1z_ymm_ymmm256b32,
            EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32
        ]
    ),
    form!(
        8,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vblendmpd_xmm_k1z_xmm_xmmm128b64,
            EVEX_Vblendmpd_ymm_k1z_ymm_ymmm256b64,
            EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64
        ]
    ),
];
/// `i32` to `f32`; `i64` to `f64`.
pub(in crate::x86) static FROM_INT: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vcvtdq2ps_xmm_xmmm128, VEX_Vcvtdq2ps_ymm_ymmm256],
        [EVEX_Vcvtdq2ps_xmm_k1z_xmmm128b32, EVEX_Vcvtdq2ps_ymm_k1z_ymmm256b32, EVEX_Vcvtdq2ps_zmm_k1z_zmmm512b32_er]
    ),
    form!(
        8,
        false,
        [INVALID, INVALID],
        [EVEX_Vcvtqq2pd_xmm_k1z_xmmm128b64, EVEX_Vcvtqq2pd_ymm_k1z_ymmm256b64, EVEX_Vcvtqq2pd_zmm_k1z_zmmm512b64_er]
    ),
];
/// `f32` to `i32`; `f64` to `i64`; what does not fit becomes the least integer.
pub(in crate::x86) static TO_INT: [Form; 2] = [
    form!(
        4,
        false,
        [VEX_Vcvttps2dq_xmm_xmmm128, VEX_Vcvttps2dq_ymm_ymmm256],
        [
            EVEX_Vcvttps2dq_xmm_k1z_xmmm128b32,
            EVEX_Vcvttps2dq_ymm_k1z_ymmm256b32,
            EVEX_Vcvttps2dq_zmm_k1z_zmmm512b32_sae
        ]
    ),
    form!(
        8,
        false,
        [INVALID, INVALID],
        [
            EVEX_Vcvttpd2qq_xmm_k1z_xmmm128b64,
            EVEX_Vcvttpd2qq_ymm_k1z_ymmm256b64,
            EVEX_Vcvttpd2qq_zmm_k1z_zmmm512b64_sae
        ]
    ),
];
