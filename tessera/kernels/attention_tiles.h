#pragma once
// The parts of attention.h that are not matrix products, on tiles of 64 queries and 64 keys, in float32. Tiles are dense and row after row.

#include <cstdint>

namespace tessera::kernels {

constexpr int64_t attention_tile = 64;

// Up to 64 rows of a tensor, float32 or bfloat16: row r begins at data + r * stride elements.
struct TileRows {
  void* data;
  int64_t stride, rows, width;
  bool bf16;
};

// to [64, width] = scale * rows; zero where there are no more rows.
void tile_rows(const TileRows& job, float scale, float* to);

// to [width, 64]: the same, turned.
void tile_columns(const TileRows& job, float scale, float* to);

// Which keys the 64 queries of a tile see: key s when low[i] <= s <= high[i]. A query that is not there has high < low. Scores of key s
// rise by slope * (s - high[i]).
struct TileSight {
  const int32_t *low, *high;
  float slope = 0.0F;
};

// scores [tiles][64 queries][64 keys], of the keys from `first` on, become exp(score - top), zero where not seen; top and sum [64]: each
// query's greatest score, slope included, and its sum of the weights.
void tiles_softmax(float* scores, int64_t tiles, int32_t first, const TileSight& sight, float* top, float* sum);

// scores [64 keys][64 queries] become weights exp(score - log_sum[query]), zero where not seen.
void tile_weights(float* scores, int32_t first, const TileSight& sight, const float* log_sum);

// slopes [64 keys][64 queries] become weights * (slopes - mean[query]).
void tile_slopes(const float* weights, const float* mean, float* slopes);

// sum[r] = a_r . b_r for both dense tiles [64, width].
void tile_dots(const float* a, const float* b, int64_t width, float* sum);

// Rows of from [64, width], each times factor[r] (1 without), to a tensor's rows; `turned`: from is [width, 64].
void tile_store(const float* from, bool turned, const float* factor, const TileRows& to);

}  // namespace tessera::kernels
