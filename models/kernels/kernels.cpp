// Linear layers, norms of sums, attention and the likeliest token, for processors with AVX-512, each in one pass.
//
// Sums are kept in registers, a tile at a time, and what a tile reads is kept in the first-level cache. What the
// functions compute, `__init__.py` says. OpenMP is the one that torch has loaded, with the number of threads it has.

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {

// ---- sixteen numbers at a time ----

using Floats = __m512;
using Lanes = __mmask16;
constexpr int LANES = 16;
constexpr Lanes ALL = 0xFFFF;

struct BFloat16 {
    uint16_t bits;
};

inline Lanes first(int64_t n) { return n >= LANES ? ALL : n <= 0 ? 0 : static_cast<Lanes>((1u << n) - 1); }
inline int64_t up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Floats load(const float* x, Lanes lanes = ALL) { return _mm512_maskz_loadu_ps(lanes, x); }
inline Floats load(const BFloat16* x, Lanes lanes = ALL) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
inline void store(float* x, Floats values, Lanes lanes = ALL) { _mm512_mask_storeu_ps(x, lanes, values); }
inline void store(BFloat16* x, Floats values, Lanes lanes = ALL) {
    _mm256_mask_storeu_epi16(x, lanes, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

template <int N>
inline Floats polynomial(Floats x, const float (&coefficients)[N]) {
    Floats sum = all(coefficients[0]);
    for (int i = 1; i < N; i++) sum = _mm512_fmadd_ps(sum, x, all(coefficients[i]));
    return sum;
}

// e^x = 2^n e^r with |r| <= ln(2) / 2, within two units of the last place; of NaN, NaN, as `max` gives its second one.
inline Floats exponential(Floats x) {
    x = _mm512_max_ps(all(-104), x);
    const Floats n = _mm512_roundscale_ps(_mm512_mul_ps(x, all(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    const Floats r = _mm512_fnmadd_ps(n, all(-2.12194440e-4f), _mm512_fnmadd_ps(n, all(0.693359375f), x));
    return _mm512_scalef_ps(polynomial(r, {1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1.0f, 1.0f}), n);
}

enum Activation : int { NONE, GELU, GELU_TANH };

// x Phi(x), with erf within 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
inline Floats gelu(Floats x) {
    const Floats z = _mm512_mul_ps(_mm512_abs_ps(x), all(0.70710678f));
    const Floats t = _mm512_div_ps(all(1), _mm512_fmadd_ps(z, all(0.3275911f), all(1)));
    const Floats p = polynomial(t, {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f, 0});
    const Floats erf = _mm512_fnmadd_ps(p, exponential(_mm512_fnmadd_ps(z, z, all(0))), all(1));
    const Floats half = _mm512_mul_ps(x, all(0.5f));
    return _mm512_fmadd_ps(_mm512_abs_ps(half), erf, half);
}

// x (1 + tanh u) / 2 = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016).
inline Floats gelu_tanh(Floats x) {
    const Floats u = _mm512_mul_ps(x, _mm512_fmadd_ps(_mm512_mul_ps(x, x), all(0.044715f), all(1)));
    const Floats e = exponential(_mm512_min_ps(_mm512_mul_ps(u, all(-1.59576912f)), all(88)));
    return _mm512_div_ps(x, _mm512_add_ps(all(1), e));
}

// x (1/2 + x P(x^2)) with |x| limited to 4.25, within 1.2e-4 of either: a step of BFloat16 at 1/50.
template <int N>
inline Floats near_gelu(Floats x, const float (&coefficients)[N]) {
    const Floats limited = _mm512_min_ps(all(4.25f), _mm512_max_ps(all(-4.25f), x));
    const Floats half_erf = _mm512_mul_ps(limited, polynomial(_mm512_mul_ps(limited, limited), coefficients));
    return _mm512_mul_ps(x, _mm512_add_ps(half_erf, all(0.5f)));
}

inline Floats activated(float, Floats x, Activation activation) {
    return activation == GELU ? gelu(x) : activation == GELU_TANH ? gelu_tanh(x) : x;
}
inline Floats activated(BFloat16, Floats x, Activation activation) {
    if (activation == GELU)
        return near_gelu(x, {-8.46034964e-10f, 7.57079093e-08f, -2.93879043e-06f, 6.55269178e-05f, -0.00094044616f,
                             0.00925781764f, -0.0654534921f, 0.398420036f});
    if (activation == GELU_TANH)
        return near_gelu(x, {-9.38245925e-10f, 8.26517237e-08f, -3.15146917e-06f, 6.88955988e-05f, -0.000969136483f,
                             0.0093777217f, -0.0656159744f, 0.398337334f});
    return x;
}

// Memory of this thread, one piece a PURPOSE, kept from call to call.
template <class T, int PURPOSE>
T* scratch(int64_t n) {
    thread_local std::vector<T> memory;
    if (static_cast<int64_t>(memory.size()) < n) memory.resize(n);
    return memory.data();
}

// ---- tiles: their rows by 64 columns at most, whose sums take 24 of the 32 registers ----

constexpr int TILE_ROWS = 6;
constexpr int TILE_VECTORS = 4;

template <int N>
using Constant = std::integral_constant<int, N>;

// work(0), …, work(N - 1), of constants: an array whose places are constants is kept in registers.
template <int N, class Work>
[[gnu::always_inline]] inline void each(const Work& work) {
    if constexpr (N > 0) {
        each<N - 1>(work);
        work(Constant<N - 1>{});
    }
}

// work(n), of a constant, for n of 1 to TILE_ROWS, and of that for all above.
template <int N = TILE_ROWS, class Work>
inline void with_rows(int64_t n, const Work& work) {
    if constexpr (N > 1) {
        if (n < N) return with_rows<N - 1>(n, work);
    }
    work(Constant<N>{});
}

// ---- linear layers ----
//
// Weights lie as they are read: in panels of 64 outputs, of which a line has 4 bytes for each, which are factors of the
// next one, two or four inputs. For weights of float, BFloat16 and int8_t there is an instruction that multiplies lines
// with as many inputs and adds the products up.

constexpr int LINE_BYTES = 4;
constexpr int PANEL = LANES * TILE_VECTORS;
constexpr int BLOCK_ROWS = 8 * TILE_ROWS;
constexpr int BLOCK_LINES = 512;  // of a panel: half of a second-level cache of 256 KiB
constexpr int ZERO = 128;         // that instruction of int8_t takes inputs without a sign

inline __m512i added(float, __m512i sums, __m512i x, __m512i weights) {
    return _mm512_castps_si512(
        _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(weights), _mm512_castsi512_ps(sums)));
}
inline __m512i added(BFloat16, __m512i sums, __m512i x, __m512i weights) {
    return _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sums), reinterpret_cast<__m512bh>(x),
                                                reinterpret_cast<__m512bh>(weights)));
}
inline __m512i added(int8_t, __m512i sums, __m512i x, __m512i weights) { return _mm512_dpbusd_epi32(sums, x, weights); }

struct Layer {
    const char* panels;
    const float* bias;     // [n_out], or null
    const float* scales;   // [n_out], of int8_t
    const int32_t* zeros;  // [n_out], of int8_t: what a row of ZERO gives
    int64_t n_in, n_out, n_lines;
    Activation activation;
};

// A row of the input as lines of the weights' type. For int8_t it is rounded to 255 steps between minus and plus its
// largest value, and the width of a step is returned.
template <class W, class T>
float lines_of(const T* x, const Layer& layer, char* lines) {
    if constexpr (std::is_same_v<W, T>) {
        std::memcpy(lines, x, layer.n_in * sizeof(T));
        std::memset(lines + layer.n_in * sizeof(T), 0, layer.n_lines * LINE_BYTES - layer.n_in * sizeof(T));
        return 1;
    }
    __m512i most{};  // as an integer, a NaN without its sign is more than any number
    for (int64_t i = 0; i < layer.n_in; i += LANES)
        most = _mm512_max_epu32(most, _mm512_castps_si512(_mm512_abs_ps(load(x + i, first(layer.n_in - i)))));
    const uint32_t bits = _mm512_reduce_max_epu32(most);
    float step;
    std::memcpy(&step, &bits, sizeof step);
    step = std::max(step / 127, 1e-30f);  // of NaN, NaN
    const Floats per_step = all(1 / step);
    for (int64_t i = 0; i < layer.n_lines * LINE_BYTES; i += LANES) {
        const __m512i steps = _mm512_cvtps_epi32(_mm512_mul_ps(load(x + i, first(layer.n_in - i)), per_step));
        const __m128i shifted = _mm512_cvtepi32_epi8(_mm512_add_epi32(steps, _mm512_set1_epi32(ZERO)));
        _mm_mask_storeu_epi8(lines + i, first(layer.n_lines * LINE_BYTES - i), shifted);
    }
    return step;
}

// Adds to `sums`, [ROWS, 64], what n lines give; `stride` bytes lie between those of one row and those of the next.
template <class W, int ROWS>
[[gnu::noinline]] void add_tile(const char* lines, int64_t stride, const char* panel, int64_t n, int32_t* sums) {
    __m512i tile[ROWS][TILE_VECTORS], weights[TILE_VECTORS];
    each<ROWS>([&](auto r) {
        each<TILE_VECTORS>([&](auto c) { tile[r][c] = _mm512_loadu_si512(sums + r * PANEL + c * LANES); });
    });
    for (int64_t i = 0; i < n; i++, lines += LINE_BYTES, panel += PANEL * LINE_BYTES) {
        each<TILE_VECTORS>([&](auto c) {
            weights[c] = _mm512_loadu_si512(panel + c * LANES * LINE_BYTES);
            _mm_prefetch(panel + (n * PANEL + c * LANES) * LINE_BYTES, _MM_HINT_T1);  // what is next after these lines
        });
        each<ROWS>([&](auto r) {
            int32_t line;
            std::memcpy(&line, lines + r * stride, LINE_BYTES);
            const __m512i x = _mm512_set1_epi32(line);
            each<TILE_VECTORS>([&](auto c) { tile[r][c] = added(W{}, tile[r][c], x, weights[c]); });
        });
    }
    each<ROWS>([&](auto r) {
        each<TILE_VECTORS>([&](auto c) { _mm512_storeu_si512(sums + r * PANEL + c * LANES, tile[r][c]); });
    });
}

// The sums of n rows and a panel, [n, 64], as outputs.
template <class W, class T>
void write_panel(const int32_t* sums, int64_t n, const float* steps, const Layer& layer, int64_t panel, T* out) {
    for (int64_t c = 0, o = panel * PANEL; c < PANEL && o < layer.n_out; c += LANES, o += LANES) {
        const Lanes lanes = first(layer.n_out - o);
        const Floats bias = layer.bias ? load(layer.bias + o, lanes) : all(0);
        const Floats scale = std::is_same_v<W, int8_t> ? load(layer.scales + o, lanes) : all(1);
        const __m512i zero = std::is_same_v<W, int8_t> ? _mm512_maskz_loadu_epi32(lanes, layer.zeros + o) : __m512i{};
        for (int64_t r = 0; r < n; r++) {
            const __m512i sum = _mm512_loadu_si512(sums + r * PANEL + c);
            Floats y;
            if constexpr (std::is_same_v<W, int8_t>)
                y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, zero)),
                                    _mm512_mul_ps(scale, all(steps[r])), bias);
            else
                y = _mm512_add_ps(_mm512_castsi512_ps(sum), bias);
            store(out + r * layer.n_out + o, activated(T{}, y, layer.activation), lanes);
        }
    }
}

