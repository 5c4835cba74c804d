// Attention. Queries and keys are rows of lines, and so are the weights that a query gives to all tokens, whose factors
// are lines across the values of one or two of them.

#pragma once

#include "team.hpp"
#include "tiles.hpp"

namespace {

// Sixteen lines across rows, `stride` elements apart, of which n are left, and so many columns.
inline __m512i load_across(const float* x, int64_t, int64_t, Lanes columns) {
    return _mm512_maskz_loadu_epi32(columns, x);
}
inline __m512i load_across(const BFloat16* x, int64_t stride, int64_t n, Lanes columns) {
    const __m512i one = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, x));
    if (n == 1) return one;
    const __m512i other = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, x + stride));
    return _mm512_or_si512(one, _mm512_slli_epi32(other, 16));
}

// Of n scores, e^(scale (score - the largest)), and zeros up to the next multiple of 16; returns their sum.
template <class T>
float soften(const float* scores, float scale, int64_t n, T* weights) {
    Floats most = all(-__builtin_inff());
    for (int64_t j = 0; j < n; j += LANES) most = _mm512_mask_max_ps(most, first(n - j), most, load(scores + j));
    const Floats top = all(_mm512_reduce_max_ps(most));
    Floats sum = all(0);
    for (int64_t j = 0; j < n; j += LANES) {
        const Floats distance = _mm512_mul_ps(_mm512_sub_ps(load(scores + j), top), all(scale));
        const Floats weight = _mm512_maskz_mov_ps(first(n - j), exponential(distance));
        store(weights + j, weight);
        sum = _mm512_add_ps(sum, weight);
    }
    return _mm512_reduce_add_ps(sum);
}

// One head of a text: its last n tokens look at all of it, `n_keys` tokens, or at those before them and at themselves.
// Strides are of tokens, in elements.
template <class T>
struct Head {
    const T* q;
    int64_t n, stride;
    const T *k, *v;
    int64_t n_keys, key_stride;
    T* out;
    int64_t out_stride, width;
    float scale;
    bool causal;
};

template <class T>
void attend_text(const Head<T>& head) {
    const int64_t n = head.n_keys, n_columns = up(n, LANES), n_before = n - head.n;
    const int64_t width = up(head.width, LANES), n_lines = lines_for<T>(head.width);
    int32_t* const keys = scratch<int32_t, 1>(up(n_lines, LANES) * n_columns);  // [n_lines, n_columns]
    int32_t* const values = scratch<int32_t, 2>(lines_for<T>(n) * width);       // [lines of tokens, width]
    int32_t* const queries = scratch<int32_t, 3>(TILE_ROWS * up(n_lines, LANES));
    float* const scores = scratch<float, 4>(TILE_ROWS * n_columns);
    int32_t* const weights = scratch<int32_t, 5>(TILE_ROWS * n_columns);
    float* const seen = scratch<float, 6>(TILE_ROWS * width);
    const auto lines_of_row = [&](const T* row, int64_t line) {
        const int64_t place = line * PER_LINE<T>;
        return load_lines(row + place, head.width - place);
    };
    for (int64_t i = 0; i < n_lines; i += LANES)
        for (int64_t j = 0; j < n; j += LANES) {
            __m512i block[LANES];
            each<LANES>([&](auto t) {
                block[t] = j + t < n ? lines_of_row(head.k + (j + t) * head.key_stride, i) : __m512i{};
            });
            transpose(block);
            each<LANES>([&](auto t) { _mm512_storeu_si512(keys + (i + t) * n_columns + j, block[t]); });
        }
    for (int64_t line = 0, j = 0; j < n; line++, j += PER_LINE<T>)
        for (int64_t i = 0; i < width; i += LANES)
            _mm512_storeu_si512(
                values + line * width + i,
                load_across(head.v + j * head.key_stride + i, head.key_stride, n - j, first(head.width - i)));
    for (int64_t start = 0; start < head.n; start += TILE_ROWS)
        with_rows(head.n - start, [&](auto rows) {
            const int64_t n_seen = head.causal ? n_before + start + rows : n, stride = up(n_lines, LANES);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < n_lines; i += LANES)
                    _mm512_storeu_si512(queries + r * stride + i,
                                        lines_of_row(head.q + (start + r) * head.stride, i));
            line_rows<T, rows>(queries, stride, keys, n_columns, n_lines, scores, n_columns, up(n_seen, LANES));
            float totals[rows];
            for (int64_t r = 0; r < rows; r++) {
                const int64_t n_own = head.causal ? n_before + start + r + 1 : n;
                T* const own = reinterpret_cast<T*>(weights) + r * n_columns;
                totals[r] = soften(scores + r * n_columns, head.scale, n_own, own);
                std::fill(own + up(n_own, LANES), own + up(n_seen, LANES), T{});
            }
            line_rows<T, rows>(weights, n_columns / PER_LINE<T>, values, width, lines_for<T>(n_seen), seen, width,
                               width);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < width; i += LANES)
                    store(head.out + (start + r) * head.out_stride + i,
                          _mm512_div_ps(load(seen + r * width + i), all(totals[r])), first(head.width - i));
        });
}

