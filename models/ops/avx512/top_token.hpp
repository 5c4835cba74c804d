// The most likely token under the scores (logits) that a language model gives to all tokens.

#pragma once

#include "activations.hpp"

namespace {

// Return the index of the largest of n scores, the first one if several are equal. Write the logarithm of its softmax
// probability to `log_prob`; it is NaN if one of the scores is. A NaN is never the largest score.
template <class T>
int64_t find_top_token(const T* scores, int64_t n, float* log_prob) {
    FloatVector maxima = broadcast(-__builtin_inff()), sums = broadcast(0);
    for (int64_t i = 0; i < n; i += LANES)
        maxima = _mm512_mask_max_ps(maxima, first_lanes(n - i), load(scores + i, first_lanes(n - i)), maxima);
    const FloatVector max_score = broadcast(_mm512_reduce_max_ps(maxima));
    int64_t token = n;
    for (int64_t i = 0; i < n; i += LANES) {
        const FloatVector values = load(scores + i, first_lanes(n - i));
        const LaneMask is_max = _mm512_mask_cmp_ps_mask(first_lanes(n - i), values, max_score, _CMP_EQ_OQ);
        if (is_max && token == n) token = i + __builtin_ctz(is_max);
        sums = _mm512_mask_add_ps(sums, first_lanes(n - i), sums, exponential(_mm512_sub_ps(values, max_score)));
    }
    *log_prob = -std::log(_mm512_reduce_add_ps(sums));
    return token < n ? token : 0;  // no score equals the largest one if all are NaN
}

}  // namespace