template <class W, class T>
void linear(const T* x, int64_t n_rows, const Layer& layer, T* out) {
    const int64_t n_panels = up(layer.n_out, PANEL) / PANEL, stride = layer.n_lines * LINE_BYTES;
    char* const lines = scratch<char, 0>(BLOCK_ROWS * stride);
    float steps[BLOCK_ROWS];
    for (; n_rows > 0; n_rows -= BLOCK_ROWS, x += BLOCK_ROWS * layer.n_in, out += BLOCK_ROWS * layer.n_out) {
        const int64_t n = std::min<int64_t>(n_rows, BLOCK_ROWS);
        for (int64_t r = 0; r < n; r++) steps[r] = lines_of<W>(x + r * layer.n_in, layer, lines + r * stride);
#pragma omp parallel for
        for (int64_t panel = 0; panel < n_panels; panel++) {
            int32_t sums[BLOCK_ROWS * PANEL];
            std::memset(sums, 0, n * PANEL * sizeof(int32_t));
            for (int64_t line = 0; line < layer.n_lines; line += BLOCK_LINES) {
                const int64_t n_lines = std::min<int64_t>(layer.n_lines - line, BLOCK_LINES);
                const char* weights = layer.panels + (panel * layer.n_lines + line) * PANEL * LINE_BYTES;
                for (int64_t r = 0; r < n; r += TILE_ROWS)
                    with_rows(n - r, [&](auto rows) {
                        add_tile<W, rows>(lines + r * stride + line * LINE_BYTES, stride, weights, n_lines,
                                          sums + r * PANEL);
                    });
            }
            write_panel<W>(sums, n, steps, layer, panel, out);
        }
    }
}

