// Rows with mean 0 and variance 1.

#pragma once

#include "team.hpp"
#include "vectors.hpp"

namespace {

// As `Norm` of `__init__.py` has it.
template <class T>
struct Norm {
    const T *weight, *bias;
    double eps;
};

// A row of n numbers, values(i, lanes) from the i-th on: with mean 0 and variance 1, times weight, plus bias, to `out`
// (Ba et al. 2016, equation 3).
template <class T, class Values>
void norm_row(const Values& values, const Norm<T>& norm, int64_t n, T* out) {
    float* const row = scratch<float, 1>(up(n, LANES));
    Floats total = all(0), square = all(0);
    for (int64_t i = 0; i < n; i += LANES) {
        const Floats some = values(i, first(n - i));
        store(row + i, some);
        total = _mm512_add_ps(total, some);
    }
    const Floats mean = all(_mm512_reduce_add_ps(total) / n);
    for (int64_t i = 0; i < n; i += LANES) {
        const Floats distance = _mm512_maskz_sub_ps(first(n - i), load(row + i), mean);
        square = _mm512_fmadd_ps(distance, distance, square);
    }
    const Floats scale = all(1 / std::sqrt(_mm512_reduce_add_ps(square) / n + static_cast<float>(norm.eps)));
    for (int64_t i = 0; i < n; i += LANES) {
        const Lanes lanes = first(n - i);
        const Floats one = _mm512_mul_ps(_mm512_sub_ps(load(row + i), mean), scale);
        store(out + i, _mm512_fmadd_ps(one, load(norm.weight + i, lanes), load(norm.bias + i, lanes)), lanes);
    }
}

// Of [n_rows, n]: x + added, or x where that is null, goes to `sum`, if there is one, and normalised to `out`.
template <class T>
void add_norm(const T* x, const T* added, const Norm<T>& norm, int64_t n_rows, int64_t n, T* sum, T* out,
              int64_t n_threads) {
    Team::instance().share_rows(n_rows, n_threads, [&](int64_t r) {
        const int64_t row = r * n;
        const auto values = [&](int64_t i, Lanes lanes) {
            const Floats one = load(x + row + i, lanes);
            const Floats both = added ? _mm512_add_ps(one, load(added + row + i, lanes)) : one;
            if (sum) store(sum + row + i, both, lanes);
            return both;
        };
        norm_row(values, norm, n, out + row);
    });
}

}  // namespace
