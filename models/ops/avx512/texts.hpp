// What comes before the first block of an encoder of texts, and after the last.
//
// Texts lie in one row of tokens: text i from `bounds[i]` to `bounds[i + 1]`.

#pragma once

#include "norm.hpp"

namespace {

template <class T>
struct Table {
    const T* rows;  // [n, width]
    int64_t n;

    bool has(int64_t row) const { return 0 <= row && row < n; }
};

// As `Embeddings` of `texts.py` has it.
template <class T>
struct Embeddings {
    Table<T> words, positions, types;
    int64_t first_position, width;
    Norm<T> norm;
};

// The sum of each token's rows of three tables, normalised: [N, width]. Where there is one type, all tokens are of it.
// Returns the first token that a table has no row for, and then nothing is read of any; -1 if there is none.
template <class T>
int64_t embed(const Embeddings<T>& tables, const int64_t* ids, const int64_t* type_ids, const int32_t* bounds,
              int64_t n_texts, T* out, int64_t n_threads) {
    const int64_t n = bounds[n_texts];
    const bool is_alike = tables.types.n == 1;
    int64_t* const places = scratch<int64_t, 0>(n);
    for (int64_t text = 0; text < n_texts; text++)
        for (int64_t t = bounds[text]; t < bounds[text + 1]; t++) {
            places[t] = tables.first_position + t - bounds[text];
            const bool has_type = is_alike || tables.types.has(type_ids[t]);
            if (!has_type || !tables.words.has(ids[t]) || !tables.positions.has(places[t])) return t;
        }
    const int64_t width = tables.width;
    Team::instance().share_rows(n, n_threads, [&](int64_t t) {
        const T* const word = tables.words.rows + ids[t] * width;
        const T* const position = tables.positions.rows + places[t] * width;
        const T* const type = tables.types.rows + (is_alike ? 0 : type_ids[t]) * width;
        const auto values = [&](int64_t i, Lanes lanes) {
            return _mm512_add_ps(_mm512_add_ps(load(word + i, lanes), load(position + i, lanes)),
                                 load(type + i, lanes));
        };
        norm_row(values, tables.norm, width, out + t * width);
    });
    return -1;
}

enum Pooling : int64_t { MEAN, FIRST, LAST, MOST };

// The larger of each two, NaN if one of them is.
inline Floats larger(Floats a, Floats b) {
    return _mm512_mask_add_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q), a, b);
}

// The first `n_kept` of `width` elements of n tokens as one vector; of unit length, if that is asked for.
template <class T>
void pool_text(const T* x, int64_t n, int64_t width, Pooling pooling, int64_t n_kept, bool is_unit, float* out) {
    const int64_t from = pooling == LAST ? n - 1 : 0, to = pooling == FIRST ? 1 : n;
    const Floats share = all(pooling == MEAN ? 1.0f / n : 1);
    Floats square = all(0);
    for (int64_t i = 0; i < n_kept; i += LANES) {
        const Lanes lanes = first(n_kept - i);
        Floats some = load(x + from * width + i, lanes);
        for (int64_t t = from + 1; t < to; t++) {
            const Floats next = load(x + t * width + i, lanes);
            some = pooling == MEAN ? _mm512_add_ps(some, next) : larger(some, next);
        }
        some = _mm512_mul_ps(some, share);
        square = _mm512_fmadd_ps(some, some, square);
        store(out + i, some, lanes);
    }
    if (!is_unit) return;
    const float length = std::sqrt(_mm512_reduce_add_ps(square));
    const Floats scale = all(1 / (length < 1e-12f ? 1e-12f : length));
    for (int64_t i = 0; i < n_kept; i += LANES) {
        const Lanes lanes = first(n_kept - i);
        store(out + i, _mm512_mul_ps(load(out + i, lanes), scale), lanes);
    }
}

// The i-th text of the row becomes the vector `places[i]` of `out`, [n_texts, n_kept].
template <class T>
void pool(const T* x, int64_t width, const int32_t* bounds, const int64_t* places, int64_t n_texts, Pooling pooling,
          int64_t n_kept, bool is_unit, float* out, int64_t n_threads) {
    Team::instance().share(n_texts, n_threads, [&](int64_t i) {
        pool_text(x + bounds[i] * width, bounds[i + 1] - bounds[i], width, pooling, n_kept, is_unit,
                  out + places[i] * n_kept);
    });
}

}  // namespace