// ---- norms ----

// Rows of x + added, with mean 0 and variance 1, times weight, plus bias (Ba et al. 2016, equation 3).
template <class T>
void add_norm(const T* x, const T* added, const T* weight, const T* bias, int64_t n_rows, int64_t n, float eps, T* out) {
#pragma omp parallel for
    for (int64_t row = 0; row < n_rows; row++) {
        float* const sums = scratch<float, 1>(up(n, LANES));
        Floats total = all(0), square = all(0);
        for (int64_t i = 0; i < n; i += LANES) {
            const Lanes lanes = first(n - i);
            const Floats sum = _mm512_add_ps(load(x + row * n + i, lanes), load(added + row * n + i, lanes));
            store(sums + i, sum);
            total = _mm512_add_ps(total, sum);
        }
        const Floats mean = all(_mm512_reduce_add_ps(total) / n);
        for (int64_t i = 0; i < n; i += LANES) {
            const Floats distance = _mm512_maskz_sub_ps(first(n - i), load(sums + i), mean);
            square = _mm512_fmadd_ps(distance, distance, square);
        }
        const Floats scale = all(1 / std::sqrt(_mm512_reduce_add_ps(square) / n + eps));
        for (int64_t i = 0; i < n; i += LANES) {
            const Lanes lanes = first(n - i);
            const Floats one = _mm512_mul_ps(_mm512_sub_ps(load(sums + i), mean), scale);
            store(out + row * n + i, _mm512_fmadd_ps(one, load(weight + i, lanes), load(bias + i, lanes)), lanes);
        }
    }
}

