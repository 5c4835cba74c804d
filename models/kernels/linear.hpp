// Linear layers. Weights lie as they are read: in panels of 64 outputs, of the lines of the next inputs one by one.

#pragma once

#include "team.hpp"
#include "tiles.hpp"

namespace {

constexpr int BLOCK_ROWS = 8 * TILE_ROWS;
constexpr int BLOCK_LINES = 512;  // of a panel: half of a second-level cache of 256 KiB
constexpr int ZERO = 128;         // what multiplies lines of int8_t takes the inputs without a sign

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
void linear(const T* x, int64_t n_rows, const Layer& layer, T* out, int64_t n_threads) {
    const int64_t n_panels = up(layer.n_out, PANEL) / PANEL, stride = layer.n_lines * LINE_BYTES;
    char* const lines = scratch<char, 0>(BLOCK_ROWS * stride);
    float steps[BLOCK_ROWS];
    for (; n_rows > 0; n_rows -= BLOCK_ROWS, x += BLOCK_ROWS * layer.n_in, out += BLOCK_ROWS * layer.n_out) {
        const int64_t n = std::min<int64_t>(n_rows, BLOCK_ROWS);
        for (int64_t r = 0; r < n; r++) steps[r] = lines_of<W>(x + r * layer.n_in, layer, lines + r * stride);
        Team::instance().share(n_panels, n_threads, [&](int64_t panel) {
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
        });
    }
}

}  // namespace
