// Instantiations of the Hopper kernel. All compile within seconds, so they share a file.
#include "csrc/w8a8/gemm_sm90.cuh"

namespace awq::w8a8 {

template cudaError_t launch_gemm_sm90<GemmSm90Tokens16>(const W8A8GemmParams&, int, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens16Wide>(const W8A8GemmParams&, int, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens32>(const W8A8GemmParams&, int, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens32Wide>(const W8A8GemmParams&, int, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64>(const W8A8GemmParams&, int, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens64Wide>(const W8A8GemmParams&, int, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens128>(const W8A8GemmParams&, int, cudaStream_t);
template cudaError_t launch_gemm_sm90<GemmSm90Tokens256>(const W8A8GemmParams&, int, cudaStream_t);

}  // namespace awq::w8a8
