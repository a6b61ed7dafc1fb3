//! The steps for AVX2 and AVX-512.

use std::arch::x86_64::{__m128i, __m256, __m256i};

use pulp::cast;
use pulp::x86::{V3, V4};

use super::{GROUP, Group, Level, portable};

/// Picks eight values out of a window, which is all that the two levels do
/// differently.
trait Pick: Copy {
    fn pick_16(self, window: &[f32; 16], places: __m256i) -> __m256;
    fn pick_32(self, window: &[f32; 32], places: __m256i) -> __m256;
}

impl Pick for V3 {
    #[inline(always)]
    fn pick_16(self, window: &[f32; 16], places: __m256i) -> __m256 {
        let [lower, upper]: [__m256; 2] = cast(*window);
        let lower = self.avx2._mm256_permutevar8x32_ps(lower, places);
        let upper = self.avx2._mm256_permutevar8x32_ps(upper, places);
        // The 8 of the place becomes the sign, by which the blend goes.
        let from_upper = cast(self.avx2._mm256_slli_epi32::<28>(places));
        self.avx._mm256_blendv_ps(lower, upper, from_upper)
    }

    #[inline(always)]
    fn pick_32(self, window: &[f32; 32], places: __m256i) -> __m256 {
        let [lower, upper]: [[f32; 16]; 2] = cast(*window);
        let lower = self.pick_16(&lower, places);
        let upper = self.pick_16(&upper, places);
        let from_upper = cast(self.avx2._mm256_slli_epi32::<27>(places));
        self.avx._mm256_blendv_ps(lower, upper, from_upper)
    }
}

impl Pick for V4 {
    #[inline(always)]
    fn pick_16(self, window: &[f32; 16], places: __m256i) -> __m256 {
        let [lower, upper]: [__m256; 2] = cast(*window);
        self.avx512f._mm256_permutex2var_ps(lower, places, upper)
    }

    #[inline(always)]
    fn pick_32(self, window: &[f32; 32], places: __m256i) -> __m256 {
        let [a, b]: [[f32; 16]; 2] = cast(*window);
        let places = cast([places, places]);
        let picked = self
            .avx512f
            ._mm512_permutex2var_ps(cast(a), places, cast(b));
        let [picked, _]: [__m256; 2] = cast(picked);
        picked
    }
}

#[inline(always)]
fn resample<const COUNT: usize, P: Pick>(
    pick: P,
    simd: V3,
    row: &[f32],
    group: &Group,
    output: &mut [f32; GROUP],
) {
    let row = &row[group.first..];
    let mut terms = [cast([0f32; 8]); COUNT];
    let windows = (row.first_chunk::<16>(), row.first_chunk::<32>());
    match windows {
        (Some(window), _) if group.reach <= 16 => {
            for (k, term) in terms.iter_mut().enumerate() {
                let picked = pick.pick_16(window, cast(group.places[k]));
                *term = simd.avx._mm256_mul_ps(picked, cast(group.weights[k]));
            }
        }
        (_, Some(window)) if group.reach <= 32 => {
            for (k, term) in terms.iter_mut().enumerate() {
                let picked = pick.pick_32(window, cast(group.places[k]));
                *term = simd.avx._mm256_mul_ps(picked, cast(group.weights[k]));
            }
        }
        _ => return portable::resample::<COUNT>(row, &group_at_0(group), output),
    }
    let pair = simd.avx._mm256_add_ps(terms[0], terms[1]);
    *output = cast(if COUNT == 2 {
        pair
    } else {
        let other = simd.avx._mm256_add_ps(terms[COUNT - 2], terms[COUNT - 1]);
        simd.avx._mm256_add_ps(pair, other)
    });
}

/// The group in a row that begins with its first column.
fn group_at_0(group: &Group) -> Group {
    Group { first: 0, ..*group }
}

/// Pixels that are split at a time.
const PIXELS: usize = 16;

/// Where 16 values of a channel stand in a third of 16 pixels.
const fn places(third: usize, channel: usize) -> [u8; PIXELS] {
    let mut places = [0x80; PIXELS];
    let mut i = 0;
    while i < PIXELS {
        let byte = 3 * i + channel;
        if byte / PIXELS == third {
            places[i] = (byte % PIXELS) as u8;
        }
        i += 1;
    }
    places
}

/// By channel, then third.
const PLACES: [[[u8; PIXELS]; 3]; 3] = [
    [places(0, 0), places(1, 0), places(2, 0)],
    [places(0, 1), places(1, 1), places(2, 1)],
    [places(0, 2), places(1, 2), places(2, 2)],
];

#[inline(always)]
fn split_bytes(simd: V3, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]) {
    let (blocks, _) = pixels.as_chunks::<PIXELS>();
    let whole = blocks.len() * PIXELS;
    let mut rest = planes;
    for (plane, places) in rest.iter_mut().zip(PLACES) {
        let (targets, _) = plane.as_chunks_mut::<PIXELS>();
        for (block, target) in blocks.iter().zip(targets) {
            let thirds: [__m128i; 3] = cast(*block);
            let a = simd.ssse3._mm_shuffle_epi8(thirds[0], cast(places[0]));
            let b = simd.ssse3._mm_shuffle_epi8(thirds[1], cast(places[1]));
            let c = simd.ssse3._mm_shuffle_epi8(thirds[2], cast(places[2]));
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
    portable::split_bytes(&pixels[whole..], rest);
}

impl Level for V3 {
    #[inline(always)]
    fn resample<const COUNT: usize>(self, row: &[f32], group: &Group, output: &mut [f32; GROUP]) {
        resample::<COUNT, Self>(self, self, row, group, output);
    }

    #[inline(always)]
    fn split_bytes(self, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]) {
        split_bytes(self, pixels, planes);
    }
}

impl Level for V4 {
    #[inline(always)]
    fn resample<const COUNT: usize>(self, row: &[f32], group: &Group, output: &mut [f32; GROUP]) {
        resample::<COUNT, Self>(self, *self, row, group, output);
    }

    #[inline(always)]
    fn split_bytes(self, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]) {
        split_bytes(*self, pixels, planes);
    }
}
