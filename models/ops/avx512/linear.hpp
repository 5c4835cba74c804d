// Linear layers with bias and activation, for weights in float32, bfloat16 or int8.
//
// The weights [n_out, n_in] are packed once, in the order in which they are read: as panels
// [n_out / 64, groups of n_in, 64], padded with zeros, where a group is 4 bytes of consecutive inputs of one output
// (see matmul.hpp). The loops follow Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
// Multiplication". The rows of the input are split into chunks, each of which is packed and multiplied with all panels
// before the next one; a chunk is split into blocks, which use a panel one after the other while it is in the
// second-level cache; and a block is split into tiles, whose sums are in registers.
//
// With int8, each row of the input and each output of the weights has its own scale (Dettmers et al. 2022,
// "LLM.int8()", section 2.1, vector-wise quantisation). Rows are rounded to unsigned numbers, with a zero point of their
// own, because multiply_add takes them as unsigned, and because rows that GELU has made are hardly ever negative.
//
// Each output is summed in the order of the inputs, so that a row gives the same bits alone as among other rows.

#pragma once

#include "activations.hpp"
#include "matmul.hpp"
#include "thread_pool.hpp"

namespace {

constexpr int BLOCK_ROWS = 8 * TILE_ROWS;    // of a chunk
constexpr int CHUNK_ROWS = 12 * BLOCK_ROWS;  // of the input
constexpr int BLOCK_GROUPS = 512;            // of a panel: 128 KiB, half of a second-level cache of 256 KiB
constexpr int PANEL_COLUMNS = TILE_COLUMNS;
constexpr int PANEL_ROW_BYTES = PANEL_COLUMNS * GROUP_BYTES;  // one group of each output of a panel
constexpr int PANEL_ROW_CACHE_LINES = PANEL_ROW_BYTES / CACHE_LINE_BYTES;
constexpr int MAX_UNSIGNED = 255;  // the largest number that a quantised input is rounded to

// Mirrors `LinearLayer` in `linear.py`. The arrays are padded with zeros to whole panels, except those of [n_out].
struct LinearLayer {
    const char* panels;
    const int32_t* initial_sums;  // the initial value of each sum: the bias as float32 or, with int8 weights, 0
    const float* factors;         // [n_in] by which inputs are multiplied before they are quantised; may be null
    const int32_t* weight_sums;   // [n_out] the sum of the weights of each output; null without int8 weights
    const float* scales;          // [n_out] with int8 weights, otherwise null
    const float* bias;            // [n_out] with int8 weights, otherwise null
    int64_t n_in, n_out;
    Activation activation;
};

// How a row of the input was quantised: x is about scale (q - zero).
struct Quantisation {
    float scale;
    int32_t zero;
};

// Load sixteen numbers of a row of the input of which n are left, multiplied by the factors of the layer if it has any.
template <class T>
inline FloatVector load_input(const T* x, const LinearLayer& layer, int64_t i) {
    const LaneMask lanes = first_lanes(layer.n_in - i);
    const FloatVector values = load(x + i, lanes);
    return layer.factors ? _mm512_mul_ps(values, load(layer.factors + i, lanes)) : values;
}

// Return the scale and the zero point by which a row of the input is rounded to numbers from 0 to 255. Zero is among
// them. The scale is NaN or infinity if a number of the row is.
template <class T>
Quantisation quantisation_of(const T* x, const LinearLayer& layer) {
    FloatVector minima = broadcast(0), maxima = broadcast(0), products = broadcast(0);
    for (int64_t i = 0; i < layer.n_in; i += LANES) {
        const FloatVector values = load_input(x, layer, i);
        minima = _mm512_min_ps(values, minima);  // which is the second one if the first is NaN
        maxima = _mm512_max_ps(values, maxima);
        products = _mm512_fmadd_ps(values, broadcast(0), products);  // 0, or NaN if a number is NaN or infinity
    }
    const float low = _mm512_reduce_min_ps(minima), high = _mm512_reduce_max_ps(maxima);
    const float broken = _mm512_reduce_add_ps(products);
    if (broken != 0) return {broken, 0};
    const float scale = std::max((high - low) / (MAX_UNSIGNED - 1), 1e-30f);  // of a row of zeros, it must not be zero
    return {scale, static_cast<int32_t>(std::ceil(-low * (1 / scale)))};  // so that all numbers are from 0 to the largest
}

// Write a row of the input as groups of the type W of the weights, the last one padded with zeros, and return how it was
// quantised. A row for int8 weights is written in multiples of 16 bytes. Others are not quantised.
template <class W, class T>
Quantisation pack_row(const T* x, const LinearLayer& layer, char* packed) {
    const int64_t n_bytes = count_groups<W>(layer.n_in) * GROUP_BYTES;
    if constexpr (std::is_same_v<W, T>) {
        std::memcpy(packed, x, layer.n_in * sizeof(T));
        std::memset(packed + layer.n_in * sizeof(T), 0, n_bytes - layer.n_in * sizeof(T));
        return {1, 0};
    }
    const Quantisation found = quantisation_of(x, layer);
    const FloatVector inverse = broadcast(1 / found.scale), zero = broadcast(static_cast<float>(found.zero));
    for (int64_t i = 0; i < n_bytes; i += LANES) {
        const __m512i rounded = _mm512_cvtps_epi32(_mm512_fmadd_ps(load_input(x, layer, i), inverse, zero));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(packed + i), _mm512_cvtepi32_epi8(rounded));
    }
    return found;
}

