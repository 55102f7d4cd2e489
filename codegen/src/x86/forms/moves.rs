//! Moves, broadcasts, conversions; and fused multiply-add, whose three encodings differ in what they overwrite.

use super::Form;
use iced_x86::Code;

/// Copies within 128 bits: the lanes of 32 bits that the immediate names.
pub(in crate::x86) static SHUFFLE: Form = form!(
    4,
    false,
    [VEX_Vpermilps_xmm_xmmm128_imm8, VEX_Vpermilps_ymm_ymmm256_imm8],
    [
        EVEX_Vpermilps_xmm_k1z_xmmm128b32_imm8,
        EVEX_Vpermilps_ymm_k1z_ymmm256b32_imm8,
        EVEX_Vpermilps_zmm_k1z_zmmm512b32_imm8
    ]
);
/// Two lanes of 32 bits of one source, then two of the other, in each 128 bits.
pub(in crate::x86) static SHUFFLE_TWO: Form = form!(
    4,
    false,
    [VEX_Vshufps_xmm_xmm_xmmm128_imm8, VEX_Vshufps_ymm_ymm_ymmm256_imm8],
    [
        EVEX_Vshufps_xmm_k1z_xmm_xmmm128b32_imm8,
        EVEX_Vshufps_ymm_k1z_ymm_ymmm256b32_imm8,
        EVEX_Vshufps_zmm_k1z_zmm_zmmm512b32_imm8
    ]
);
/// The lower 64 bits of one source, then those of the other, in each 128 bits.
pub(in crate::x86) static LOWER_HALVES: Form = form!(
    8,
    false,
    [VEX_Vunpcklpd_xmm_xmm_xmmm128, VEX_Vunpcklpd_ymm_ymm_ymmm256],
    [
        EVEX_Vunpcklpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vunpcklpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vunpcklpd_zmm_k1z_zmm_zmmm512b64
    ]
);
/// The upper 64 bits of one source, then those of the other, in each 128 bits.
pub(in crate::x86) static UPPER_HALVES: Form = form!(
    8,
    false,
    [VEX_Vunpckhpd_xmm_xmm_xmmm128, VEX_Vunpckhpd_ymm_ymm_ymmm256],
    [
        EVEX_Vunpckhpd_xmm_k1z_xmm_xmmm128b64,
        EVEX_Vunpckhpd_ymm_k1z_ymm_ymmm256b64,
        EVEX_Vunpckhpd_zmm_k1z_zmm_zmmm512b64
    ]
);
/// Lanes of 32 bits of both sources by turns, the lower two of each in each 128 bits.
pub(in crate::x86) static LOWER_WORDS: Form = form!(
    4,
    false,
    [VEX_Vunpcklps_xmm_xmm_xmmm128, VEX_Vunpcklps_ymm_ymm_ymmm256],
    [
        EVEX_Vunpcklps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vunpcklps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vunpcklps_zmm_k1z_zmm_zmmm512b32
    ]
);
/// The same of the upper two.
pub(in crate::x86) static UPPER_WORDS: Form = form!(
    4,
    false,
    [VEX_Vunpckhps_xmm_xmm_xmmm128, VEX_Vunpckhps_ymm_ymm_ymmm256],
    [
        EVEX_Vunpckhps_xmm_k1z_xmm_xmmm128b32,
        EVEX_Vunpckhps_ymm_k1z_ymm_ymmm256b32,
        EVEX_Vunpckhps_zmm_k1z_zmm_zmmm512b32
    ]
);
/// Lanes of 32 bits of the second source at the places that the first names, across the whole vector. Has no form of 128 bits.
pub(in crate::x86) static PERMUTE_WORDS: Form = form!(
    0,
    false,
    [VEX_Vpermd_ymm_ymm_ymmm256, VEX_Vpermd_ymm_ymm_ymmm256],
    [EVEX_Vpermd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpermd_ymm_k1z_ymm_ymmm256b32, EVEX_Vpermd_zmm_k1z_zmm_zmmm512b32]
);
/// Moves of whole vectors: loads, and copies of registers.
pub(in crate::x86) static MOVE: Form = form!(
    0,
    false,
    [VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256],
    [EVEX_Vmovups_xmm_k1z_xmmm128, EVEX_Vmovups_ymm_k1z_ymmm256, EVEX_Vmovups_zmm_k1z_zmmm512]
);
/// The same with masks of 64-bit lanes.
pub(in crate::x86) static MOVE_DOUBLE: Form = form!(
    0,
    false,
    [VEX_Vmovupd_xmm_xmmm128, VEX_Vmovupd_ymm_ymmm256],
    [EVEX_Vmovupd_xmm_k1z_xmmm128, EVEX_Vmovupd_ymm_k1z_ymmm256, EVEX_Vmovupd_zmm_k1z_zmmm512]
);
/// Stores of whole vectors.
pub(in crate::x86) static STORE: Form = form!(
    0,
    false,
    [VEX_Vmovups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm],
    [EVEX_Vmovups_xmmm128_k1z_xmm, EVEX_Vmovups_ymmm256_k1z_ymm, EVEX_Vmovups_zmmm512_k1z_zmm]
);
/// Stores past the caches, of whole vectors that are aligned to their size.
pub(in crate::x86) static STREAM: Form = form!(
    0,
    false,
    [VEX_Vmovntps_m128_xmm, VEX_Vmovntps_m256_ymm],
    [EVEX_Vmovntps_m128_xmm, EVEX_Vmovntps_m256_ymm, EVEX_Vmovntps_m512_zmm]
);
/// The same with masks of 64-bit lanes.
pub(in crate::x86) static STORE_DOUBLE: Form = form!(
    0,
    false,
    [VEX_Vmovupd_xmmm128_xmm, VEX_Vmovupd_ymmm256_ymm],
    [EVEX_Vmovupd_xmmm128_k1z_xmm, EVEX_Vmovupd_ymmm256_k1z_ymm, EVEX_Vmovupd_zmmm512_k1z_zmm]
);
/// Bytes, with a mask of bytes: loads.
pub(in crate::x86) static MOVE_BYTES: Form = form!(
    0,
    false,
    [VEX_Vmovdqu_xmm_xmmm128, VEX_Vmovdqu_ymm_ymmm256],
    [EVEX_Vmovdqu8_xmm_k1z_xmmm128, EVEX_Vmovdqu8_ymm_k1z_ymmm256, EVEX_Vmovdqu8_zmm_k1z_zmmm512]
);
/// Bytes, with a mask of bytes: stores.
pub(in crate::x86) static STORE_BYTES: Form = form!(
    0,
    false,
    [VEX_Vmovdqu_xmmm128_xmm, VEX_Vmovdqu_ymmm256_ymm],
    [EVEX_Vmovdqu8_xmmm128_k1z_xmm, EVEX_Vmovdqu8_ymmm256_k1z_ymm, EVEX_Vmovdqu8_zmmm512_k1z_zmm]
);
/// Loads of the lanes that a vector mask names; the others are 0 and not touched.
pub(in crate::x86) static MASKED_LOAD: [Form; 2] = [
    form!(0, false, [VEX_Vmaskmovps_xmm_xmm_m128, VEX_Vmaskmovps_ymm_ymm_m256], [INVALID, INVALID, INVALID]),
    form!(0, false, [VEX_Vmaskmovpd_xmm_xmm_m128, VEX_Vmaskmovpd_ymm_ymm_m256], [INVALID, INVALID, INVALID]),
];
/// The first lane of a register or of memory in all lanes.
pub(in crate::x86) static BROADCAST: [Form; 2] = [
    form!(
        0,
        false,
        [VEX_Vpbroadcastd_xmm_xmmm32, VEX_Vpbroadcastd_ymm_xmmm32],
        [EVEX_Vbroadcastss_xmm_k1z_xmmm32, EVEX_Vbroadcastss_ymm_k1z_xmmm32, EVEX_Vbroadcastss_zmm_k1z_xmmm32]
    ),
    form!(
        0,
        false,
        [VEX_Vpbroadcastq_xmm_xmmm64, VEX_Vpbroadcastq_ymm_xmmm64],
        [EVEX_Vpbroadcastq_xmm_k1z_xmmm64, EVEX_Vbroadcastsd_ymm_k1z_xmmm64, EVEX_Vbroadcastsd_zmm_k1z_xmmm64]
    ),
];
/// `c` where the vector mask is set, else `b`.
pub(in crate::x86) static BLEND_VECTOR: [Form; 2] = [
    form!(
        0,
        false,
        [VEX_Vblendvps_xmm_xmm_xmmm128_xmm, VEX_Vblendvps_ymm_ymm_ymmm256_ymm],
        [INVALID, INVALID, INVALID]
    ),
    form!(
        0,
        false,
        [VEX_Vblendvpd_xmm_xmm_xmmm128_xmm, VEX_Vblendvpd_ymm_ymm_ymmm256_ymm],
        [INVALID, INVALID, INVALID]
    ),
];
/// Conversions to lanes of twice the size: the width is that of the result.
pub(in crate::x86) static F32_TO_F64: Form = form!(
    0,
    false,
    [VEX_Vcvtps2pd_xmm_xmmm64, VEX_Vcvtps2pd_ymm_xmmm128],
    [EVEX_Vcvtps2pd_xmm_k1z_xmmm64b32, EVEX_Vcvtps2pd_ymm_k1z_xmmm128b32, EVEX_Vcvtps2pd_zmm_k1z_ymmm256b32_sae]
);
pub(in crate::x86) static I32_TO_F64: Form = form!(
    0,
    false,
    [VEX_Vcvtdq2pd_xmm_xmmm64, VEX_Vcvtdq2pd_ymm_xmmm128],
    [EVEX_Vcvtdq2pd_xmm_k1z_xmmm64b32, EVEX_Vcvtdq2pd_ymm_k1z_xmmm128b32, EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er]
);
pub(in crate::x86) static I32_TO_I64: Form = form!(
    0,
    false,
    [VEX_Vpmovsxdq_xmm_xmmm64, VEX_Vpmovsxdq_ymm_xmmm128],
    [EVEX_Vpmovsxdq_xmm_k1z_xmmm64, EVEX_Vpmovsxdq_ymm_k1z_xmmm128, EVEX_Vpmovsxdq_zmm_k1z_ymmm256]
);
pub(in crate::x86) static U32_TO_I64: Form = form!(
    0,
    false,
    [VEX_Vpmovzxdq_xmm_xmmm64, VEX_Vpmovzxdq_ymm_xmmm128],
    [EVEX_Vpmovzxdq_xmm_k1z_xmmm64, EVEX_Vpmovzxdq_ymm_k1z_xmmm128, EVEX_Vpmovzxdq_zmm_k1z_ymmm256]
);
pub(in crate::x86) static F32_TO_I64: Form = form!(
    0,
    false,
    [INVALID, INVALID],
    [EVEX_Vcvttps2qq_xmm_k1z_xmmm64b32, EVEX_Vcvttps2qq_ymm_k1z_xmmm128b32, EVEX_Vcvttps2qq_zmm_k1z_ymmm256b32_sae]
);
/// Conversions to lanes of half the size: the width is that of the source.
pub(in crate::x86) static F64_TO_F32: Form = form!(
    0,
    false,
    [VEX_Vcvtpd2ps_xmm_xmmm128, VEX_Vcvtpd2ps_xmm_ymmm256],
    [EVEX_Vcvtpd2ps_xmm_k1z_xmmm128b64, EVEX_Vcvtpd2ps_xmm_k1z_ymmm256b64, EVEX_Vcvtpd2ps_ymm_k1z_zmmm512b64_er]
);
pub(in crate::x86) static F64_TO_I32: Form = form!(
    0,
    false,
    [VEX_Vcvttpd2dq_xmm_xmmm128, VEX_Vcvttpd2dq_xmm_ymmm256],
    [EVEX_Vcvttpd2dq_xmm_k1z_xmmm128b64, EVEX_Vcvttpd2dq_xmm_k1z_ymmm256b64, EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae]
);
pub(in crate::x86) static I64_TO_F32: Form = form!(
    0,
    false,
    [INVALID, INVALID],
    [EVEX_Vcvtqq2ps_xmm_k1z_xmmm128b64, EVEX_Vcvtqq2ps_xmm_k1z_ymmm256b64, EVEX_Vcvtqq2ps_ymm_k1z_zmmm512b64_er]
);
/// Bytes and 16-bit words to lanes of 32 bits, zero-extended.
pub(in crate::x86) static BYTES_TO_LANES: Form = form!(
    0,
    false,
    [VEX_Vpmovzxbd_xmm_xmmm32, VEX_Vpmovzxbd_ymm_xmmm64],
    [EVEX_Vpmovzxbd_xmm_k1z_xmmm32, EVEX_Vpmovzxbd_ymm_k1z_xmmm64, EVEX_Vpmovzxbd_zmm_k1z_xmmm128]
);
/// Bytes to lanes of 32 bits, sign-extended.
pub(in crate::x86) static SIGNED_BYTES_TO_LANES: Form = form!(
    0,
    false,
    [VEX_Vpmovsxbd_xmm_xmmm32, VEX_Vpmovsxbd_ymm_xmmm64],
    [EVEX_Vpmovsxbd_xmm_k1z_xmmm32, EVEX_Vpmovsxbd_ymm_k1z_xmmm64, EVEX_Vpmovsxbd_zmm_k1z_xmmm128]
);
/// Words to lanes of 32 bits, sign-extended.
pub(in crate::x86) static SIGNED_WORDS_TO_LANES: Form = form!(
    0,
    false,
    [VEX_Vpmovsxwd_xmm_xmmm64, VEX_Vpmovsxwd_ymm_xmmm128],
    [EVEX_Vpmovsxwd_xmm_k1z_xmmm64, EVEX_Vpmovsxwd_ymm_k1z_xmmm128, EVEX_Vpmovsxwd_zmm_k1z_ymmm256]
);
pub(in crate::x86) static WORDS_TO_LANES: Form = form!(
    0,
    false,
    [VEX_Vpmovzxwd_xmm_xmmm64, VEX_Vpmovzxwd_ymm_xmmm128],
    [EVEX_Vpmovzxwd_xmm_k1z_xmmm64, EVEX_Vpmovzxwd_ymm_k1z_xmmm128, EVEX_Vpmovzxwd_zmm_k1z_ymmm256]
);
pub(in crate::x86) static HALVES_TO_LANES: Form = form!(
    0,
    false,
    [VEX_Vcvtph2ps_xmm_xmmm64, VEX_Vcvtph2ps_ymm_xmmm128],
    [EVEX_Vcvtph2ps_xmm_k1z_xmmm64, EVEX_Vcvtph2ps_ymm_k1z_xmmm128, EVEX_Vcvtph2ps_zmm_k1z_ymmm256_sae]
);
pub(in crate::x86) static LANES_TO_HALVES: Form = form!(
    0,
    false,
    [VEX_Vcvtps2ph_xmmm64_xmm_imm8, VEX_Vcvtps2ph_xmmm128_ymm_imm8],
    [EVEX_Vcvtps2ph_xmmm64_k1z_xmm_imm8, EVEX_Vcvtps2ph_xmmm128_k1z_ymm_imm8, EVEX_Vcvtps2ph_ymmm256_k1z_zmm_imm8_sae]
);
/// Fused multiply-add: `[132, 213, 231]` by element size.
pub(in crate::x86) static FMA: [[Form; 3]; 2] = [
    [
        form!(
            4,
            false,
            [VEX_Vfmadd132ps_xmm_xmm_xmmm128, VEX_Vfmadd132ps_ymm_ymm_ymmm256],
            [
                EVEX_Vfmadd132ps_xmm_k1z_xmm_xmmm128b32,
                EVEX_Vfmadd132ps_ymm_k1z_ymm_ymmm256b32,
                EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er
            ]
        ),
        form!(
            4,
            false,
            [VEX_Vfmadd213ps_xmm_xmm_xmmm128, VEX_Vfmadd213ps_ymm_ymm_ymmm256],
            [
                EVEX_Vfmadd213ps_xmm_k1z_xmm_xmmm128b32,
                EVEX_Vfmadd213ps_ymm_k1z_ymm_ymmm256b32,
                EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er
            ]
        ),
        form!(
            4,
            false,
            [VEX_Vfmadd231ps_xmm_xmm_xmmm128, VEX_Vfmadd231ps_ymm_ymm_ymmm256],
            [
                EVEX_Vfmadd231ps_xmm_k1z_xmm_xmmm128b32,
                EVEX_Vfmadd231ps_ymm_k1z_ymm_ymmm256b32,
                EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er
            ]
        ),
    ],
    [
        form!(
            8,
            false,
            [VEX_Vfmadd132pd_xmm_xmm_xmmm128, VEX_Vfmadd132pd_ymm_ymm_ymmm256],
            [
                EVEX_Vfmadd132pd_xmm_k1z_xmm_xmmm128b64,
                EVEX_Vfmadd132pd_ymm_k1z_ymm_ymmm256b64,
                EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er
            ]
        ),
        form!(
            8,
            false,
            [VEX_Vfmadd213pd_xmm_xmm_xmmm128, VEX_Vfmadd213pd_ymm_ymm_ymmm256],
            [
                EVEX_Vfmadd213pd_xmm_k1z_xmm_xmmm128b64,
                EVEX_Vfmadd213pd_ymm_k1z_ymm_ymmm256b64,
                EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er
            ]
        ),
        form!(
            8,
            false,
            [VEX_Vfmadd231pd_xmm_xmm_xmmm128, VEX_Vfmadd231pd_ymm_ymm_ymmm256],
            [
                EVEX_Vfmadd231pd_xmm_k1z_xmm_xmmm128b64,
                EVEX_Vfmadd231pd_ymm_k1z_ymm_ymmm256b64,
                EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er
            ]
        ),
    ],
];
