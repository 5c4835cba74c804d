// Products of matrices, a tile at a time: its rows by 64 columns at most, whose sums take 24 of the 32 registers.
//
// Factors lie in lines of 4 bytes: one float, two of BFloat16 or four of int8_t. For each of these there is an
// instruction that multiplies sixteen lines with as many others, and adds up the products of each.

#pragma once

#include "vectors.hpp"

namespace {

constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 4;
constexpr int PANEL = LANES * TILE_VECTORS;
constexpr int LINE_BYTES = 4;
constexpr int CACHE_LINE = 64;

inline __m512i added(float, __m512i sums, __m512i x, __m512i weights) {
    return _mm512_castps_si512(
        _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(weights), _mm512_castsi512_ps(sums)));
}
inline __m512i added(BFloat16, __m512i sums, __m512i x, __m512i weights) {
    return _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sums), reinterpret_cast<__m512bh>(x),
                                                reinterpret_cast<__m512bh>(weights)));
}
inline __m512i added(int8_t, __m512i sums, __m512i x, __m512i weights) { return _mm512_dpbusd_epi32(sums, x, weights); }

template <class T>
constexpr int PER_LINE = LINE_BYTES / sizeof(T);
template <class T>
inline int64_t lines_for(int64_t n) {
    return up(n, PER_LINE<T>) / PER_LINE<T>;
}

// Sixteen lines of a row of which n elements are left; zeros fill them up.
inline __m512i load_lines(const float* x, int64_t n) { return _mm512_maskz_loadu_epi32(first(n), x); }
inline __m512i load_lines(const BFloat16* x, int64_t n) {
    return _mm512_maskz_loadu_epi16(first(n) | static_cast<__mmask32>(first(n - LANES)) << LANES, x);
}

// Rows become columns: four times, each row of the first half is shuffled into one of the second, as cards are.
inline void transpose(__m512i (&x)[LANES]) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(LANES / 2));
    for (int round = 0; round < 4; round++) {
        __m512i y[LANES];
        each<LANES / 2>([&](auto i) {
            y[2 * i] = _mm512_permutex2var_epi32(x[i], low, x[i + LANES / 2]);
            y[2 * i + 1] = _mm512_permutex2var_epi32(x[i], high, x[i + LANES / 2]);
        });
        each<LANES>([&](auto i) { x[i] = y[i]; });
    }
}

// work(n), of a constant, for n of 1 to TILE_ROWS, and of that for all above.
template <int N = TILE_ROWS, class Work>
inline void with_rows(int64_t n, const Work& work) {
    if constexpr (N > 1) {
        if (n < N) return with_rows<N - 1>(n, work);
    }
    work(Constant<N>{});
}

// out = a b: a of ROWS rows of n lines, b of n rows and VECTORS times 16 columns of lines.
template <class T, int ROWS, int VECTORS>
[[gnu::noinline]] void line_tile(const int32_t* a, int64_t a_stride, const int32_t* b, int64_t b_stride, int64_t n,
                                 int32_t* out, int64_t out_stride) {
    __m512i sums[ROWS][VECTORS], columns[VECTORS];
    each<ROWS>([&](auto r) { each<VECTORS>([&](auto c) { sums[r][c] = __m512i{}; }); });
    for (int64_t i = 0; i < n; i++, b += b_stride) {
        each<VECTORS>([&](auto c) { columns[c] = _mm512_loadu_si512(b + LANES * c); });
        each<ROWS>([&](auto r) {
            const __m512i row = _mm512_set1_epi32(a[r * a_stride + i]);
            each<VECTORS>([&](auto c) { sums[r][c] = added(T{}, sums[r][c], row, columns[c]); });
        });
    }
    each<ROWS>([&](auto r) {
        each<VECTORS>([&](auto c) { _mm512_storeu_si512(out + r * out_stride + LANES * c, sums[r][c]); });
    });
}

// The same with any multiple of 16 as the number of columns.
template <class T, int ROWS>
void line_rows(const int32_t* a, int64_t a_stride, const int32_t* b, int64_t b_stride, int64_t n, float* numbers,
               int64_t out_stride, int64_t n_columns) {
    int32_t* out = reinterpret_cast<int32_t*>(numbers);
    for (; n_columns >= PANEL; n_columns -= PANEL, b += PANEL, out += PANEL)
        line_tile<T, ROWS, TILE_VECTORS>(a, a_stride, b, b_stride, n, out, out_stride);
    each<TILE_VECTORS>([&](auto vectors) {
        if constexpr (vectors > 0)
            if (n_columns == vectors * LANES)
                line_tile<T, ROWS, vectors>(a, a_stride, b, b_stride, n, out, out_stride);
    });
}

}  // namespace