// Compute sums += rows panel for one tile: `sums` is [ROWS, 64], `rows` are packed rows [ROWS, n_groups], `stride`
// bytes apart, and `panel` is [n_groups, 64]. If `initial_sums`, [64], is not null, each row of sums begins with it.
//
// With each row of the panel, the next N_PREFETCHES cache lines from `prefetched` on are fetched into the second-level
// cache. They may be beyond the end of the weights, because a prefetch never faults. The function is not inlined, so
// that each size of a tile is compiled once.
template <class W, int ROWS, int N_PREFETCHES>
[[gnu::noinline]] void accumulate_tile(const char* rows, int64_t stride, const char* panel, int64_t n_groups,
                                       const int32_t* initial_sums, const char* prefetched, int32_t* sums) {
    __m512i tile[ROWS][TILE_VECTORS], weights[TILE_VECTORS];
    const int32_t* const initial = initial_sums ? initial_sums : sums;
    const int64_t initial_stride = initial_sums ? 0 : PANEL_COLUMNS;
    unroll<ROWS>([&](auto r) {
        unroll<TILE_VECTORS>(
            [&](auto c) { tile[r][c] = _mm512_loadu_si512(initial + r * initial_stride + c * LANES); });
    });
    for (int64_t i = 0; i < n_groups;
         i++, rows += GROUP_BYTES, panel += PANEL_ROW_BYTES, prefetched += N_PREFETCHES * CACHE_LINE_BYTES) {
#pragma GCC unroll 4
        for (int c = 0; c < N_PREFETCHES; c++) _mm_prefetch(prefetched + c * CACHE_LINE_BYTES, _MM_HINT_T1);
        unroll<TILE_VECTORS>([&](auto c) { weights[c] = _mm512_loadu_si512(panel + c * LANES * GROUP_BYTES); });
        unroll<ROWS>([&](auto r) {
            int32_t group;
            std::memcpy(&group, rows + r * stride, GROUP_BYTES);
            const __m512i x = _mm512_set1_epi32(group);
            unroll<TILE_VECTORS>([&](auto c) { tile[r][c] = multiply_add(W{}, tile[r][c], x, weights[c]); });
        });
    }
    unroll<ROWS>([&](auto r) {
        unroll<TILE_VECTORS>([&](auto c) { _mm512_storeu_si512(sums + r * PANEL_COLUMNS + c * LANES, tile[r][c]); });
    });
}

// Write the outputs of n rows and one panel, whose sums are [n, 64], to `out`, [n, n_out]. Of sums of int8 products, what
// the zero point of their row adds is subtracted; they are multiplied by the scales of their row and of their output, and
// the bias is added.
template <class W, class T>
void write_outputs(const int32_t* sums, int64_t n, const Quantisation* rows, const LinearLayer& layer, int64_t panel,
                   T* out) {
    for (int64_t column = 0, output = panel * PANEL_COLUMNS; column < PANEL_COLUMNS && output < layer.n_out;
         column += LANES, output += LANES) {
        const LaneMask lanes = first_lanes(layer.n_out - output);
        constexpr bool IS_QUANTISED = std::is_same_v<W, int8_t>;
        const FloatVector scale = IS_QUANTISED ? load(layer.scales + output, lanes) : broadcast(1);
        const FloatVector bias = IS_QUANTISED ? load(layer.bias + output, lanes) : broadcast(0);
        __m512i weight_sums{};
        if constexpr (IS_QUANTISED) weight_sums = _mm512_maskz_loadu_epi32(lanes, layer.weight_sums + output);
        for (int64_t r = 0; r < n; r++) {
            const __m512i sum = _mm512_loadu_si512(sums + r * PANEL_COLUMNS + column);
            FloatVector y = _mm512_castsi512_ps(sum);
            if constexpr (IS_QUANTISED) {
                const __m512i excess = _mm512_mullo_epi32(weight_sums, _mm512_set1_epi32(rows[r].zero));
                const FloatVector product = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, excess));
                y = _mm512_fmadd_ps(product, _mm512_mul_ps(scale, broadcast(rows[r].scale)), bias);
            }
            store(out + r * layer.n_out + output, activate(T{}, y, layer.activation), lanes);
        }
    }
}

// Call body(Constant<n>{}) for n = 0, 1 or 2 prefetches.
template <class Body>
inline void dispatch_prefetches(int64_t n, const Body& body) {
    n == 0 ? body(Constant<0>{}) : n == 1 ? body(Constant<1>{}) : body(Constant<2>{});
}