// ---- attention ----
//
// Its products are of lines of 4 bytes as well, of one float or two of BFloat16: each query and key is a row of them, and
// so are the weights of a query, whose factors are lines across the values of one or two tokens.

template <class T>
constexpr int PER_LINE = LINE_BYTES / sizeof(T);
template <class T>
inline int64_t lines_for(int64_t n) {
    return up(n, PER_LINE<T>) / PER_LINE<T>;
}

// Sixteen lines of a row of which n elements are left; zeros fill them up.
inline __m512i load_lines(const float* x, int64_t n) { return _mm512_maskz_loadu_epi32(first(n), x); }
inline __m512i load_lines(const BFloat16* x, int64_t n) {
    return _mm512_maskz_loadu_epi16(first(n) | static_cast<__mmask32>(first(n - LANES)) << LANES, x);
}

// Sixteen lines across rows, `stride` elements apart, of which n are left, and so many columns.
inline __m512i load_across(const float* x, int64_t, int64_t, Lanes columns) { return _mm512_maskz_loadu_epi32(columns, x); }
inline __m512i load_across(const BFloat16* x, int64_t stride, int64_t n, Lanes columns) {
    const __m512i one = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, x));
    if (n == 1) return one;
    const __m512i other = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, x + stride));
    return _mm512_or_si512(one, _mm512_slli_epi32(other, 16));
}

// Rows become columns: four times, each row of the first half is shuffled into one of the second, as cards are.
inline void transpose(__m512i (&x)[LANES]) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(LANES / 2));
    for (int round = 0; round < 4; round++) {
        __m512i y[LANES];
        each<LANES / 2>([&](auto i) {
            y[2 * i] = _mm512_permutex2var_epi32(x[i], low, x[i + LANES / 2]);
            y[2 * i + 1] = _mm512_permutex2var_epi32(x[i], high, x[i + LANES / 2]);
        });
        each<LANES>([&](auto i) { x[i] = y[i]; });
    }
}

