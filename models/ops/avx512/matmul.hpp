// Products of small matrices, computed a tile at a time: up to 6 rows by up to 64 columns of sums stay in 24 of the 32
// vector registers while the inner dimension is traversed.
//
// The inner dimension is divided into groups of 4 bytes: one float32, two bfloat16 or four int8 numbers, the last group
// padded with zeros. A group is what one lane of a multiply-add instruction reads: the instruction multiplies the
// numbers of sixteen groups with those of sixteen others, and adds the products of each pair of groups to one of
// sixteen sums. (oneDNN calls this the VNNI layout.) Pointers to groups are `int32_t*`, whatever the groups contain,
// and strides of such matrices are counted in groups.

#pragma once

#include "simd.hpp"

namespace {

constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 4;
constexpr int TILE_COLUMNS = LANES * TILE_VECTORS;
constexpr int GROUP_BYTES = 4;

template <class T>
constexpr int NUMBERS_PER_GROUP = GROUP_BYTES / sizeof(T);

// Return the number of groups that hold n numbers.
template <class T>
inline int64_t count_groups(int64_t n) {
    return round_up(n, NUMBERS_PER_GROUP<T>) / NUMBERS_PER_GROUP<T>;
}

// Return sums + x * weights for sixteen groups each. The first argument only selects the type of the numbers. The sums
// are float32, or int32 for int8. For int8, x is unsigned and the weights are signed.
inline __m512i multiply_add(float, __m512i sums, __m512i x, __m512i weights) {
    return _mm512_castps_si512(
        _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(weights), _mm512_castsi512_ps(sums)));
}
inline __m512i multiply_add(BFloat16, __m512i sums, __m512i x, __m512i weights) {
    return _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sums), reinterpret_cast<__m512bh>(x),
                                                reinterpret_cast<__m512bh>(weights)));
}
inline __m512i multiply_add(int8_t, __m512i sums, __m512i x, __m512i weights) {
    return _mm512_dpbusd_epi32(sums, x, weights);
}

// Load sixteen groups of a row of which n numbers are left. Numbers beyond the end of the row are zero.
inline __m512i load_groups(const float* x, int64_t n) { return _mm512_maskz_loadu_epi32(first_lanes(n), x); }
inline __m512i load_groups(const BFloat16* x, int64_t n) {
    return _mm512_maskz_loadu_epi16(first_lanes(n) | static_cast<__mmask32>(first_lanes(n - LANES)) << LANES, x);
}

// Transpose a matrix of 16 by 16 groups by four perfect shuffles. Each of them interleaves a row of the first half with
// the row at the same place in the second half, which gives two rows.
inline void transpose(__m512i (&x)[LANES]) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(LANES / 2));
    for (int shuffle = 0; shuffle < 4; shuffle++) {
        __m512i y[LANES];
        unroll<LANES / 2>([&](auto i) {
            y[2 * i] = _mm512_permutex2var_epi32(x[i], low, x[i + LANES / 2]);
            y[2 * i + 1] = _mm512_permutex2var_epi32(x[i], high, x[i + LANES / 2]);
        });
        unroll<LANES>([&](auto i) { x[i] = y[i]; });
    }
}

// Call body(Constant<n>{}) for n from 1 to TILE_ROWS. A larger n is treated as TILE_ROWS.
template <int N = TILE_ROWS, class Body>
inline void dispatch_rows(int64_t n, const Body& body) {
    if constexpr (N > 1) {
        if (n < N) return dispatch_rows<N - 1>(n, body);
    }
    body(Constant<N>{});
}

// Compute out = a b for one tile: a is [ROWS, n_groups], b is [n_groups, VECTORS * 16] and out is [ROWS, VECTORS * 16].
// The function is not inlined, so that each size of a tile is compiled once.
template <class T, int ROWS, int VECTORS>
[[gnu::noinline]] void multiply_tile(const int32_t* a, int64_t a_stride, const int32_t* b, int64_t b_stride,
                                     int64_t n_groups, int32_t* out, int64_t out_stride) {
    __m512i sums[ROWS][VECTORS], columns[VECTORS];
    unroll<ROWS>([&](auto r) { unroll<VECTORS>([&](auto c) { sums[r][c] = __m512i{}; }); });
    for (int64_t i = 0; i < n_groups; i++, b += b_stride) {
        unroll<VECTORS>([&](auto c) { columns[c] = _mm512_loadu_si512(b + LANES * c); });
        unroll<ROWS>([&](auto r) {
            const __m512i row = _mm512_set1_epi32(a[r * a_stride + i]);
            unroll<VECTORS>([&](auto c) { sums[r][c] = multiply_add(T{}, sums[r][c], row, columns[c]); });
        });
    }
    unroll<ROWS>([&](auto r) {
        unroll<VECTORS>([&](auto c) { _mm512_storeu_si512(out + r * out_stride + LANES * c, sums[r][c]); });
    });
}

// Compute out = a b for up to TILE_ROWS rows: a is [ROWS, n_groups], b is [n_groups, n_columns] and out is
// [ROWS, n_columns], where `n_columns` is a multiple of 16.
template <class T, int ROWS>
void multiply_rows(const int32_t* a, int64_t a_stride, const int32_t* b, int64_t b_stride, int64_t n_groups, float* out,
                   int64_t out_stride, int64_t n_columns) {
    int32_t* tile = reinterpret_cast<int32_t*>(out);
    for (; n_columns >= TILE_COLUMNS; n_columns -= TILE_COLUMNS, b += TILE_COLUMNS, tile += TILE_COLUMNS)
        multiply_tile<T, ROWS, TILE_VECTORS>(a, a_stride, b, b_stride, n_groups, tile, out_stride);
    unroll<TILE_VECTORS>([&](auto vectors) {
        if constexpr (vectors > 0)
            if (n_columns == vectors * LANES)
                multiply_tile<T, ROWS, vectors>(a, a_stride, b, b_stride, n_groups, tile, out_stride);
    });
}

}  // namespace
