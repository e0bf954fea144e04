// The rows of dispatch tables: ranges of problem sizes and what computes them. Host code. The tables are written by
// bench/tune.py from measurements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "csrc/common/device.h"
#include "csrc/common/math.h"

namespace awq {

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();

// What a multiprocessor has to compute: tiles of 128 x 128 results, in percent. At 100 each has one.
inline int64_t load_percent(int64_t m, int64_t n, const DeviceInfo& device) {
  constexpr int64_t kTile = 128;
  return ceil_div(m, kTile) * n * 100 / (kTile * device.sm_count);
}

// Serves problems up to these sizes that no row before it serves.
template <class Configuration>
struct TuningRow {
  int64_t max_m;
  int64_t max_load_percent;
  int64_t max_k;
  const Configuration* configuration;
  int waves;  // the problem is cut finer until it fills so many waves of blocks; 0: it is not

  bool holds(int64_t m, int64_t load_percent, int64_t k) const {
    return m <= max_m && load_percent <= max_load_percent && k <= max_k;
  }
};

// The first row of a table that holds the problem and whose configuration `serves` it, null if there is none.
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
