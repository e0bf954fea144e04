// Instantiations of the kernel for any device.
#include "csrc/w8a8/gemm_mma.cuh"

namespace awq::w8a8 {

template cudaError_t launch_gemm_mma<Skinny>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);
template cudaError_t launch_gemm_mma<SkinnyWide>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);
template cudaError_t launch_gemm_mma<Low>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);
template cudaError_t launch_gemm_mma<LowWide>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);
template cudaError_t launch_gemm_mma<Square>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);
template cudaError_t launch_gemm_mma<Tall>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);
template cudaError_t launch_gemm_mma<Compact>(const W8A8GemmParams&, const W8A8Plan&, void*, cudaStream_t);

}  // namespace awq::w8a8
