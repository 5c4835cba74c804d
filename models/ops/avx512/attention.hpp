// Scaled dot-product attention, softmax(scale q k') v, for each head (Vaswani et al. 2017, "Attention Is All You Need",
// section 3.2.1).
//
// Tokens of all texts are the rows of one matrix; text i is the rows from bounds[i] to bounds[i + 1] - 1. A row holds
// the heads side by side, [n_heads, width], and the rows of q, k and v are `stride` numbers apart: they may be parts of
// one matrix. Outputs are [n_tokens, n_heads, width]. There are two algorithms:
//
// - `attend_texts`, for many queries of each text, computes products of matrices whose inner dimension is packed into
//   groups of 4 bytes (see matmul.hpp). That dimension is the width in q k', and the tokens in the product with v.
// - `attend_cached`, for one query of each text, reads the keys and values once, as fast as the memory allows.

#pragma once

#include "activations.hpp"
#include "matmul.hpp"
#include "thread_pool.hpp"

namespace {

// Keys and values of earlier tokens, each [n_texts, n_heads, capacity, width]. Of text i, the first lengths[i] tokens
// are attended to. If a call brings new keys and values, they are those of the last of these tokens, and are written to
// the cache first.
template <class T>
struct KeyValueCache {
    T *keys, *values;
    int64_t capacity;
    const int64_t* lengths;
};

// What each token attends to: the tokens of its text in the same call (`bounds`), those in a cache, or both. With
// `causal`, a token attends only to itself and to earlier tokens. Mirrors `AttentionContext` in `patterns.py`.
template <class T>
struct AttentionContext {
    const int32_t* bounds;  // [n_texts + 1], or null if each text has one token
    int64_t n_texts, causal;
    KeyValueCache<T> cache;  // its pointers are null if there is none
};

// Write the numerators of the softmax of n scores, e^(scale (score - largest score)), and zeros up to the next multiple
// of 16. Return their sum, which is the denominator. The weights may be the same memory as the scores.
template <class T>
float softmax_numerators(const float* scores, float scale, int64_t n, T* weights) {
    FloatVector maxima = broadcast(-__builtin_inff());
    for (int64_t j = 0; j < n; j += LANES)
        maxima = _mm512_mask_max_ps(maxima, first_lanes(n - j), maxima, load(scores + j));
    const FloatVector max_score = broadcast(_mm512_reduce_max_ps(maxima));
    FloatVector sums = broadcast(0);
    for (int64_t j = 0; j < n; j += LANES) {
        const FloatVector exponents = _mm512_mul_ps(_mm512_sub_ps(load(scores + j), max_score), broadcast(scale));
        const FloatVector numerators = _mm512_maskz_mov_ps(first_lanes(n - j), exponential(exponents));
        store(weights + j, numerators);
        sums = _mm512_add_ps(sums, numerators);
    }
    return _mm512_reduce_add_ps(sums);
}

// One head of one text. Its queries are those of its last `n_queries` tokens. Strides are the distances from token to
// token, in numbers.
template <class T>
struct TextHead {
    const T* q;
    int64_t n_queries, query_stride;
    const T *k, *v;
    int64_t n_keys, key_stride;
    T* out;
    int64_t out_stride, width;
    float scale;
    bool causal;
};

// Load sixteen groups of a row of a head, from the given group on; numbers beyond its width are zero.
template <class T>
inline __m512i load_head_groups(const TextHead<T>& head, const T* row, int64_t group) {
    const int64_t column = group * NUMBERS_PER_GROUP<T>;
    return load_groups(row + column, head.width - column);
}

// Load sixteen groups whose numbers are from successive rows, `stride` numbers apart, in the same column. Of the rows,
// n are left; numbers of rows beyond them are zero. A float32 fills a group alone.
inline __m512i load_groups_across_rows(const float* x, int64_t, int64_t, LaneMask columns) {
    return _mm512_maskz_loadu_epi32(columns, x);
}
inline __m512i load_groups_across_rows(const BFloat16* x, int64_t stride, int64_t n, LaneMask columns) {
    const __m512i row = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, x));
    if (n == 1) return row;
    const __m512i next_row = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, x + stride));
    return _mm512_or_si512(row, _mm512_slli_epi32(next_row, 16));
}