// out = a b: a of ROWS rows of n lines, b of n rows and VECTORS times 16 columns of lines.
template <class T, int ROWS, int VECTORS>
[[gnu::noinline]] void line_tile(const int32_t* a, int64_t a_stride, const int32_t* b, int64_t b_stride, int64_t n,
                                 int32_t* out, int64_t out_stride) {
    __m512i sums[ROWS][VECTORS], columns[VECTORS];
    each<ROWS>([&](auto r) { each<VECTORS>([&](auto c) { sums[r][c] = __m512i{}; }); });
    for (int64_t i = 0; i < n; i++, b += b_stride) {
        each<VECTORS>([&](auto c) { columns[c] = _mm512_loadu_si512(b + LANES * c); });
        each<ROWS>([&](auto r) {
            const __m512i row = _mm512_set1_epi32(a[r * a_stride + i]);
            each<VECTORS>([&](auto c) { sums[r][c] = added(T{}, sums[r][c], row, columns[c]); });
        });
    }
    each<ROWS>([&](auto r) {
        each<VECTORS>([&](auto c) { _mm512_storeu_si512(out + r * out_stride + LANES * c, sums[r][c]); });
    });
}

// The same with any multiple of 16 as the number of columns.
template <class T, int ROWS>
void line_rows(const int32_t* a, int64_t a_stride, const int32_t* b, int64_t b_stride, int64_t n, float* numbers,
               int64_t out_stride, int64_t n_columns) {
    int32_t* out = reinterpret_cast<int32_t*>(numbers);
    for (; n_columns >= PANEL; n_columns -= PANEL, b += PANEL, out += PANEL)
        line_tile<T, ROWS, TILE_VECTORS>(a, a_stride, b, b_stride, n, out, out_stride);
    each<TILE_VECTORS>([&](auto vectors) {
        if constexpr (vectors > 0)
            if (n_columns == vectors * LANES)
                line_tile<T, ROWS, vectors>(a, a_stride, b, b_stride, n, out, out_stride);
    });
}

// Of n scores, e^(scale (score - the largest)), and zeros up to the next multiple of 16; returns their sum.
template <class T>
float soften(const float* scores, float scale, int64_t n, T* weights) {
    Floats most = all(-__builtin_inff());
    for (int64_t j = 0; j < n; j += LANES) most = _mm512_mask_max_ps(most, first(n - j), most, load(scores + j));
    const Floats top = all(_mm512_reduce_max_ps(most));
    Floats sum = all(0);
    for (int64_t j = 0; j < n; j += LANES) {
        const Floats distance = _mm512_mul_ps(_mm512_sub_ps(load(scores + j), top), all(scale));
        const Floats weight = _mm512_maskz_mov_ps(first(n - j), exponential(distance));
        store(weights + j, weight);
        sum = _mm512_add_ps(sum, weight);
    }
    return _mm512_reduce_add_ps(sum);
}

// One head of a text of n tokens, `stride` elements from token to token; in `out`, `out_stride`.
template <class T>
struct Head {
    const T *q, *k, *v;
    T* out;
    int64_t n, stride, out_stride, width;
    float scale;
    bool causal;
};

