//! The steps for AVX2 and AVX-512.

use std::arch::x86_64::{__m128i, __m256, __m256i};

use pulp::cast;
use pulp::x86::{V3, V4};

use super::level::{ColumnGroup, GROUP, Level};
use super::portable::{self, Portable};

/// Permutes eight values out of a window, which is all that the two levels do
/// differently.
trait Permute: Copy {
    /// The instructions that both levels have.
    fn v3(self) -> V3;
    fn permute_16(self, window: &[f32; 16], offsets: __m256i) -> __m256;
    fn permute_32(self, window: &[f32; 32], offsets: __m256i) -> __m256;
}

impl Permute for V3 {
    #[inline(always)]
    fn v3(self) -> V3 {
        self
    }

    #[inline(always)]
    fn permute_16(self, window: &[f32; 16], offsets: __m256i) -> __m256 {
        let [lower, upper]: [__m256; 2] = cast(*window);
        let lower = self.avx2._mm256_permutevar8x32_ps(lower, offsets);
        let upper = self.avx2._mm256_permutevar8x32_ps(upper, offsets);
        // The 8 of the place becomes the sign, by which the blend goes.
        let from_upper = cast(self.avx2._mm256_slli_epi32::<28>(offsets));
        self.avx._mm256_blendv_ps(lower, upper, from_upper)
    }

    #[inline(always)]
    fn permute_32(self, window: &[f32; 32], offsets: __m256i) -> __m256 {
        let [lower, upper]: [[f32; 16]; 2] = cast(*window);
        let lower = self.permute_16(&lower, offsets);
        let upper = self.permute_16(&upper, offsets);
        let from_upper = cast(self.avx2._mm256_slli_epi32::<27>(offsets));
        self.avx._mm256_blendv_ps(lower, upper, from_upper)
    }
}

impl Permute for V4 {
    #[inline(always)]
    fn v3(self) -> V3 {
        *self
    }

    #[inline(always)]
    fn permute_16(self, window: &[f32; 16], offsets: __m256i) -> __m256 {
        let [lower, upper]: [__m256; 2] = cast(*window);
        self.avx512f._mm256_permutex2var_ps(lower, offsets, upper)
    }

    #[inline(always)]
    fn permute_32(self, window: &[f32; 32], offsets: __m256i) -> __m256 {
        let [a, b]: [[f32; 16]; 2] = cast(*window);
        let offsets = cast([offsets, offsets]);
        let permuted = self
            .avx512f
            ._mm512_permutex2var_ps(cast(a), offsets, cast(b));
        let [permuted, _]: [__m256; 2] = cast(permuted);
        permuted
    }
}

/// Pixels that are split at a time.
const PIXELS: usize = 16;

/// Where 16 values of a channel stand in a third of 16 pixels.
const fn offsets(third: usize, channel: usize) -> [u8; PIXELS] {
    let mut offsets = [0x80; PIXELS];
    let mut i = 0;
    while i < PIXELS {
        let byte = 3 * i + channel;
        if byte / PIXELS == third {
            offsets[i] = (byte % PIXELS) as u8;
        }
        i += 1;
    }
    offsets
}

/// By channel, then third.
const PLACES: [[[u8; PIXELS]; 3]; 3] = [
    [offsets(0, 0), offsets(1, 0), offsets(2, 0)],
    [offsets(0, 1), offsets(1, 1), offsets(2, 1)],
    [offsets(0, 2), offsets(1, 2), offsets(2, 2)],
];

impl<P: Permute> Level for P {
    #[inline(always)]
    fn resample<const COUNT: usize>(
        self,
        row: &[f32],
        group: &ColumnGroup,
        output: &mut [f32; GROUP],
    ) {
        let avx = self.v3().avx;
        let row = &row[group.first..];
        let mut terms = [cast([0f32; 8]); COUNT];
        let windows = (row.first_chunk::<16>(), row.first_chunk::<32>());
        match windows {
            (Some(window), _) if group.reach <= 16 => {
                for (k, term) in terms.iter_mut().enumerate() {
                    let permuted = self.permute_16(window, cast(group.offsets[k]));
                    *term = avx._mm256_mul_ps(permuted, cast(group.weights[k]));
                }
            }
            (_, Some(window)) if group.reach <= 32 => {
                for (k, term) in terms.iter_mut().enumerate() {
                    let permuted = self.permute_32(window, cast(group.offsets[k]));
                    *term = avx._mm256_mul_ps(permuted, cast(group.weights[k]));
                }
            }
            _ => {
                let group = ColumnGroup { first: 0, ..*group };
                return Portable.resample::<COUNT>(row, &group, output);
            }
        }
        let pair = avx._mm256_add_ps(terms[0], terms[1]);
        *output = cast(if COUNT == 2 {
            pair
        } else {
            let other = avx._mm256_add_ps(terms[COUNT - 2], terms[COUNT - 1]);
            avx._mm256_add_ps(pair, other)
        });
    }

    #[inline(always)]
    fn split_bytes(self, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]) {
        let simd = self.v3();
        let (blocks, _) = pixels.as_chunks::<PIXELS>();
        let whole = blocks.len() * PIXELS;
        let mut rest = planes;
        for (plane, offsets) in rest.iter_mut().zip(PLACES) {
            let (targets, _) = plane.as_chunks_mut::<PIXELS>();
            for (block, target) in blocks.iter().zip(targets) {
                let thirds: [__m128i; 3] = cast(*block);
                let a = simd.ssse3._mm_shuffle_epi8(thirds[0], cast(offsets[0]));
                let b = simd.ssse3._mm_shuffle_epi8(thirds[1], cast(offsets[1]));
                let c = simd.ssse3._mm_shuffle_epi8(thirds[2], cast(offsets[2]));
                let bytes = simd.sse2._mm_or_si128(simd.sse2._mm_or_si128(a, b), c);
                let lower = simd.avx2._mm256_cvtepu8_epi32(bytes);
                let bytes = simd.sse2._mm_srli_si128::<8>(bytes);
                let upper = simd.avx2._mm256_cvtepu8_epi32(bytes);
                *target = cast([
                    simd.avx._mm256_cvtepi32_ps(lower),
                    simd.avx._mm256_cvtepi32_ps(upper),
                ]);
            }
        }
        let rest = rest.map(|plane| plane.get_mut(whole..).unwrap_or_default());
        portable::split(&pixels[whole..], rest);
    }
}
