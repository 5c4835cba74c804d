// Sixteen numbers at a time.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

using Floats = __m512;
using Lanes = __mmask16;
constexpr int LANES = 16;
constexpr Lanes ALL = 0xFFFF;

struct BFloat16 {
    uint16_t bits;
};

inline Lanes first(int64_t n) { return n >= LANES ? ALL : n <= 0 ? 0 : static_cast<Lanes>((1u << n) - 1); }
inline int64_t parts_of(int64_t n, int64_t most) { return (n + most - 1) / most; }
inline int64_t up(int64_t n, int64_t step) { return parts_of(n, step) * step; }
// Where part i of n things begins, of `n_parts` that are alike within one.
inline int64_t part(int64_t n, int64_t i, int64_t n_parts) { return n * i / n_parts; }

inline float of_bits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Floats load(const float* x, Lanes lanes = ALL) { return _mm512_maskz_loadu_ps(lanes, x); }
inline Floats load(const BFloat16* x, Lanes lanes = ALL) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
inline void store(float* x, Floats values, Lanes lanes = ALL) { _mm512_mask_storeu_ps(x, lanes, values); }
inline void store(BFloat16* x, Floats values, Lanes lanes = ALL) {
    _mm256_mask_storeu_epi16(x, lanes, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

template <int N>
inline Floats polynomial(Floats x, const float (&coefficients)[N]) {
    Floats sum = all(coefficients[0]);
    for (int i = 1; i < N; i++) sum = _mm512_fmadd_ps(sum, x, all(coefficients[i]));
    return sum;
}

// e^x = 2^n e^r with |r| <= ln(2) / 2, within two units of the last place; of NaN, NaN, as `max` gives its second one.
inline Floats exponential(Floats x) {
    x = _mm512_max_ps(all(-104), x);
    const Floats n = _mm512_roundscale_ps(_mm512_mul_ps(x, all(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    const Floats r = _mm512_fnmadd_ps(n, all(-2.12194440e-4f), _mm512_fnmadd_ps(n, all(0.693359375f), x));
    return _mm512_scalef_ps(polynomial(r, {1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1.0f, 1.0f}), n);
}

enum Activation : int64_t { NONE, GELU, GELU_TANH };

// x Phi(x), with erf within 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
inline Floats gelu(Floats x) {
    const Floats z = _mm512_mul_ps(_mm512_abs_ps(x), all(0.70710678f));
    const Floats t = _mm512_div_ps(all(1), _mm512_fmadd_ps(z, all(0.3275911f), all(1)));
    const Floats p = polynomial(t, {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f, 0});
    const Floats erf = _mm512_fnmadd_ps(p, exponential(_mm512_fnmadd_ps(z, z, all(0))), all(1));
    const Floats half = _mm512_mul_ps(x, all(0.5f));
    return _mm512_fmadd_ps(_mm512_abs_ps(half), erf, half);
}

// x (1 + tanh u) / 2 = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016).
inline Floats gelu_tanh(Floats x) {
    const Floats u = _mm512_mul_ps(x, _mm512_fmadd_ps(_mm512_mul_ps(x, x), all(0.044715f), all(1)));
    const Floats e = exponential(_mm512_min_ps(_mm512_mul_ps(u, all(-1.59576912f)), all(88)));
    return _mm512_div_ps(x, _mm512_add_ps(all(1), e));
}

// x (1/2 + x P(x^2)) with |x| limited to 4.25, within 1.2e-4 of either: a step of BFloat16 at 1/50.
template <int N>
inline Floats near_gelu(Floats x, const float (&coefficients)[N]) {
    const Floats limited = _mm512_min_ps(all(4.25f), _mm512_max_ps(all(-4.25f), x));
    const Floats half_erf = _mm512_mul_ps(limited, polynomial(_mm512_mul_ps(limited, limited), coefficients));
    return _mm512_mul_ps(x, _mm512_add_ps(half_erf, all(0.5f)));
}

inline Floats activated(float, Floats x, Activation activation) {
    return activation == GELU ? gelu(x) : activation == GELU_TANH ? gelu_tanh(x) : x;
}
inline Floats activated(BFloat16, Floats x, Activation activation) {
    if (activation == GELU)
        return near_gelu(x, {-8.46034964e-10f, 7.57079093e-08f, -2.93879043e-06f, 6.55269178e-05f, -0.00094044616f,
                             0.00925781764f, -0.0654534921f, 0.398420036f});
    if (activation == GELU_TANH)
        return near_gelu(x, {-9.38245925e-10f, 8.26517237e-08f, -3.15146917e-06f, 6.88955988e-05f, -0.000969136483f,
                             0.0093777217f, -0.0656159744f, 0.398337334f});
    return x;
}

template <int N>
using Constant = std::integral_constant<int, N>;

// work(0), …, work(N - 1), of constants: an array whose places are constants is kept in registers.
template <int N, class Work>
[[gnu::always_inline]] inline void each(const Work& work) {
    if constexpr (N > 0) {
        each<N - 1>(work);
        work(Constant<N - 1>{});
    }
}

// Memory of this thread, one piece a PURPOSE, kept from call to call.
template <class T, int PURPOSE>
T* scratch(int64_t n) {
    thread_local std::vector<T> memory;
    if (static_cast<int64_t>(memory.size()) < n) memory.resize(n);
    return memory.data();
}

// The sum of each of sixteen vectors.
inline Floats sums_of(const __m512i (&vectors)[LANES]) {
    Floats x[LANES];
    each<LANES>([&](auto i) { x[i] = _mm512_castsi512_ps(vectors[i]); });
    each<8>([&](auto i) {
        const Floats a = x[2 * i], b = x[2 * i + 1];
        x[i] = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    });
    each<4>([&](auto i) {
        const __m512d a = _mm512_castps_pd(x[2 * i]), b = _mm512_castps_pd(x[2 * i + 1]);
        x[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    });
    const auto fold = [](Floats a, Floats b) {
        return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
    };
    return fold(fold(x[0], x[1]), fold(x[2], x[3]));
}

}  // namespace
