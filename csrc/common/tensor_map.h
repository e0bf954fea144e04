// Descriptions of matrices for Hopper's tensor copy engine. Host code.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/common/gpu.h"

namespace awq {

// Describes a contiguous matrix of `rows` times `row_bytes` (neither zero; `data` and `row_bytes` multiples of 16), of
// elements of 1 or 2 bytes, to be copied in boxes of `box_rows` (at most 256) by `box_row_bytes` (32 or 128), whose
// 16-byte chunks are permuted in shared memory by exclusive or with address bits: with the row's number where boxes are
// 128 bytes wide. Returns cudaErrorNotSupported where the driver knows no tensor maps.
cudaError_t describe_matrix(CUtensorMap* map, const void* data, int element_bytes, int64_t rows, int64_t row_bytes,
                            int box_rows, int box_row_bytes = kLineBytes);

}  // namespace awq
