// Pooling: the vectors of the tokens of a text become one vector.
//
// Tokens of all texts are the rows of one matrix [n_tokens, width]; text i is the rows from bounds[i] to
// bounds[i + 1] - 1.

#pragma once

#include "simd.hpp"
#include "thread_pool.hpp"

namespace {

// The mean of all tokens, the first token, the last token, or the maximum of each element. The numbers are those that
// the Python binding passes.
enum Pooling : int64_t { MEAN, FIRST, LAST, MAX };

// Return the larger of a and b in each lane, or NaN if one of them is NaN, as the sum of both is.
inline FloatVector max_or_nan(FloatVector a, FloatVector b) {
    return _mm512_mask_add_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q), a, b);
}

// Pool the n tokens of one text, [n, width]. Only the first `out_width` elements of each are read and written. With
// `is_unit`, these are divided by their Euclidean norm, or by 1e-12 if it is smaller.
template <class T>
void pool_text(const T* x, int64_t n, int64_t width, Pooling pooling, int64_t out_width, bool is_unit, float* out) {
    const int64_t start = pooling == LAST ? n - 1 : 0, end = pooling == FIRST ? 1 : n;
    const FloatVector factor = broadcast(pooling == MEAN ? 1.0f / n : 1);
    FloatVector squares = broadcast(0);
    for (int64_t i = 0; i < out_width; i += LANES) {
        const LaneMask lanes = first_lanes(out_width - i);
        FloatVector pooled = load(x + start * width + i, lanes);
        for (int64_t token = start + 1; token < end; token++) {
            const FloatVector values = load(x + token * width + i, lanes);
            pooled = pooling == MEAN ? _mm512_add_ps(pooled, values) : max_or_nan(pooled, values);
        }
        pooled = _mm512_mul_ps(pooled, factor);
        squares = _mm512_fmadd_ps(pooled, pooled, squares);
        store(out + i, pooled, lanes);
    }
    if (!is_unit) return;
    const float norm = std::sqrt(_mm512_reduce_add_ps(squares));
    const FloatVector scale = broadcast(1 / (norm < 1e-12f ? 1e-12f : norm));
    for (int64_t i = 0; i < out_width; i += LANES) {
        const LaneMask lanes = first_lanes(out_width - i);
        store(out + i, _mm512_mul_ps(load(out + i, lanes), scale), lanes);
    }
}

// Pool each of `n_texts` texts. The result of text i is written to row out_rows[i] of `out`, [n_texts, out_width].
template <class T>
void pool(const T* x, int64_t width, const int32_t* bounds, const int64_t* out_rows, int64_t n_texts, Pooling pooling,
          int64_t out_width, bool is_unit, float* out, int64_t n_threads) {
    ThreadPool::instance().parallel_for(n_texts, n_threads, [&](int64_t i) {
        pool_text(x + bounds[i] * width, bounds[i + 1] - bounds[i], width, pooling, out_width, is_unit,
                  out + out_rows[i] * out_width);
    });
}

}  // namespace
