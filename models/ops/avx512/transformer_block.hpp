// A whole Transformer block in one call: attention, optionally cross-attention, and the feed-forward network, each with
// its residual connection and its norm (Vaswani et al. 2017, "Attention Is All You Need", section 3.1).
//
// A call from Python releases the interpreter lock and must acquire it again. While a busy event loop holds that lock,
// this takes longer than many of the matrix products, so that Python calls the library once for all blocks.

#pragma once

#include "attention.hpp"
#include "layer_norm.hpp"
#include "linear.hpp"

namespace {

// Compute out = x + y for n numbers.
template <class T>
void add(const T* x, const T* y, int64_t n, T* out) {
    for (int64_t i = 0; i < n; i += LANES) {
        const LaneMask lanes = first_lanes(n - i);
        store(out + i, _mm512_add_ps(load(x + i, lanes), load(y + i, lanes)), lanes);
    }
}

// The weights of a block. `qkv` computes queries, keys and values side by side; `up` and `down` are the feed-forward
// network. The panels of the cross-attention are null if the block has none. With `norm_first`, each norm is applied
// before its sublayer (pre-norm), otherwise after the residual connection (post-norm). Mirrors
// `_TransformerBlock` in `blocks.py`.
template <class T>
struct TransformerBlock {
    LinearLayer qkv, out, up, down;
    LinearLayer cross_q, cross_out;
    LayerNorm<T> attention_norm, feedforward_norm, cross_norm;
    int64_t n_heads, norm_first;
};

// A block, what its tokens attend to in self-attention and in cross-attention, and the factors of the scores.
// Mirrors `BlockCall` in `blocks.py`.
template <class T>
struct BlockCall {
    const TransformerBlock<T>* block;
    AttentionContext<T> self_context, cross_context;
    double self_scale, cross_scale;
};

// Compute a block of n tokens: x and out are [n, width] and may be the same memory. The workspace holds
// [n, width] and, behind it, [n, 4 width] or [n, inner width], whichever is larger.
template <class T>
void run_block(const BlockCall<T>& call, const T* x, int64_t n, T* workspace, T* out, int64_t n_threads) {
    const TransformerBlock<T>& block = *call.block;
    const int64_t width = block.qkv.n_in, n_heads = block.n_heads, head_width = width / n_heads;
    // `branch` holds the output of the last sublayer and, in pre-norm, the normalised input of the next one.
    T* const branch = workspace;
    T* const qkv = branch + n * width;        // [n, 3 width], or queries [n, width] in cross-attention
    T* const attended = qkv + 3 * n * width;  // [n, width]
    T* const inner = qkv;                     // [n, inner width], when `qkv` and `attended` are no longer needed
    // Add the output of a sublayer to `residual`, and return the input of the next sublayer. In pre-norm, `out` is the
    // sum, which is normalised by the next norm; in post-norm, `out` is the sum normalised by the sublayer's own norm.
    const auto end_sublayer = [&](const T* residual, const LayerNorm<T>& own_norm,
                                  const LayerNorm<T>& next_norm) -> const T* {
        T* const normalised = block.norm_first ? branch : out;
        add_norm<T>(residual, branch, block.norm_first ? next_norm : own_norm, n, width,
                    block.norm_first ? out : nullptr, normalised, n_threads);
        return normalised;
    };
    const T* input = x;
    if (block.norm_first) {
        add_norm<T>(x, nullptr, block.attention_norm, n, width, nullptr, branch, n_threads);
        input = branch;
    }
    linear(input, n, block.qkv, qkv, n_threads);
    attend(qkv, qkv + width, qkv + 2 * width, 3 * width, n, n_heads, head_width, call.self_context,
           static_cast<float>(call.self_scale), attended, n_threads);
    linear(attended, n, block.out, branch, n_threads);
    const bool has_cross_attention = block.cross_q.panels != nullptr;
    input = end_sublayer(x, block.attention_norm, has_cross_attention ? block.cross_norm : block.feedforward_norm);
    if (has_cross_attention) {
        linear(input, n, block.cross_q, qkv, n_threads);
        attend<T>(qkv, nullptr, nullptr, width, n, n_heads, head_width, call.cross_context,
                  static_cast<float>(call.cross_scale), attended, n_threads);
        linear(attended, n, block.cross_out, branch, n_threads);
        input = end_sublayer(out, block.cross_norm, block.feedforward_norm);
    }
    linear(input, n, block.up, inner, n_threads);
    linear(inner, n, block.down, branch, n_threads);
    if (block.norm_first)
        add(out, branch, n * width, out);
    else
        add_norm<T>(out, branch, block.feedforward_norm, n, width, nullptr, out, n_threads);
}

}  // namespace