template <class T>
void attend_text(const Head<T>& head) {
    const int64_t n = head.n, width = up(head.width, LANES), n_columns = up(n, LANES), n_lines = lines_for<T>(head.width);
    int32_t* const keys = scratch<int32_t, 1>(up(n_lines, LANES) * n_columns);  // [n_lines, n_columns]
    int32_t* const values = scratch<int32_t, 2>(lines_for<T>(n) * width);       // [lines of tokens, width]
    int32_t* const queries = scratch<int32_t, 3>(TILE_ROWS * up(n_lines, LANES));
    float* const scores = scratch<float, 4>(TILE_ROWS * n_columns);
    int32_t* const weights = scratch<int32_t, 5>(TILE_ROWS * n_columns);
    float* const seen = scratch<float, 6>(TILE_ROWS * width);
    const auto lines_of_row = [&](const T* x, int64_t row, int64_t line) {
        const int64_t place = line * PER_LINE<T>;
        return load_lines(x + row * head.stride + place, head.width - place);
    };
    for (int64_t i = 0; i < n_lines; i += LANES)
        for (int64_t j = 0; j < n; j += LANES) {
            __m512i block[LANES];
            each<LANES>([&](auto t) { block[t] = j + t < n ? lines_of_row(head.k, j + t, i) : __m512i{}; });
            transpose(block);
            each<LANES>([&](auto t) { _mm512_storeu_si512(keys + (i + t) * n_columns + j, block[t]); });
        }
    for (int64_t line = 0, j = 0; j < n; line++, j += PER_LINE<T>)
        for (int64_t i = 0; i < width; i += LANES)
            _mm512_storeu_si512(values + line * width + i, load_across(head.v + j * head.stride + i, head.stride, n - j,
                                                                       first(head.width - i)));
    for (int64_t start = 0; start < n; start += TILE_ROWS)
        with_rows(n - start, [&](auto rows) {
            const int64_t n_seen = head.causal ? start + rows : n, stride = up(n_lines, LANES);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < n_lines; i += LANES)
                    _mm512_storeu_si512(queries + r * stride + i, lines_of_row(head.q, start + r, i));
            line_rows<T, rows>(queries, stride, keys, n_columns, n_lines, scores, n_columns, up(n_seen, LANES));
            float totals[rows];
            for (int64_t r = 0; r < rows; r++) {
                const int64_t n_own = head.causal ? start + r + 1 : n;
                T* const own = reinterpret_cast<T*>(weights) + r * n_columns;
                totals[r] = soften(scores + r * n_columns, head.scale, n_own, own);
                std::fill(own + up(n_own, LANES), own + up(n_seen, LANES), T{});
            }
            line_rows<T, rows>(weights, n_columns / PER_LINE<T>, values, width, lines_for<T>(n_seen), seen, width, width);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < width; i += LANES)
                    store(head.out + (start + r) * head.out_stride + i,
                          _mm512_div_ps(load(seen + r * width + i), all(totals[r])), first(head.width - i));
        });
}

template <class T>
void attend_texts(const T* q, const T* k, const T* v, int64_t stride, const int32_t* bounds, int64_t n_texts,
                  int64_t n_heads, int64_t width, float scale, bool causal, T* out) {
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < n_texts * n_heads; task++) {
        const int64_t text = task / n_heads, column = task % n_heads * width, from = bounds[text];
        const int64_t place = from * stride + column, out_stride = n_heads * width;
        attend_text(Head<T>{q + place, k + place, v + place, out + from * out_stride + column,
                            bounds[text + 1] - from, stride, out_stride, width, scale, causal});
    }
}

