// The functions that the Python binding calls, for processors with AVX-512. Each exists for float32 and for bfloat16,
// with the type at the end of its name. The headers say what the functions compute, and give the shapes:
//
//   linear_*     linear.hpp             a linear layer with bias and activation
//   add_norm_*   layer_norm.hpp         the layer norm of a sum
//   attend_*     attention.hpp          attention within texts or over a key-value cache
//   blocks_*     transformer_block.hpp  several Transformer blocks, one after the other
//   likeliest_*  top_token.hpp          the most likely token of each row of scores
//   embed_*      embeddings.hpp         the embedding layer of text encoders
//   pool_*       pooling.hpp            one vector for each text
//
// Matrices are stored row by row. All functions run on up to `n_threads` threads of one pool (thread_pool.hpp).
// The library is compiled from this file alone: everything in the headers is in an unnamed namespace.

#include "attention.hpp"
#include "embeddings.hpp"
#include "layer_norm.hpp"
#include "linear.hpp"
#include "pooling.hpp"
#include "thread_pool.hpp"
#include "top_token.hpp"
#include "transformer_block.hpp"

#define EXPORT_FUNCTIONS(TYPE_NAME, T)                                                                                 \
    extern "C" void linear_##TYPE_NAME(const T* x, int64_t n_rows, const LinearLayer* layer, T* out,                   \
                                       int64_t n_threads) {                                                            \
        linear(x, n_rows, *layer, out, n_threads);                                                                     \
    }                                                                                                                  \
    extern "C" void add_norm_##TYPE_NAME(const T* x, const T* added, const T* weight, const T* bias, int64_t n_rows,   \
                                         int64_t width, double eps, T* out, int64_t n_threads) {                       \
        add_norm<T>(x, added, {weight, bias, eps}, n_rows, width, nullptr, out, n_threads);                            \
    }                                                                                                                  \
    extern "C" void attend_##TYPE_NAME(const T* q, const T* k, const T* v, int64_t stride, int64_t n_tokens,           \
                                       int64_t n_heads, int64_t width, const AttentionContext<T>* context,             \
                                       float scale, T* out, int64_t n_threads) {                                       \
        attend(q, k, v, stride, n_tokens, n_heads, width, *context, scale, out, n_threads);                            \
    }                                                                                                                  \
    extern "C" void blocks_##TYPE_NAME(const BlockCall<T>* calls, int64_t n_calls, const T* x, int64_t n_tokens,       \
                                       T* workspace, T* out, int64_t n_threads) {                                      \
        for (int64_t i = 0; i < n_calls; i++)                                                                          \
            run_block(calls[i], i == 0 ? x : out, n_tokens, workspace, out, n_threads);                                \
    }                                                                                                                  \
    extern "C" void likeliest_##TYPE_NAME(const T* scores, int64_t n_rows, int64_t n_scores, int64_t* tokens,          \
                                          float* log_probs, int64_t n_threads) {                                       \
        ThreadPool::instance().parallel_for(n_rows, n_threads, [&](int64_t r) {                                        \
            tokens[r] = find_top_token(scores + r * n_scores, n_scores, log_probs + r);                                \
        });                                                                                                            \
    }                                                                                                                  \
    extern "C" int64_t embed_##TYPE_NAME(const Embeddings<T>* tables, const int64_t* ids, const int64_t* type_ids,     \
                                         const int32_t* bounds, int64_t n_texts, T* out, int64_t n_threads) {          \
        return embed(*tables, ids, type_ids, bounds, n_texts, out, n_threads);                                         \
    }                                                                                                                  \
    extern "C" void pool_##TYPE_NAME(const T* x, int64_t width, const int32_t* bounds, const int64_t* out_rows,        \
                                     int64_t n_texts, int64_t pooling, int64_t out_width, int64_t is_unit, float* out, \
                                     int64_t n_threads) {                                                              \
        pool(x, width, bounds, out_rows, n_texts, static_cast<Pooling>(pooling), out_width, is_unit != 0, out,         \
             n_threads);                                                                                               \
    }

EXPORT_FUNCTIONS(float32, float)
EXPORT_FUNCTIONS(bfloat16, BFloat16)
