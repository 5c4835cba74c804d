// All blocks of a Transformer in one call. Each call of Python lets the interpreter lock go and waits for it again,
// which, where a busy event loop holds it, takes longer than many a product.

#pragma once

#include "attention.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace {

template <class T>
void add(const T* x, const T* added, int64_t n, T* out) {
    for (int64_t i = 0; i < n; i += LANES) {
        const Lanes lanes = first(n - i);
        store(out + i, _mm512_add_ps(load(x + i, lanes), load(added + i, lanes)), lanes);
    }
}

// As `Block` of `__init__.py` has it.
template <class T>
struct Block {
    Layer qkv, out, up, down;
    Layer crossing_q, crossing_out;  // whose panels are null where there is no cross-attention
    Norm<T> attention_norm, feedforward_norm, crossing_norm;
    int64_t n_heads, norm_first;
};

// A block; what its tokens see of their own row, and of another; the factors on the scores. As `Turn` of `__init__.py`.
template <class T>
struct Turn {
    const Block<T>* block;
    Seen<T> seen, across;
    double scale, crossing_scale;
};

// [n, width] to the same, which may be where it was. In `space` there is room for [n, width], and for [n, 4 width] or
// what is between the last two layers, whichever is more. Rows are written where they were read, once nothing more is
// read of them.
template <class T>
void run_block(const Turn<T>& turn, const T* x, int64_t n, T* space, T* out, int64_t n_threads) {
    const Block<T>& block = *turn.block;
    const int64_t width = block.qkv.n_in, n_heads = block.n_heads, head_width = width / n_heads;
    T *const added = space, *const qkv = added + n * width, *const attended = qkv + 3 * n * width, *const inner = qkv;
    // What a part gave is added to what it was given, as `out`; returns what the next part is given.
    const auto sum = [&](const T* given, const Norm<T>& own, const Norm<T>& next) -> const T* {
        T* const normed = block.norm_first ? added : out;
        add_norm<T>(given, added, block.norm_first ? next : own, n, width, block.norm_first ? out : nullptr, normed,
                    n_threads);
        return normed;
    };
    const T* given = x;
    if (block.norm_first) {
        add_norm<T>(x, nullptr, block.attention_norm, n, width, nullptr, added, n_threads);
        given = added;
    }
    linear(given, n, block.qkv, qkv, n_threads);
    attend(qkv, qkv + width, qkv + 2 * width, 3 * width, n, n_heads, head_width, turn.seen,
           static_cast<float>(turn.scale), attended, n_threads);
    linear(attended, n, block.out, added, n_threads);
    const bool crosses = block.crossing_q.panels != nullptr;
    given = sum(x, block.attention_norm, crosses ? block.crossing_norm : block.feedforward_norm);
    if (crosses) {
        linear(given, n, block.crossing_q, qkv, n_threads);
        attend<T>(qkv, nullptr, nullptr, width, n, n_heads, head_width, turn.across,
                  static_cast<float>(turn.crossing_scale), attended, n_threads);
        linear(attended, n, block.crossing_out, added, n_threads);
        given = sum(out, block.crossing_norm, block.feedforward_norm);
    }
    linear(given, n, block.up, inner, n_threads);
    linear(inner, n, block.down, added, n_threads);
    if (block.norm_first)
        add(out, added, n * width, out);
    else
        add_norm<T>(out, added, block.feedforward_norm, n, width, nullptr, out, n_threads);
}

}  // namespace
