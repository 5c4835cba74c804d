// The embedding layer of text encoders: the sum of word, position and token type embeddings, normalised (Devlin et al.
// 2019, "BERT", section 3).
//
// Tokens of all texts are in one row; text i is the tokens from bounds[i] to bounds[i + 1] - 1.

#pragma once

#include "layer_norm.hpp"

namespace {

// Mirrors `_EmbeddingTable` in `embeddings.py`.
template <class T>
struct EmbeddingTable {
    const T* rows;  // [n, width]
    int64_t n;

    bool contains(int64_t row) const { return 0 <= row && row < n; }
};

// Mirrors `_Embeddings` in `embeddings.py`. The first token of a text is at position `first_position`.
template <class T>
struct Embeddings {
    EmbeddingTable<T> words, positions, types;
    int64_t first_position, width;
    LayerNorm<T> norm;
};

// Write the embeddings of all tokens to `out`, [n_tokens, width]. If there is only one type, `type_ids` is ignored.
// Return -1 or, if a table has no row for some token, the first such token; `out` is not written then.
template <class T>
int64_t embed(const Embeddings<T>& tables, const int64_t* ids, const int64_t* type_ids, const int32_t* bounds,
              int64_t n_texts, T* out, int64_t n_threads) {
    const int64_t n_tokens = bounds[n_texts];
    const bool has_one_type = tables.types.n == 1;
    int64_t* const positions = scratch<int64_t, Scratch::POSITIONS>(n_tokens);
    for (int64_t text = 0; text < n_texts; text++)
        for (int64_t token = bounds[text]; token < bounds[text + 1]; token++) {
            positions[token] = tables.first_position + token - bounds[text];
            const bool is_known_type = has_one_type || tables.types.contains(type_ids[token]);
            if (!is_known_type || !tables.words.contains(ids[token]) || !tables.positions.contains(positions[token]))
                return token;
        }
    const int64_t width = tables.width;
    ThreadPool::instance().parallel_for_rows(n_tokens, n_threads, [&](int64_t token) {
        const T* const word = tables.words.rows + ids[token] * width;
        const T* const position = tables.positions.rows + positions[token] * width;
        const T* const type = tables.types.rows + (has_one_type ? 0 : type_ids[token]) * width;
        const auto load_sum = [&](int64_t i, LaneMask lanes) {
            return _mm512_add_ps(_mm512_add_ps(load(word + i, lanes), load(position + i, lanes)),
                                 load(type + i, lanes));
        };
        normalise_row(load_sum, tables.norm, width, out + token * width);
    });
    return -1;
}

}  // namespace
