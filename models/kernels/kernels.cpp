// Linear layers, norms of sums, attention and the likeliest token, for processors with AVX-512, each in one pass.
//
// Sums are kept in registers, a tile at a time, and what a tile reads is kept in the first-level cache. What the
// functions compute, `__init__.py` says.

#include "attention.hpp"
#include "linear.hpp"
#include "team.hpp"
#include "vectors.hpp"

namespace {

// ---- norms ----

constexpr int64_t NORMED_ROWS = 32;  // by one thread, at least

// A row of x + added, with mean 0 and variance 1, times weight, plus bias (Ba et al. 2016, equation 3).
template <class T>
void add_norm_row(const T* x, const T* added, const T* weight, const T* bias, int64_t n, float eps, T* out) {
    float* const sums = scratch<float, 1>(up(n, LANES));
    Floats total = all(0), square = all(0);
    for (int64_t i = 0; i < n; i += LANES) {
        const Floats sum = _mm512_add_ps(load(x + i, first(n - i)), load(added + i, first(n - i)));
        store(sums + i, sum);
        total = _mm512_add_ps(total, sum);
    }
    const Floats mean = all(_mm512_reduce_add_ps(total) / n);
    for (int64_t i = 0; i < n; i += LANES) {
        const Floats distance = _mm512_maskz_sub_ps(first(n - i), load(sums + i), mean);
        square = _mm512_fmadd_ps(distance, distance, square);
    }
    const Floats scale = all(1 / std::sqrt(_mm512_reduce_add_ps(square) / n + eps));
    for (int64_t i = 0; i < n; i += LANES) {
        const Lanes lanes = first(n - i);
        const Floats one = _mm512_mul_ps(_mm512_sub_ps(load(sums + i), mean), scale);
        store(out + i, _mm512_fmadd_ps(one, load(weight + i, lanes), load(bias + i, lanes)), lanes);
    }
}

template <class T>
void add_norm(const T* x, const T* added, const T* weight, const T* bias, int64_t n_rows, int64_t n, float eps, T* out,
              int64_t n_threads) {
    Team::instance().share(up(n_rows, NORMED_ROWS) / NORMED_ROWS, n_threads, [&](int64_t group) {
        const int64_t start = group * NORMED_ROWS, stop = std::min(start + NORMED_ROWS, n_rows);
        for (int64_t place = start * n; place < stop * n; place += n)
            add_norm_row(x + place, added + place, weight, bias, n, eps, out + place);
    });
}

// ---- the next token ----

// The first of the largest of n scores; `share` becomes the logarithm of its part in the sum of e^score, NaN if one is.
template <class T>
int64_t likeliest(const T* scores, int64_t n, float* share) {
    Floats tops = all(-__builtin_inff()), sum = all(0);
    for (int64_t i = 0; i < n; i += LANES)
        tops = _mm512_mask_max_ps(tops, first(n - i), load(scores + i, first(n - i)), tops);
    const Floats top = all(_mm512_reduce_max_ps(tops));
    int64_t place = n;
    for (int64_t i = 0; i < n; i += LANES) {
        const Floats some = load(scores + i, first(n - i));
        const Lanes is_top = _mm512_mask_cmp_ps_mask(first(n - i), some, top, _CMP_EQ_OQ);
        if (is_top && place == n) place = i + __builtin_ctz(is_top);
        sum = _mm512_mask_add_ps(sum, first(n - i), sum, exponential(_mm512_sub_ps(some, top)));
    }
    *share = -std::log(_mm512_reduce_add_ps(sum));
    return place < n ? place : 0;
}

}  // namespace

// ---- what Python calls ----

#define LINEAR(NAME, W, T)                                                                                             \
    extern "C" void NAME(const T* x, int64_t n_rows, const char* panels, const int32_t* firsts, const float* scales,   \
                         const float* bias, int64_t n_in, int64_t n_out, int activation, T* out, int64_t n_threads) {  \
        const Layer layer{panels, firsts, scales, bias, n_in, n_out, lines_for<W>(n_in), Activation(activation)};      \
        linear<W>(x, n_rows, layer, out, n_threads);                                                                   \
    }

#define OTHERS(NAME, T)                                                                                                \
    extern "C" void add_norm_##NAME(const T* x, const T* added, const T* weight, const T* bias, int64_t n_rows,        \
                                    int64_t n, float eps, T* out, int64_t n_threads) {                                 \
        add_norm(x, added, weight, bias, n_rows, n, eps, out, n_threads);                                              \
    }                                                                                                                  \
    extern "C" void attend_texts_##NAME(const T* q, const T* k, const T* v, int64_t stride, const int32_t* bounds,     \
                                        int64_t n_texts, int64_t n_heads, int64_t width, float scale, int causal,      \
                                        T* out, int64_t n_threads) {                                                   \
        attend_texts(q, k, v, stride, bounds, n_texts, n_heads, width, scale, causal != 0, out, n_threads);            \
    }                                                                                                                  \
    extern "C" void attend_cache_##NAME(const T* q, const T* k, const T* v, int64_t stride, T* keys, T* values,        \
                                        int64_t room, const int64_t* lengths, int64_t n_rows, int64_t n_heads,         \
                                        int64_t width, float scale, T* out, int64_t n_threads) {                       \
        attend_cache(q, k, v, stride, keys, values, room, lengths, n_rows, n_heads, width, scale, out, n_threads);     \
    }                                                                                                                  \
    extern "C" int64_t likeliest_##NAME(const T* scores, int64_t n, float* share) {                                    \
        return likeliest(scores, n, share);                                                                            \
    }

LINEAR(linear_float32, float, float)
LINEAR(linear_bfloat16, BFloat16, BFloat16)
LINEAR(linear_int8_float32, int8_t, float)
LINEAR(linear_int8_bfloat16, int8_t, BFloat16)
OTHERS(float32, float)
OTHERS(bfloat16, BFloat16)
