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

inline Floats activated(Floats x, Activation activation) {
    return activation == GELU ? gelu(x) : activation == GELU_TANH ? gelu_tanh(x) : x;
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
    Floats most = all(0);
    Lanes is_nan = 0;
    for (int64_t i = 0; i < layer.n_in; i += LANES) {
        const Floats some = load(x + i, first(layer.n_in - i));
        most = _mm512_max_ps(most, _mm512_abs_ps(some));
        is_nan |= _mm512_cmp_ps_mask(some, some, _CMP_UNORD_Q);
    }
    const float step = is_nan ? std::nanf("") : std::max(_mm512_reduce_max_ps(most) / 127, 1e-30f);
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
            store(out + r * layer.n_out + o, activated(y, layer.activation), lanes);
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

// out = scale a b: a of ROWS rows and n columns, b of n rows and VECTORS times 16 columns.
template <int ROWS, int VECTORS>
[[gnu::noinline]] void float_tile(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t n,
                                  float scale, float* out, int64_t out_stride) {
    Floats sums[ROWS][VECTORS], columns[VECTORS];
    each<ROWS>([&](auto r) { each<VECTORS>([&](auto c) { sums[r][c] = all(0); }); });
    for (int64_t i = 0; i < n; i++, b += b_stride) {
        each<VECTORS>([&](auto c) { columns[c] = load(b + LANES * c); });
        each<ROWS>([&](auto r) {
            const Floats row = all(a[r * a_stride + i]);
            each<VECTORS>([&](auto c) { sums[r][c] = _mm512_fmadd_ps(row, columns[c], sums[r][c]); });
        });
    }
    each<ROWS>([&](auto r) {
        each<VECTORS>([&](auto c) { store(out + r * out_stride + LANES * c, _mm512_mul_ps(sums[r][c], all(scale))); });
    });
}

// The same with any multiple of 16 as the number of columns.
template <int ROWS>
void float_rows(const float* a, int64_t a_stride, const float* b, int64_t b_stride, int64_t n, float scale, float* out,
                int64_t out_stride, int64_t n_columns) {
    const auto tiles = [&](auto vectors) {
        constexpr int64_t width = LANES * vectors;
        for (; n_columns >= width; n_columns -= width, b += width, out += width)
            float_tile<ROWS, vectors>(a, a_stride, b, b_stride, n, scale, out, out_stride);
    };
    tiles(Constant<TILE_VECTORS>{});
    tiles(Constant<2>{});
    tiles(Constant<1>{});
}

// The first n scores become e^(score - the largest), those up to the next multiple of 16 zero; returns their sum.
float soften(float* scores, int64_t n) {
    Floats most = all(-__builtin_inff());
    for (int64_t j = 0; j < n; j += LANES) most = _mm512_mask_max_ps(most, first(n - j), most, load(scores + j));
    const Floats top = all(_mm512_reduce_max_ps(most));
    Floats sum = all(0);
    for (int64_t j = 0; j < n; j += LANES) {
        const Floats weight = exponential(_mm512_sub_ps(load(scores + j), top));
        store(scores + j, _mm512_maskz_mov_ps(first(n - j), weight));
        sum = _mm512_mask_add_ps(sum, first(n - j), sum, weight);
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
    const int64_t n = head.n, width = up(head.width, LANES), n_columns = up(n, LANES);
    float* const keys = scratch<float, 1>(width * n_columns);  // [width, n_columns]
    float* const values = scratch<float, 2>(n * width);
    float* const queries = scratch<float, 3>(TILE_ROWS * width);
    float* const scores = scratch<float, 4>(TILE_ROWS * n_columns);
    float* const seen = scratch<float, 5>(TILE_ROWS * width);
    std::fill(keys, keys + width * n_columns, 0.0f);
    for (int64_t i = 0; i < width; i += LANES) {
        const Lanes lanes = first(head.width - i);
        const __m512i rows = _mm512_mullo_epi32(
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(n_columns));
        for (int64_t j = 0; j < n; j++) {
            _mm512_i32scatter_ps(keys + i * n_columns + j, rows, load(head.k + j * head.stride + i, lanes), 4);
            store(values + j * width + i, load(head.v + j * head.stride + i, lanes));
        }
    }
    for (int64_t start = 0; start < n; start += TILE_ROWS)
        with_rows(n - start, [&](auto rows) {
            const int64_t n_seen = head.causal ? start + rows : n;
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < width; i += LANES)
                    store(queries + r * width + i,
                          load(head.q + (start + r) * head.stride + i, first(head.width - i)));
            float_rows<rows>(queries, width, keys, n_columns, width, head.scale, scores, n_columns,
                             up(n_seen, LANES));
            float totals[rows];
            for (int64_t r = 0; r < rows; r++) {
                const int64_t n_own = head.causal ? start + r + 1 : n;
                totals[r] = soften(scores + r * n_columns, n_own);
                std::fill(scores + r * n_columns + up(n_own, LANES), scores + r * n_columns + up(n_seen, LANES), 0.0f);
            }
            float_rows<rows>(scores, n_columns, values, width, n_seen, 1.0f, seen, width, width);
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
inline Floats sums_of(Floats (&x)[LANES]) {
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
        Floats products[LANES];
        each<LANES>([&](auto j) { products[j] = all(0); });
        fetch(keys + (start + room) * width, LANES * width);
        for (int64_t i = 0; i < width; i += LANES) {
            const Lanes lanes = first(width - i);
            const Floats query = load(q + i, lanes);
            each<LANES>([&](auto j) {
                const T* key = keys + std::min<int64_t>(start + j, n - 1) * width;
                products[j] = _mm512_fmadd_ps(query, load(key + i, lanes), products[j]);
            });
        }
        store(scores + start, _mm512_mul_ps(sums_of(products), all(scale)));
    }
    const Floats total = all(soften(scores, n));
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

// The first of the largest of n scores; `share` becomes the logarithm of its part in the sum of e^score.
template <class T>
int64_t likeliest(const T* scores, int64_t n, float* share) {
    const __m512i step = _mm512_set1_epi32(LANES);
    __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), best_places = places;
    Floats best = all(-__builtin_inff()), sum = all(0);
    Lanes is_nan = 0;
    for (int64_t i = 0; i < n; i += LANES, places = _mm512_add_epi32(places, step)) {
        const Floats some = load(scores + i, first(n - i));
        const Lanes is_better = _mm512_mask_cmp_ps_mask(first(n - i), some, best, _CMP_GT_OQ);
        is_nan |= _mm512_cmp_ps_mask(some, some, _CMP_UNORD_Q);
        best = _mm512_mask_mov_ps(best, is_better, some);
        best_places = _mm512_mask_mov_epi32(best_places, is_better, places);
    }
    const float most = _mm512_reduce_max_ps(best);
    for (int64_t i = 0; i < n; i += LANES)
        sum = _mm512_mask_add_ps(sum, first(n - i), sum,
                                 exponential(_mm512_sub_ps(load(scores + i, first(n - i)), all(most))));
    *share = is_nan ? std::nanf("") : -std::log(_mm512_reduce_add_ps(sum));
    return _mm512_mask_reduce_min_epi32(_mm512_cmp_ps_mask(best, all(most), _CMP_EQ_OQ), best_places);
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
