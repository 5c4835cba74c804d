// Linear layers. Weights lie as they are read: in panels of 64 outputs, each of the lines of one input after the other.

#pragma once

#include "team.hpp"
#include "tiles.hpp"

namespace {

constexpr int BLOCK_ROWS = 8 * TILE_ROWS;
constexpr int GROUP_ROWS = 12 * BLOCK_ROWS;  // which are multiplied with a panel before the next is
constexpr int BLOCK_LINES = 512;             // of a panel: half of a second-level cache of 256 KiB
constexpr int ZERO = 128;                    // what multiplies lines of int8_t takes the inputs without a sign
constexpr int LINE_FETCHES = PANEL * LINE_BYTES / CACHE_LINE;

// As `Weights` of `__init__.py` has it.
struct Layer {
    const char* panels;
    const int32_t* firsts;  // what sums begin with, whole panels: of int8_t minus what a row of ZERO gives, else biases
    const float* scales;    // [n_out], of int8_t; else null
    const float* bias;      // [n_out], of int8_t
    int64_t n_in, n_out;
    Activation activation;
};

// The largest of n magnitudes, NaN if there is one: as an integer, NaN without its sign is more than any number.
inline float largest(const float* x, int64_t n) {
    __m512i most{};
    for (int64_t i = 0; i < n; i += LANES)
        most = _mm512_max_epu32(most, _mm512_castps_si512(_mm512_abs_ps(load(x + i, first(n - i)))));
    return of_bits(_mm512_reduce_max_epu32(most));
}
inline float largest(const BFloat16* x, int64_t n) {
    __m512i most{};
    for (int64_t i = 0; i < n; i += 2 * LANES)
        most = _mm512_max_epu16(most, _mm512_and_si512(load_lines(x + i, n - i), _mm512_set1_epi16(0x7FFF)));
    most = _mm512_max_epu16(most, _mm512_slli_epi32(most, 16));
    return of_bits(_mm512_reduce_max_epu32(most) & 0xFFFF0000);
}

// A row of the input as lines of the weights' type. For int8_t it is rounded to 255 steps between minus and plus its
// largest value, and the width of a step is returned; whole vectors of LANES bytes are written.
template <class W, class T>
float lines_of(const T* x, const Layer& layer, char* lines) {
    const int64_t n_bytes = lines_for<W>(layer.n_in) * LINE_BYTES;
    if constexpr (std::is_same_v<W, T>) {
        std::memcpy(lines, x, layer.n_in * sizeof(T));
        std::memset(lines + layer.n_in * sizeof(T), 0, n_bytes - layer.n_in * sizeof(T));
        return 1;
    }
    const float step = std::max(largest(x, layer.n_in) / 127, 1e-30f);  // of NaN, NaN
    for (int64_t i = 0; i < n_bytes; i += LANES) {
        const Floats steps = _mm512_fmadd_ps(load(x + i, first(layer.n_in - i)), all(1 / step), all(ZERO));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(lines + i), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(steps)));
    }
    return step;
}

// `sums`, [ROWS, 64], are what n lines give and what they were before, or the `firsts` of all rows if there are any.
// `stride` bytes lie between the lines of one row and those of the next. With each line FETCHED times 64 bytes of what
// is `next` are fetched.
template <class W, int ROWS, int FETCHED>
[[gnu::noinline]] void add_tile(const char* lines, int64_t stride, const char* panel, int64_t n, const int32_t* firsts,
                                const char* next, int32_t* sums) {
    __m512i tile[ROWS][TILE_VECTORS], weights[TILE_VECTORS];
    const int32_t* const before = firsts ? firsts : sums;
    const int64_t before_stride = firsts ? 0 : PANEL;
    each<ROWS>([&](auto r) {
        each<TILE_VECTORS>(
            [&](auto c) { tile[r][c] = _mm512_loadu_si512(before + r * before_stride + c * LANES); });
    });
    for (int64_t i = 0; i < n; i++, lines += LINE_BYTES, panel += PANEL * LINE_BYTES, next += FETCHED * CACHE_LINE) {
#pragma GCC unroll 4
        for (int c = 0; c < FETCHED; c++) _mm_prefetch(next + c * CACHE_LINE, _MM_HINT_T1);
        each<TILE_VECTORS>([&](auto c) { weights[c] = _mm512_loadu_si512(panel + c * LANES * LINE_BYTES); });
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
        constexpr bool IS_ROUNDED = std::is_same_v<W, int8_t>;
        const Floats scale = IS_ROUNDED ? load(layer.scales + o, lanes) : all(1);
        const Floats bias = IS_ROUNDED ? load(layer.bias + o, lanes) : all(0);
        for (int64_t r = 0; r < n; r++) {
            const __m512i sum = _mm512_loadu_si512(sums + r * PANEL + c);
            Floats y = _mm512_castsi512_ps(sum);
            if constexpr (IS_ROUNDED)
                y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, all(steps[r])), bias);
            store(out + r * layer.n_out + o, activated(T{}, y, layer.activation), lanes);
        }
    }
}

