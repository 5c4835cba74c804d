// What Python calls: linear layers, norms of sums, attention, whole blocks, what comes before and after them, and the
// likeliest token, for processors with AVX-512, each in one pass.
//
// Sums are kept in registers, a tile at a time, and what a tile reads is kept in the first-level cache. What the
// functions compute, `__init__.py` says.

#include "attention.hpp"
#include "block.hpp"
#include "linear.hpp"
#include "team.hpp"
#include "texts.hpp"
#include "vectors.hpp"

namespace {

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

#define FUNCTIONS(NAME, T)                                                                                             \
    extern "C" void linear_##NAME(const T* x, int64_t n_rows, const Layer* layer, T* out, int64_t n_threads) {         \
        linear(x, n_rows, *layer, out, n_threads);                                                                     \
    }                                                                                                                  \
    extern "C" void add_norm_##NAME(const T* x, const T* added, const T* weight, const T* bias, int64_t n_rows,        \
                                    int64_t n, double eps, T* out, int64_t n_threads) {                                \
        add_norm<T>(x, added, {weight, bias, eps}, n_rows, n, nullptr, out, n_threads);                                \
    }                                                                                                                  \
    extern "C" void attend_##NAME(const T* q, const T* k, const T* v, int64_t stride, int64_t n, int64_t n_heads,      \
                                  int64_t width, const Seen<T>* seen, float scale, T* out, int64_t n_threads) {        \
        attend(q, k, v, stride, n, n_heads, width, *seen, scale, out, n_threads);                                      \
    }                                                                                                                  \
    extern "C" void blocks_##NAME(const Turn<T>* turns, int64_t n_turns, const T* x, int64_t n, T* space, T* out,      \
                                  int64_t n_threads) {                                                                 \
        for (int64_t i = 0; i < n_turns; i++) run_block(turns[i], i == 0 ? x : out, n, space, out, n_threads);         \
    }                                                                                                                  \
    extern "C" void likeliest_##NAME(const T* scores, int64_t n_rows, int64_t n, int64_t* places, float* shares,       \
                                     int64_t n_threads) {                                                              \
        Team::instance().share(n_rows, n_threads,                                                                      \
                               [&](int64_t r) { places[r] = likeliest(scores + r * n, n, shares + r); });              \
    }                                                                                                                  \
    extern "C" int64_t embed_##NAME(const Embeddings<T>* tables, const int64_t* ids, const int64_t* type_ids,          \
                                    const int32_t* bounds, int64_t n_texts, T* out, int64_t n_threads) {               \
        return embed(*tables, ids, type_ids, bounds, n_texts, out, n_threads);                                         \
    }                                                                                                                  \
    extern "C" void pool_##NAME(const T* x, int64_t width, const int32_t* bounds, const int64_t* places,               \
                                int64_t n_texts, int64_t pooling, int64_t n_kept, int64_t is_unit, float* out,         \
                                int64_t n_threads) {                                                                   \
        pool(x, width, bounds, places, n_texts, static_cast<Pooling>(pooling), n_kept, is_unit != 0, out, n_threads);  \
    }

FUNCTIONS(float32, float)
FUNCTIONS(bfloat16, BFloat16)