// The sum of each of sixteen vectors.
inline Floats sums_of(const __m512i (&vectors)[LANES]) {
    Floats x[LANES];
    each<LANES>([&](auto i) { x[i] = _mm512_castsi512_ps(vectors[i]); });
    each<8>([&](auto i) {
        const Floats a = x[2 * i], b = x[2 * i + 1];
        x[i] = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    });
    each<4>([&](auto i) {
        const __m512d a = _mm512_castps_pd(x[2 * i]), b = _mm512_castps_pd(x[2 * i + 1]);
        x[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    });
    const auto fold = [](Floats a, Floats b) {
        return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
    };
    return fold(fold(x[0], x[1]), fold(x[2], x[3]));
}

template <class T>
inline void fetch(const T* x, int64_t n) {
    for (int64_t i = 0; i < n; i += 64 / sizeof(T)) _mm_prefetch(reinterpret_cast<const char*>(x + i), _MM_HINT_T0);
}

// One query of a head sees n keys and values, which lie one after the other; those of the next head `room` tokens on.
template <class T>
void attend_one(const T* q, const T* keys, const T* values, int64_t n, int64_t room, int64_t width, float scale,
                T* out) {
    float* const scores = scratch<float, 4>(up(n, LANES));
    for (int64_t start = 0; start < n; start += LANES) {
        __m512i products[LANES]{};
        fetch(keys + (start + room) * width, LANES * width);
        for (int64_t i = 0; i < width; i += LANES * PER_LINE<T>) {
            const __m512i query = load_lines(q + i, width - i);
            each<LANES>([&](auto j) {
                const T* key = keys + std::min<int64_t>(start + j, n - 1) * width;
                products[j] = added(T{}, products[j], query, load_lines(key + i, width - i));
            });
        }
        store(scores + start, sums_of(products));
    }
    const Floats total = all(soften(scores, scale, n, scores));
    for (int64_t i = 0; i < width; i += PANEL) {
        Floats sums[TILE_VECTORS];
        each<TILE_VECTORS>([&](auto c) { sums[c] = all(0); });
        for (int64_t j = 0; j < n; j++) {
            if (i == 0) fetch(values + (j + room) * width, width);
            const Floats weight = all(scores[j]);
            each<TILE_VECTORS>([&](auto c) {
                const int64_t column = i + c * LANES;
                sums[c] = _mm512_fmadd_ps(weight, load(values + j * width + column, first(width - column)), sums[c]);
            });
        }
        each<TILE_VECTORS>([&](auto c) {
            const int64_t column = i + c * LANES;
            store(out + column, _mm512_div_ps(sums[c], total), first(width - column));
        });
    }
}

// Where there are k and v, they are those of the last token of each row, and written to the cache first.
template <class T>
void attend_cache(const T* q, const T* k, const T* v, int64_t stride, T* keys, T* values, int64_t room,
                  const int64_t* lengths, int64_t n_rows, int64_t n_heads, int64_t width, float scale, T* out) {
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < n_rows * n_heads; task++) {
        const int64_t row = task / n_heads, place = task * room * width, last = place + (lengths[row] - 1) * width;
        const int64_t of_token = row * stride + task % n_heads * width;
        if (k) std::memcpy(keys + last, k + of_token, width * sizeof(T));
        if (v) std::memcpy(values + last, v + of_token, width * sizeof(T));
        attend_one(q + of_token, keys + place, values + place, lengths[row], room, width, scale, out + task * width);
    }
}

// ---- the next token ----

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

// ---- what Python calls ----

#define LINEAR(NAME, W, T)                                                                                             \
    extern "C" void NAME(const T* x, int64_t n_rows, const char* panels, const float* bias, const float* scales,       \
                         const int32_t* zeros, int64_t n_in, int64_t n_out, int activation, T* out) {                  \
        const int64_t n_lines = up(n_in * sizeof(W), LINE_BYTES) / LINE_BYTES;                                         \
        linear<W>(x, n_rows, {panels, bias, scales, zeros, n_in, n_out, n_lines, Activation(activation)}, out);        \
    }

#define OTHERS(NAME, T)                                                                                                \
    extern "C" void add_norm_##NAME(const T* x, const T* added, const T* weight, const T* bias, int64_t n_rows,        \
                                    int64_t n, float eps, T* out) {                                                    \
        add_norm(x, added, weight, bias, n_rows, n, eps, out);                                                         \
    }                                                                                                                  \
    extern "C" void attend_texts_##NAME(const T* q, const T* k, const T* v, int64_t stride, const int32_t* bounds,     \
                                        int64_t n_texts, int64_t n_heads, int64_t width, float scale, int causal,      \
                                        T* out) {                                                                      \
        attend_texts(q, k, v, stride, bounds, n_texts, n_heads, width, scale, causal != 0, out);                       \
    }                                                                                                                  \
    extern "C" void attend_cache_##NAME(const T* q, const T* k, const T* v, int64_t stride, T* keys, T* values,        \
                                        int64_t room, const int64_t* lengths, int64_t n_rows, int64_t n_heads,         \
                                        int64_t width, float scale, T* out) {                                          \
        attend_cache(q, k, v, stride, keys, values, room, lengths, n_rows, n_heads, width, scale, out);                \
    }                                                                                                                  \
    extern "C" int64_t likeliest_##NAME(const T* scores, int64_t n, float* share) {                                    \
        return likeliest(scores, n, share);                                                                            \
    }

LINEAR(linear_float32, float, float)
LINEAR(linear_bfloat16, BFloat16, BFloat16)
LINEAR(linear_int8_float32, int8_t, float)
LINEAR(linear_int8_bfloat16, int8_t, BFloat16)
OTHERS(float32, float)
OTHERS(bfloat16, BFloat16)
