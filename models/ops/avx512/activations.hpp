// The exponential function and the activations of linear layers, for sixteen numbers at a time.
//
// Sources:
//   Abramowitz and Stegun 1964, "Handbook of Mathematical Functions", formula 7.1.26 (the error function)
//   Cody and Waite 1980, "Software Manual for the Elementary Functions" (the reduction of the argument of e^x)
//   Hendrycks and Gimpel 2016, "Gaussian Error Linear Units (GELUs)"

#pragma once

#include "simd.hpp"

namespace {

// Evaluate a polynomial by Horner's rule. The coefficient of the highest power comes first.
template <int N>
inline FloatVector polynomial(FloatVector x, const float (&coefficients)[N]) {
    FloatVector sum = broadcast(coefficients[0]);
    for (int i = 1; i < N; i++) sum = _mm512_fmadd_ps(sum, x, broadcast(coefficients[i]));
    return sum;
}

// Return e^x, within two units in the last place. It is computed as 2^n e^r, where n is x / ln(2) rounded to an
// integer, and e^r is a Taylor polynomial of r = x - n ln(2). In this difference, ln(2) is split into two parts, so
// that r loses no accuracy. Smaller x are replaced by -104, because e^-104 rounds to zero. NaN stays NaN, because
// _mm512_max_ps returns its second argument then.
inline FloatVector exponential(FloatVector x) {
    x = _mm512_max_ps(broadcast(-104), x);
    const FloatVector n = _mm512_roundscale_ps(_mm512_mul_ps(x, broadcast(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    const FloatVector r =
        _mm512_fnmadd_ps(n, broadcast(-2.12194440e-4f), _mm512_fnmadd_ps(n, broadcast(0.693359375f), x));
    return _mm512_scalef_ps(polynomial(r, {1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1.0f, 1.0f}), n);
}

// The activation of a linear layer: none, GELU, or GELU with tanh. The Python binding passes the same numbers.
enum Activation : int64_t { NONE, GELU, GELU_TANH };

// Return x Phi(x) = x (1 + erf(x / sqrt(2))) / 2, where Phi is the normal distribution function. The absolute error of
// erf is 1.5e-7 at most.
inline FloatVector gelu(FloatVector x) {
    const FloatVector z = _mm512_mul_ps(_mm512_abs_ps(x), broadcast(0.70710678f));
    const FloatVector t = _mm512_div_ps(broadcast(1), _mm512_fmadd_ps(z, broadcast(0.3275911f), broadcast(1)));
    const FloatVector p = polynomial(t, {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f, 0});
    const FloatVector erf = _mm512_fnmadd_ps(p, exponential(_mm512_fnmadd_ps(z, z, broadcast(0))), broadcast(1));
    const FloatVector half = _mm512_mul_ps(x, broadcast(0.5f));
    return _mm512_fmadd_ps(_mm512_abs_ps(half), erf, half);
}

// Return x (1 + tanh(s u)) / 2 = x / (1 + e^(-2 s u)) with s = sqrt(2 / pi) and u = x + 0.044715 x^3. The exponent is
// limited to 88, because e^89 is infinite in float32.
inline FloatVector gelu_tanh(FloatVector x) {
    const FloatVector u = _mm512_mul_ps(x, _mm512_fmadd_ps(_mm512_mul_ps(x, x), broadcast(0.044715f), broadcast(1)));
    const FloatVector e = exponential(_mm512_min_ps(_mm512_mul_ps(u, broadcast(-1.59576912f)), broadcast(88)));
    return _mm512_div_ps(x, _mm512_add_ps(broadcast(1), e));
}

// Return x (1/2 + c P(c^2)), where c is x limited to [-4.25, 4.25] and P is a polynomial that was fitted to either
// GELU. The absolute error is 1.2e-4 at most, which is the distance between neighbouring bfloat16 numbers near 1/50.
template <int N>
inline FloatVector gelu_polynomial(FloatVector x, const float (&coefficients)[N]) {
    const FloatVector clamped = _mm512_min_ps(broadcast(4.25f), _mm512_max_ps(broadcast(-4.25f), x));
    const FloatVector half_erf = _mm512_mul_ps(clamped, polynomial(_mm512_mul_ps(clamped, clamped), coefficients));
    return _mm512_mul_ps(x, _mm512_add_ps(half_erf, broadcast(0.5f)));
}

// Apply an activation. The first argument only selects the type of the output: bfloat16 cannot show the error of the
// faster polynomials.
inline FloatVector activate(float, FloatVector x, Activation activation) {
    return activation == GELU ? gelu(x) : activation == GELU_TANH ? gelu_tanh(x) : x;
}
inline FloatVector activate(BFloat16, FloatVector x, Activation activation) {
    if (activation == GELU)
        return gelu_polynomial(x, {-8.46034964e-10f, 7.57079093e-08f, -2.93879043e-06f, 6.55269178e-05f,
                                   -0.00094044616f, 0.00925781764f, -0.0654534921f, 0.398420036f});
    if (activation == GELU_TANH)
        return gelu_polynomial(x, {-9.38245925e-10f, 8.26517237e-08f, -3.15146917e-06f, 6.88955988e-05f,
                                   -0.000969136483f, 0.0093777217f, -0.0656159744f, 0.398337334f});
    return x;
}

}  // namespace