// Keys and values of each head of a row, for `room` tokens, of which the first `lengths[row]` count.
template <class T>
struct Cache {
    T *keys, *values;
    int64_t room;
    const int64_t* lengths;
};

// What tokens see, as `Seen` of `__init__.py` has it: their text, what is remembered of it, or both.
template <class T>
struct Seen {
    const int32_t* bounds;  // or null
    int64_t n_texts, causal;
    Cache<T> cache;  // or nulls
};

// Where there is a cache, the tokens of text i become the last of its row i, and see these.
template <class T>
void attend_texts(const T* q, const T* k, const T* v, int64_t stride, int64_t n_heads, int64_t width,
                  const Seen<T>& seen, float scale, T* out, int64_t n_threads) {
    Team::instance().share(seen.n_texts * n_heads, n_threads, [&](int64_t task) {
        const int64_t text = task / n_heads, column = task % n_heads * width, from = seen.bounds[text];
        const int64_t n = seen.bounds[text + 1] - from, place = from * stride + column, out_stride = n_heads * width;
        Head<T> head{q + place, n, stride, k + place, v + place, n, stride, out + from * out_stride + column,
                     out_stride, width, scale, seen.causal != 0};
        if (seen.cache.keys) {
            const int64_t row = task * seen.cache.room * width, n_keys = seen.cache.lengths[text];
            T *const keys = seen.cache.keys + row, *const values = seen.cache.values + row;
            for (int64_t i = 0, j = n_keys - n; i < n; i++, j++) {
                std::memcpy(keys + j * width, head.k + i * stride, width * sizeof(T));
                std::memcpy(values + j * width, head.v + i * stride, width * sizeof(T));
            }
            head.k = keys, head.v = values, head.n_keys = n_keys, head.key_stride = width;
        }
        attend_text(head);
    });
}

// Into the second-level cache: the first waits for fewer lines at a time than it takes to keep the memory busy.
template <class T>
inline void fetch(const T* x, int64_t n) {
    for (int64_t i = 0; i < n; i += CACHE_LINE / sizeof(T))
        _mm_prefetch(reinterpret_cast<const char*>(x + i), _MM_HINT_T1);
}

// One query of a head sees n keys and values, which lie one after the other; those of the next head `room` tokens on.
template <class T>
void attend_one(const T* q, const T* keys, const T* values, int64_t n, int64_t room, int64_t width, float scale,
                T* out) {
    float* const scores = scratch<float, 4>(up(n, LANES));
    for (int64_t start = 0; start < n; start += LANES) {
        __m512i products[LANES]{};
        fetch(keys + (start + room) * width, LANES * width);
        for (int64_t i = 0; i < width; i += LANES * PER_LINE<T>) {
            const __m512i query = load_lines(q + i, width - i);
            each<LANES>([&](auto j) {
                const T* key = keys + std::min<int64_t>(start + j, n - 1) * width;
                products[j] = added(T{}, products[j], query, load_lines(key + i, width - i));
            });
        }
        store(scores + start, sums_of(products));
    }
    const Floats total = all(soften(scores, scale, n, scores));
    for (int64_t i = 0; i < width; i += PANEL) {
        Floats sums[TILE_VECTORS];
        each<TILE_VECTORS>([&](auto c) { sums[c] = all(0); });
        for (int64_t j = 0; j < n; j++) {
            if (i == 0) fetch(values + (j + room) * width, width);
            const Floats weight = all(scores[j]);
            each<TILE_VECTORS>([&](auto c) {
                const int64_t column = i + c * LANES;
                sums[c] = _mm512_fmadd_ps(weight, load(values + j * width + column, first(width - column)), sums[c]);
            });
        }
        each<TILE_VECTORS>([&](auto c) {
            const int64_t column = i + c * LANES;
            store(out + column, _mm512_div_ps(sums[c], total), first(width - column));
        });
    }
}

// Where there are k and v, they are those of the last token of each row, and written to the cache first.
template <class T>
void attend_cache(const T* q, const T* k, const T* v, int64_t stride, const Cache<T>& cache, int64_t n_rows,
                  int64_t n_heads, int64_t width, float scale, T* out, int64_t n_threads) {
    Team::instance().share(n_rows * n_heads, n_threads, [&](int64_t task) {
        const int64_t row = task / n_heads, n = cache.lengths[row], of_token = row * stride + task % n_heads * width;
        T *const keys = cache.keys + task * cache.room * width, *const values = cache.values + (keys - cache.keys);
        if (k) std::memcpy(keys + (n - 1) * width, k + of_token, width * sizeof(T));
        if (v) std::memcpy(values + (n - 1) * width, v + of_token, width * sizeof(T));
        attend_one(q + of_token, keys, values, n, cache.room, width, scale, out + task * width);
    });
}

template <class T>
void attend(const T* q, const T* k, const T* v, int64_t stride, int64_t n, int64_t n_heads, int64_t width,
            const Seen<T>& seen, float scale, T* out, int64_t n_threads) {
    if (seen.bounds)
        attend_texts(q, k, v, stride, n_heads, width, seen, scale, out, n_threads);
    else
        attend_cache(q, k, v, stride, seen.cache, n, n_heads, width, scale, out, n_threads);
}

}  // namespace
