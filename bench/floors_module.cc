// awq_floors: kernels that do no work, for bench/measure.py.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>

#include "bench/floors.h"

PYBIND11_MODULE(awq_floors, module) {
  namespace py = pybind11;
  module.def(
      "read",
      [](uintptr_t data, size_t bytes, bool early, uintptr_t stream) {
        const cudaError_t error = awq::bench::launch_read(reinterpret_cast<const void*>(data), bytes, early,
                                                          reinterpret_cast<cudaStream_t>(stream));
        if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
      },
      py::arg("data"), py::arg("bytes"), py::arg("early"), py::arg("stream"));
}
