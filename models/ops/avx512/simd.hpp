// Vector registers of sixteen numbers (AVX-512): masks, loads and stores, unrolled loops, sums; and scratch memory.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

// Sixteen float32 numbers. bfloat16 numbers become float32 when they are loaded, and are rounded when they are stored.
using FloatVector = __m512;
// One bit for each lane of a vector; a load, store or operation affects only the lanes whose bits are set.
using LaneMask = __mmask16;
constexpr int LANES = 16;
constexpr LaneMask ALL_LANES = 0xFFFF;
constexpr int CACHE_LINE_BYTES = 64;

// The upper half of the bits of a float32.
struct BFloat16 {
    uint16_t bits;
};

// Return the mask of the first n lanes: none if n is negative, all if it is 16 or more.
inline LaneMask first_lanes(int64_t n) {
    return n >= LANES ? ALL_LANES : n <= 0 ? 0 : static_cast<LaneMask>((1u << n) - 1);
}

inline int64_t ceil_div(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }
inline int64_t round_up(int64_t n, int64_t multiple) { return ceil_div(n, multiple) * multiple; }

// Return where part i begins if n items are split into `n_parts` parts whose sizes differ by one at most.
inline int64_t part_start(int64_t n, int64_t i, int64_t n_parts) { return n * i / n_parts; }

inline float float_from_bits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

inline FloatVector broadcast(float x) { return _mm512_set1_ps(x); }

// Lanes that are masked out are neither read nor written; after a load they are zero.
inline FloatVector load(const float* x, LaneMask lanes = ALL_LANES) { return _mm512_maskz_loadu_ps(lanes, x); }
inline FloatVector load(const BFloat16* x, LaneMask lanes = ALL_LANES) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
inline void store(float* x, FloatVector values, LaneMask lanes = ALL_LANES) { _mm512_mask_storeu_ps(x, lanes, values); }
inline void store(BFloat16* x, FloatVector values, LaneMask lanes = ALL_LANES) {
    _mm256_mask_storeu_epi16(x, lanes, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

// A number that is known when the program is compiled, passed to a function as the type of an argument.
template <int N>
using Constant = std::integral_constant<int, N>;

// Call body(Constant<0>{}), …, body(Constant<N - 1>{}) without a loop. An array that is indexed only by such constants
// is kept in registers.
template <int N, class Body>
[[gnu::always_inline]] inline void unroll(const Body& body) {
    if constexpr (N > 0) {
        unroll<N - 1>(body);
        body(Constant<N - 1>{});
    }
}

// Return a vector whose lane i is the sum of all lanes of vectors[i]. The vectors hold float32 numbers.
// In four rounds, pairs of vectors are interleaved and added, until one vector is left.
inline FloatVector horizontal_sums(const __m512i (&vectors)[LANES]) {
    FloatVector x[LANES];
    unroll<LANES>([&](auto i) { x[i] = _mm512_castsi512_ps(vectors[i]); });
    unroll<8>([&](auto i) {
        const FloatVector a = x[2 * i], b = x[2 * i + 1];
        x[i] = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    });
    unroll<4>([&](auto i) {
        const __m512d a = _mm512_castps_pd(x[2 * i]), b = _mm512_castps_pd(x[2 * i + 1]);
        x[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    });
    const auto fold = [](FloatVector a, FloatVector b) {
        return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
    };
    return fold(fold(x[0], x[1]), fold(x[2], x[3]));
}

// The purposes of scratch memory. A thread that asks twice for the same purpose and type gets the same memory.
enum class Scratch { INPUT_ROWS, NORM_ROW, POSITIONS, KEYS, VALUES, QUERIES, SCORES, ATTENTION_WEIGHTS, CONTEXT };

// Return memory for n elements, with arbitrary contents. It belongs to the calling thread and is kept for its later
// calls with the same type and purpose. It grows to the largest size that was asked for.
template <class T, Scratch PURPOSE>
T* scratch(int64_t n) {
    thread_local std::vector<T> memory;
    if (static_cast<int64_t>(memory.size()) < n) memory.resize(n);
    return memory.data();
}

}  // namespace