// work(FETCHED), of a constant, of the number of fetches with each line.
template <class Work>
inline void with_fetches(int64_t n, const Work& work) {
    n == 0 ? work(Constant<0>{}) : n == 1 ? work(Constant<1>{}) : work(Constant<2>{});
}

// Outputs of n rows, at most BLOCK_ROWS, of one panel. With `fetches_next`, the panel after it is fetched meanwhile,
// spread over the tiles: at once, it would come in slower than it is asked for. One tile alone reads all weights in
// order, which the processor sees by itself.
template <class W, class T>
void block_of(const char* lines, int64_t stride, int64_t n, const float* steps, const Layer& layer, int64_t panel,
              bool fetches_next, T* out) {
    const int64_t n_all_lines = lines_for<W>(layer.n_in);
    const int64_t n_tiles = parts_of(n, TILE_ROWS);
    int32_t sums[BLOCK_ROWS * PANEL];
    for (int64_t line = 0; line < n_all_lines; line += BLOCK_LINES) {
        const int64_t n_lines = std::min<int64_t>(n_all_lines - line, BLOCK_LINES);
        const char* weights = layer.panels + (panel * n_all_lines + line) * PANEL * LINE_BYTES;
        const int32_t* const firsts = line == 0 ? layer.firsts + panel * PANEL : nullptr;
        const bool fetches = n_tiles > 1 && (fetches_next || line + n_lines < n_all_lines);
        const char* next = weights + n_lines * PANEL * LINE_BYTES;
        for (int64_t tile = 0; tile < n_tiles; tile++) {
            const int64_t n_before = part(LINE_FETCHES, tile, n_tiles);
            const int64_t n_fetches = fetches ? part(LINE_FETCHES, tile + 1, n_tiles) - n_before : 0;
            const int64_t start = part(n, tile, n_tiles), stop = part(n, tile + 1, n_tiles);
            with_rows(stop - start, [&](auto rows) {
                with_fetches(n_fetches, [&](auto fetched) {
                    add_tile<W, rows, fetched>(lines + start * stride + line * LINE_BYTES, stride, weights, n_lines,
                                               firsts, next, sums + start * PANEL);
                });
            });
            next += n_lines * n_fetches * CACHE_LINE;
        }
    }
    write_panel<W>(sums, n, steps, layer, panel, out);
}

template <class W, class T>
void linear_of(const T* x, int64_t n_rows, const Layer& layer, T* out, int64_t n_threads) {
    const bool are_lines = std::is_same_v<W, T> && layer.n_in % PER_LINE<W> == 0;
    const int64_t n_bytes = lines_for<W>(layer.n_in) * LINE_BYTES, stride = are_lines ? n_bytes : up(n_bytes, LANES);
    const int64_t n_panels = parts_of(layer.n_out, PANEL), n_groups = parts_of(n_rows, GROUP_ROWS);
    for (int64_t group = 0; group < n_groups; group++) {
        const int64_t from = part(n_rows, group, n_groups), n = part(n_rows, group + 1, n_groups) - from;
        const T* const rows = x + from * layer.n_in;
        const char* lines = reinterpret_cast<const char*>(rows);
        float steps[GROUP_ROWS];
        if (!are_lines) {
            char* const made = scratch<char, 0>(n * stride);
            Team::instance().share_rows(n, n_threads, [&](int64_t r) {
                steps[r] = lines_of<W>(rows + r * layer.n_in, layer, made + r * stride);
            });
            lines = made;
        }
        const int64_t n_blocks = parts_of(n, BLOCK_ROWS);
        Team::instance().share(n_panels * n_blocks, n_threads, [&](int64_t item) {
            const int64_t block = item % n_blocks, start = part(n, block, n_blocks);
            block_of<W>(lines + start * stride, stride, part(n, block + 1, n_blocks) - start, steps + start, layer,
                        item / n_blocks, block == n_blocks - 1, out + (from + start) * layer.n_out);
        });
    }
}

// [n_rows, n_in] to [n_rows, n_out].
template <class T>
void linear(const T* x, int64_t n_rows, const Layer& layer, T* out, int64_t n_threads) {
    layer.scales ? linear_of<int8_t>(x, n_rows, layer, out, n_threads) : linear_of<T>(x, n_rows, layer, out, n_threads);
}

}  // namespace
