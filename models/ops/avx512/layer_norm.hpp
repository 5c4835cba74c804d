// Layer normalisation (Ba, Kiros and Hinton 2016, "Layer Normalization", equation 3), alone or of a sum.

#pragma once

#include "simd.hpp"
#include "thread_pool.hpp"

namespace {

// Mirrors `LayerNorm` in `norm.py`. `weight` and `bias` have the width of the rows.
template <class T>
struct LayerNorm {
    const T *weight, *bias;
    double eps;
};

// Normalise a row of n numbers to mean 0 and variance 1, multiply it by the weight, add the bias, and write it to
// `out`. `load_values(i, lanes)` returns the numbers of the row from the i-th on; it is called once for each vector.
template <class T, class LoadValues>
void normalise_row(const LoadValues& load_values, const LayerNorm<T>& norm, int64_t n, T* out) {
    float* const row = scratch<float, Scratch::NORM_ROW>(round_up(n, LANES));
    FloatVector sums = broadcast(0), squares = broadcast(0);
    for (int64_t i = 0; i < n; i += LANES) {
        const FloatVector values = load_values(i, first_lanes(n - i));
        store(row + i, values);
        sums = _mm512_add_ps(sums, values);
    }
    const FloatVector mean = broadcast(_mm512_reduce_add_ps(sums) / n);
    for (int64_t i = 0; i < n; i += LANES) {
        const FloatVector centred = _mm512_maskz_sub_ps(first_lanes(n - i), load(row + i), mean);
        squares = _mm512_fmadd_ps(centred, centred, squares);
    }
    const float variance = _mm512_reduce_add_ps(squares) / n;
    const FloatVector inverse_deviation = broadcast(1 / std::sqrt(variance + static_cast<float>(norm.eps)));
    for (int64_t i = 0; i < n; i += LANES) {
        const LaneMask lanes = first_lanes(n - i);
        const FloatVector normalised = _mm512_mul_ps(_mm512_sub_ps(load(row + i), mean), inverse_deviation);
        store(out + i, _mm512_fmadd_ps(normalised, load(norm.weight + i, lanes), load(norm.bias + i, lanes)), lanes);
    }
}

// Compute sum = x + added and out = norm(sum), all [n_rows, width]. If `added` is null, the sum is x. If `sum` is null,
// the sum is not written. The outputs may be the same memory as the inputs.
template <class T>
void add_norm(const T* x, const T* added, const LayerNorm<T>& norm, int64_t n_rows, int64_t width, T* sum, T* out,
              int64_t n_threads) {
    ThreadPool::instance().parallel_for_rows(n_rows, n_threads, [&](int64_t r) {
        const int64_t start = r * width;
        const auto load_sum = [&](int64_t i, LaneMask lanes) {
            const FloatVector values = load(x + start + i, lanes);
            const FloatVector total = added ? _mm512_add_ps(values, load(added + start + i, lanes)) : values;
            if (sum) store(sum + start + i, total, lanes);
            return total;
        };
        normalise_row(load_sum, norm, width, out + start);
    });
}

}  // namespace