// Compute the outputs of one panel for n packed rows, BLOCK_ROWS at most.
//
// If there are several tiles, they prefetch the weights that are read next: the next part of the panel and, with
// `prefetches_next_panel`, the panel after it. The prefetches are spread over the tiles, so that they do not ask for
// more than the memory delivers. A single tile prefetches nothing, because it reads all weights in order, which the
// processor recognises.
template <class W, class T>
void multiply_block(const char* rows, int64_t stride, int64_t n, const Quantisation* quantisations,
                    const LinearLayer& layer, int64_t panel, bool prefetches_next_panel, T* out) {
    const int64_t n_groups = count_groups<W>(layer.n_in);
    const int64_t n_tiles = ceil_div(n, TILE_ROWS);
    int32_t sums[BLOCK_ROWS * PANEL_COLUMNS];
    for (int64_t group = 0; group < n_groups; group += BLOCK_GROUPS) {
        const int64_t n_part_groups = std::min<int64_t>(n_groups - group, BLOCK_GROUPS);
        const char* weights = layer.panels + (panel * n_groups + group) * PANEL_ROW_BYTES;
        const int32_t* const initial_sums = group == 0 ? layer.initial_sums + panel * PANEL_COLUMNS : nullptr;
        const bool prefetches = n_tiles > 1 && (prefetches_next_panel || group + n_part_groups < n_groups);
        const char* prefetched = weights + n_part_groups * PANEL_ROW_BYTES;
        for (int64_t tile = 0; tile < n_tiles; tile++) {
            const int64_t n_before = part_start(PANEL_ROW_CACHE_LINES, tile, n_tiles);
            const int64_t n_prefetches =
                prefetches ? part_start(PANEL_ROW_CACHE_LINES, tile + 1, n_tiles) - n_before : 0;
            const int64_t start = part_start(n, tile, n_tiles), end = part_start(n, tile + 1, n_tiles);
            dispatch_rows(end - start, [&](auto tile_rows) {
                dispatch_prefetches(n_prefetches, [&](auto tile_prefetches) {
                    accumulate_tile<W, tile_rows, tile_prefetches>(rows + start * stride + group * GROUP_BYTES, stride,
                                                                   weights, n_part_groups, initial_sums, prefetched,
                                                                   sums + start * PANEL_COLUMNS);
                });
            });
            prefetched += n_part_groups * n_prefetches * CACHE_LINE_BYTES;
        }
    }
    write_outputs<W>(sums, n, quantisations, layer, panel, out);
}

// Compute `linear` with weights of type W. Tasks with the same panel follow each other, so that the thread that runs
// them finds the panel in its cache; the last of them prefetches the next panel.
template <class W, class T>
void linear_with_weights(const T* x, int64_t n_rows, const LinearLayer& layer, T* out, int64_t n_threads) {
    const bool is_packed = std::is_same_v<W, T> && layer.n_in % NUMBERS_PER_GROUP<W> == 0;
    const int64_t n_bytes = count_groups<W>(layer.n_in) * GROUP_BYTES;
    const int64_t stride = is_packed ? n_bytes : round_up(n_bytes, LANES);
    const int64_t n_panels = ceil_div(layer.n_out, PANEL_COLUMNS), n_chunks = ceil_div(n_rows, CHUNK_ROWS);
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        const int64_t first_row = part_start(n_rows, chunk, n_chunks);
        const int64_t n = part_start(n_rows, chunk + 1, n_chunks) - first_row;
        const T* const inputs = x + first_row * layer.n_in;
        const char* rows = reinterpret_cast<const char*>(inputs);
        Quantisation quantisations[CHUNK_ROWS];
        if (!is_packed) {
            char* const packed = scratch<char, Scratch::INPUT_ROWS>(n * stride);
            ThreadPool::instance().parallel_for_rows(n, n_threads, [&](int64_t r) {
                quantisations[r] = pack_row<W>(inputs + r * layer.n_in, layer, packed + r * stride);
            });
            rows = packed;
        }
        const int64_t n_blocks = ceil_div(n, BLOCK_ROWS);
        ThreadPool::instance().parallel_for(n_panels * n_blocks, n_threads, [&](int64_t task) {
            const int64_t block = task % n_blocks, start = part_start(n, block, n_blocks), panel = task / n_blocks;
            multiply_block<W>(rows + start * stride, stride, part_start(n, block + 1, n_blocks) - start,
                              quantisations + start, layer, panel, block == n_blocks - 1,
                              out + (first_row + start) * layer.n_out);
        });
    }
}

// Compute out = activation(x W' + b): x is [n_rows, n_in] and out is [n_rows, n_out], both of type T. The weights are
// int8 if the layer has scales, otherwise of type T.
template <class T>
void linear(const T* x, int64_t n_rows, const LinearLayer& layer, T* out, int64_t n_threads) {
    layer.scales ? linear_with_weights<int8_t>(x, n_rows, layer, out, n_threads)
                 : linear_with_weights<T>(x, n_rows, layer, out, n_threads);
}

}  // namespace