// Write the n keys of a head, transposed, as [n_groups, n_columns], where `n_groups` is the number of groups of the
// width and `n_columns` is n rounded up to 16. The memory must
// have room for a multiple of 16 groups, because squares of 16 by 16 groups are written.
template <class T>
[[gnu::always_inline]] inline void pack_keys(const TextHead<T>& head, int64_t n, int64_t n_groups, int64_t n_columns,
                                             int32_t* packed) {
    for (int64_t i = 0; i < n_groups; i += LANES)
        for (int64_t j = 0; j < n; j += LANES) {
            __m512i square[LANES];
            unroll<LANES>([&](auto r) {
                square[r] = j + r < n ? load_head_groups(head, head.k + (j + r) * head.key_stride, i) : __m512i{};
            });
            transpose(square);
            unroll<LANES>([&](auto r) { _mm512_storeu_si512(packed + (i + r) * n_columns + j, square[r]); });
        }
}

// Compute the attention of one head of one text: keys and values are packed once, then TILE_ROWS queries at a time are
// multiplied with all keys that they attend to, and their attention weights with the values.
template <class T>
void attend_head(const TextHead<T>& head) {
    const int64_t n = head.n_keys, n_columns = round_up(n, LANES), n_before = n - head.n_queries;
    const int64_t width = round_up(head.width, LANES), n_groups = count_groups<T>(head.width);
    int32_t* const keys = scratch<int32_t, Scratch::KEYS>(round_up(n_groups, LANES) * n_columns);
    int32_t* const values = scratch<int32_t, Scratch::VALUES>(count_groups<T>(n) * width);
    int32_t* const queries = scratch<int32_t, Scratch::QUERIES>(TILE_ROWS * round_up(n_groups, LANES));
    float* const scores = scratch<float, Scratch::SCORES>(TILE_ROWS * n_columns);
    int32_t* const weights = scratch<int32_t, Scratch::ATTENTION_WEIGHTS>(TILE_ROWS * n_columns);
    float* const context = scratch<float, Scratch::CONTEXT>(TILE_ROWS * width);
    pack_keys(head, n, n_groups, n_columns, keys);
    // The values are packed as [groups of tokens, width].
    for (int64_t group = 0, j = 0; j < n; group++, j += NUMBERS_PER_GROUP<T>)
        for (int64_t i = 0; i < width; i += LANES)
            _mm512_storeu_si512(values + group * width + i,
                                load_groups_across_rows(head.v + j * head.key_stride + i, head.key_stride, n - j,
                                                        first_lanes(head.width - i)));
    for (int64_t start = 0; start < head.n_queries; start += TILE_ROWS)
        dispatch_rows(head.n_queries - start, [&](auto rows) {
            // The last query of a tile attends to the most keys; the weights of the other ones end with zeros.
            const int64_t n_attended = head.causal ? n_before + start + rows : n;
            const int64_t query_stride = round_up(n_groups, LANES);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < n_groups; i += LANES)
                    _mm512_storeu_si512(queries + r * query_stride + i,
                                        load_head_groups(head, head.q + (start + r) * head.query_stride, i));
            multiply_rows<T, rows>(queries, query_stride, keys, n_columns, n_groups, scores, n_columns,
                                   round_up(n_attended, LANES));
            float denominators[rows];
            for (int64_t r = 0; r < rows; r++) {
                const int64_t n_row = head.causal ? n_before + start + r + 1 : n;
                T* const row = reinterpret_cast<T*>(weights) + r * n_columns;
                denominators[r] = softmax_numerators(scores + r * n_columns, head.scale, n_row, row);
                std::fill(row + round_up(n_row, LANES), row + round_up(n_attended, LANES), T{});
            }
            multiply_rows<T, rows>(weights, n_columns / NUMBERS_PER_GROUP<T>, values, width,
                                   count_groups<T>(n_attended), context, width, width);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < width; i += LANES)
                    store(head.out + (start + r) * head.out_stride + i,
                          _mm512_div_ps(load(context + r * width + i), broadcast(denominators[r])),
                          first_lanes(head.width - i));
        });
}

// Compute the attention of all tokens of each text. If there is a cache, the keys and values of text i are first
// written to its row i, as the last of its lengths[i] tokens, and the tokens attend to all of these.
template <class T>
void attend_texts(const T* q, const T* k, const T* v, int64_t stride, int64_t n_heads, int64_t width,
                  const AttentionContext<T>& context, float scale, T* out, int64_t n_threads) {
    ThreadPool::instance().parallel_for(context.n_texts * n_heads, n_threads, [&](int64_t task) {
        const int64_t text = task / n_heads, column = task % n_heads * width, first_token = context.bounds[text];
        const int64_t n = context.bounds[text + 1] - first_token, offset = first_token * stride + column;
        const int64_t out_stride = n_heads * width;
        TextHead<T> head{q + offset, n, stride,                                // q, n_queries, query_stride
                         k + offset, v + offset, n, stride,                    // k, v, n_keys, key_stride
                         out + first_token * out_stride + column, out_stride,  // out, out_stride
                         width, scale, context.causal != 0};
        if (context.cache.keys) {
            const int64_t cache_offset = task * context.cache.capacity * width;
            const int64_t n_keys = context.cache.lengths[text];
            T *const keys = context.cache.keys + cache_offset, *const values = context.cache.values + cache_offset;
            for (int64_t i = 0, j = n_keys - n; i < n; i++, j++) {
                std::memcpy(keys + j * width, head.k + i * stride, width * sizeof(T));
                std::memcpy(values + j * width, head.v + i * stride, width * sizeof(T));
            }
            head.k = keys, head.v = values, head.n_keys = n_keys, head.key_stride = width;
        }
        attend_head(head);
    });
}

