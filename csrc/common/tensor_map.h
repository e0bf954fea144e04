// Descriptions of matrices for Hopper's tensor copy engine. Host code.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "csrc/common/gpu.h"

namespace awq {

// Describes a contiguous matrix that is copied in boxes.
//   matrix   `rows` times `row_bytes`, neither zero; elements of 1 or 2 bytes; `data` and `row_bytes` multiples of 16
//   box      `box_rows` (at most 256) by `box_row_bytes` (32 or 128)
//   chunks   the 16-byte chunks of a box are permuted in shared memory by exclusive or with address bits. For boxes of
//            128 bytes these bits are the row's number
//   errors   cudaErrorNotSupported if the driver has no tensor maps
cudaError_t describe_matrix(CUtensorMap* map, const void* data, int element_bytes, int64_t rows, int64_t row_bytes,
                            int box_rows, int box_row_bytes = kLineBytes);

}  // namespace awq
