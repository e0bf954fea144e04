// The rows of dispatch tables: ranges of problem sizes, each with the configuration that computes them. Host code.
// bench/tune.py writes the tables from measurements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "csrc/common/device.h"
#include "csrc/common/math.h"

namespace awq {

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();

// The load in percent: the number of 128 x 128 tiles of the result, divided by the number of multiprocessors. At 100
// each multiprocessor has one tile.
inline int64_t load_percent(int64_t m, int64_t n, const DeviceInfo& device) {
  constexpr int64_t kTile = 128;
  return ceil_div(m, kTile) * n * 100 / (kTile * device.sm_count);
}

// A row serves the problems up to these sizes that no earlier row serves.
template <class Configuration>
struct TuningRow {
  int64_t max_m;
  int64_t max_load_percent;
  int64_t max_k;
  const Configuration* configuration;
  int waves;  // number of waves; the problem is split until its blocks fill them. 0: no split

  bool holds(int64_t m, int64_t load_percent, int64_t k) const {
    return m <= max_m && load_percent <= max_load_percent && k <= max_k;
  }
};

// The first row of a table whose bounds hold the problem and whose configuration `serves` it; null if there is none.
template <class Configuration, size_t kRows, class Serves>
const TuningRow<Configuration>* find_row(const TuningRow<Configuration> (&table)[kRows], int64_t m, int64_t n,
                                         int64_t k, const DeviceInfo& device, Serves&& serves) {
  const int64_t load = load_percent(m, n, device);
  for (const TuningRow<Configuration>& row : table) {
    if (row.holds(m, load, k) && serves(*row.configuration)) return &row;
  }
  return nullptr;
}

}  // namespace awq