// Fetch n numbers into the second-level cache. Into the first-level cache it would be slower, because that cache can
// wait for too few cache lines at a time to keep the memory busy.
template <class T>
inline void prefetch(const T* x, int64_t n) {
    for (int64_t i = 0; i < n; i += CACHE_LINE_BYTES / sizeof(T))
        _mm_prefetch(reinterpret_cast<const char*>(x + i), _MM_HINT_T1);
}

// Compute the attention of one query [width] to n keys and values [n, width]. Meanwhile, those of the next head, which
// begin `capacity` tokens later, are prefetched.
template <class T>
void attend_query(const T* q, const T* keys, const T* values, int64_t n, int64_t capacity, int64_t width, float scale,
                  T* out) {
    float* const scores = scratch<float, Scratch::SCORES>(round_up(n, LANES));
    for (int64_t start = 0; start < n; start += LANES) {
        __m512i products[LANES]{};
        prefetch(keys + (start + capacity) * width, LANES * width);
        for (int64_t i = 0; i < width; i += LANES * NUMBERS_PER_GROUP<T>) {
            const __m512i query = load_groups(q + i, width - i);
            unroll<LANES>([&](auto j) {
                // The last key stands for those beyond it, whose scores are ignored.
                const T* key = keys + std::min<int64_t>(start + j, n - 1) * width;
                products[j] = multiply_add(T{}, products[j], query, load_groups(key + i, width - i));
            });
        }
        store(scores + start, horizontal_sums(products));
    }
    float* const weights = scores;
    const FloatVector denominator = broadcast(softmax_numerators(scores, scale, n, weights));
    for (int64_t i = 0; i < width; i += TILE_COLUMNS) {
        FloatVector sums[TILE_VECTORS];
        unroll<TILE_VECTORS>([&](auto c) { sums[c] = broadcast(0); });
        for (int64_t j = 0; j < n; j++) {
            if (i == 0) prefetch(values + (j + capacity) * width, width);
            const FloatVector weight = broadcast(weights[j]);
            unroll<TILE_VECTORS>([&](auto c) {
                const int64_t column = i + c * LANES;
                sums[c] =
                    _mm512_fmadd_ps(weight, load(values + j * width + column, first_lanes(width - column)), sums[c]);
            });
        }
        unroll<TILE_VECTORS>([&](auto c) {
            const int64_t column = i + c * LANES;
            store(out + column, _mm512_div_ps(sums[c], denominator), first_lanes(width - column));
        });
    }
}

// Compute the attention of one token of each text to the first lengths[i] tokens of row i of the cache. If k and v are
// not null, they are first written to the cache, as those of the last of these tokens.
template <class T>
void attend_cached(const T* q, const T* k, const T* v, int64_t stride, const KeyValueCache<T>& cache, int64_t n_texts,
                   int64_t n_heads, int64_t width, float scale, T* out, int64_t n_threads) {
    ThreadPool::instance().parallel_for(n_texts * n_heads, n_threads, [&](int64_t task) {
        const int64_t text = task / n_heads, n = cache.lengths[text], offset = text * stride + task % n_heads * width;
        T* const keys = cache.keys + task * cache.capacity * width;
        T* const values = cache.values + (keys - cache.keys);
        if (k) std::memcpy(keys + (n - 1) * width, k + offset, width * sizeof(T));
        if (v) std::memcpy(values + (n - 1) * width, v + offset, width * sizeof(T));
        attend_query(q + offset, keys, values, n, cache.capacity, width, scale, out + task * width);
    });
}

// Compute the attention of n tokens in the way that their context asks for.
template <class T>
void attend(const T* q, const T* k, const T* v, int64_t stride, int64_t n, int64_t n_heads, int64_t width,
            const AttentionContext<T>& context, float scale, T* out, int64_t n_threads) {
    if (context.bounds)
        attend_texts(q, k, v, stride, n_heads, width, context, scale, out, n_threads);
    else
        attend_cached(q, k, v, stride, context.cache, n, n_heads, width, scale, out, n_threads);
}

}  // namespace
