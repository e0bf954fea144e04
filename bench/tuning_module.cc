// awq_tuning: the configurations of the matrix products, one by one, and plans for GPUs that are not there. For
// bench/tune.py and tests.
//
// Tensors come in as addresses, so that the module needs no PyTorch. The types and shapes are those of w4a16.h and
// w8a8.h; nothing is checked but what these check.
#include <cuda_runtime_api.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "csrc/attention/dispatch.h"
#include "csrc/common/device.h"
#include "csrc/w4a16/dispatch.h"
#include "csrc/w8a8/dispatch.h"

namespace {

namespace py = pybind11;

using Addresses = py::dict;  // name: address

const void* address(const Addresses& addresses, const char* name) {
  return addresses.contains(name) ? reinterpret_cast<const void*>(addresses[name].cast<uintptr_t>()) : nullptr;
}

void* written_address(const Addresses& addresses, const char* name) {
  return const_cast<void*>(address(addresses, name));
}

void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

// A problem of a family: what Python sees of it is the same for all of them.
struct Problem {
  virtual ~Problem() = default;
  virtual std::optional<py::tuple> choose(const awq::DeviceInfo& device) const = 0;
  virtual std::optional<py::tuple> cut(const std::string& configuration, int waves,
                                       const awq::DeviceInfo& device) const = 0;
  // `constant_weights` is for those that know it.
  virtual void run(const std::string& configuration, int waves, const Addresses& addresses, uintptr_t stream,
                   bool constant_weights) const = 0;
};

template <class Configuration>
const Configuration& find(const std::vector<const Configuration*>& configurations, const std::string& name) {
  for (const Configuration* configuration : configurations) {
    if (configuration->name == name) return *configuration;
  }
  throw py::key_error(name);
}

cudaStream_t to_stream(uintptr_t stream) { return reinterpret_cast<cudaStream_t>(stream); }

awq::DeviceInfo this_device() {
  awq::DeviceInfo device;
  check(awq::current_device_info(&device));
  return device;
}

template <class Params>
struct W4A16Problem : Problem {
  Params params{};

  static py::tuple describe(const awq::W4A16Plan& plan) {
    return py::make_tuple(plan.configuration->name, plan.splits, plan.workspace_bytes);
  }

  std::optional<py::tuple> choose(const awq::DeviceInfo& device) const override {
    awq::W4A16Plan plan;
    if (awq::w4a16::plan(params, device, &plan) != cudaSuccess) return std::nullopt;
    return describe(plan);
  }

  std::optional<py::tuple> cut(const std::string& name, int waves, const awq::DeviceInfo& device) const override {
    awq::W4A16Plan plan;
    const auto& configuration = find(awq::w4a16::configurations(), name);
    if (awq::w4a16::plan_with(configuration, waves, params, device, &plan) != cudaSuccess) return std::nullopt;
    return describe(plan);
  }

  void run(const std::string& name, int waves, const Addresses& addresses, uintptr_t stream,
           bool constant_weights) const override {
    awq::W4A16Plan plan;
    check(awq::w4a16::plan_with(find(awq::w4a16::configurations(), name), waves, params, this_device(), &plan));
    Params p = params;
    p.in = address(addresses, "in");
    p.weights = static_cast<decltype(p.weights)>(address(addresses, "weights"));
    p.scales = address(addresses, "scales");
    p.zeros = static_cast<decltype(p.zeros)>(address(addresses, "zeros"));
    p.out = written_address(addresses, "out");
    p.constant_weights = constant_weights;
    check(launch(p, plan, written_address(addresses, "workspace"), to_stream(stream)));
  }

 private:
  static cudaError_t launch(const awq::W4A16V2Params& p, const awq::W4A16Plan& plan, void* workspace,
                            cudaStream_t stream) {
    return awq::launch_w4a16_v2(p, plan, workspace, stream);
  }
  static cudaError_t launch(const awq::W4A16V1Params& p, const awq::W4A16Plan& plan, void* workspace,
                            cudaStream_t stream) {
    return awq::launch_w4a16_v1(p, plan, workspace, stream);
  }
};

std::unique_ptr<Problem> w4a16_v2(int64_t m, int64_t n, int64_t k, int group_size, bool bfloat16) {
  auto problem = std::make_unique<W4A16Problem<awq::W4A16V2Params>>();
  problem->params.m = m;
  problem->params.n = n;
  problem->params.k = k;
  problem->params.group_size = group_size;
  problem->params.dtype = bfloat16 ? awq::DType::kBFloat16 : awq::DType::kFloat16;
  return problem;
}

// Scales are padded to `padded_groups` columns.
std::unique_ptr<Problem> w4a16_v1(int64_t m, int64_t n, int64_t k, int group_size, int64_t padded_groups) {
  auto problem = std::make_unique<W4A16Problem<awq::W4A16V1Params>>();
  problem->params.m = m;
  problem->params.n = n;
  problem->params.k = k;
  problem->params.group_size = group_size;
  problem->params.scales_row_stride_elems = padded_groups;
  problem->params.zeros_row_stride_elems = padded_groups / 8;
  return problem;
}

struct W8A8Problem : Problem {
  awq::W8A8GemmParams params{};

  static py::tuple describe(const awq::W8A8Plan& plan) {
    const int parts = plan.configuration->narrows ? plan.channels : plan.splits;
    return py::make_tuple(plan.configuration->name, parts, plan.workspace_bytes);
  }

  std::optional<py::tuple> choose(const awq::DeviceInfo& device) const override {
    awq::W8A8Plan plan;
    if (awq::w8a8::plan(params, device, &plan) != cudaSuccess) return std::nullopt;
    return describe(plan);
  }

  std::optional<py::tuple> cut(const std::string& name, int waves, const awq::DeviceInfo& device) const override {
    awq::W8A8Plan plan;
    const auto& configuration = find(awq::w8a8::configurations(), name);
    if (awq::w8a8::plan_with(configuration, waves, params, device, &plan) != cudaSuccess) return std::nullopt;
    return describe(plan);
  }

  void run(const std::string& name, int waves, const Addresses& addresses, uintptr_t stream,
           bool /*constant_weights*/) const override {
    awq::W8A8GemmParams p = params;
    p.in_feats = static_cast<const int8_t*>(address(addresses, "in"));
    p.kernel = static_cast<const int8_t*>(address(addresses, "weights"));
    p.wscales = address(addresses, "scales");
    p.ascales = address(addresses, "token_scales");
    p.out_feats = written_address(addresses, "out");
    awq::W8A8Plan plan;
    check(awq::w8a8::plan_with(find(awq::w8a8::configurations(), name), waves, p, this_device(), &plan));
    check(awq::launch_w8a8_gemm(p, plan, written_address(addresses, "workspace"), to_stream(stream)));
  }
};

std::unique_ptr<Problem> w8a8(int64_t m, int64_t n, int64_t k) {
  auto problem = std::make_unique<W8A8Problem>();
  problem->params.m = m;
  problem->params.n = n;
  problem->params.k = k;
  return problem;
}

// Pieces of a sequence, whether they are merged in a cluster, whether blocks get multiprocessors of their own, bytes of
// workspace.
py::tuple attention_plan(int batch, int heads, int kv_heads, int head_dim, int cache_len, int timestep,
                         const awq::DeviceInfo& device) {
  awq::SingleQueryAttentionParams params{};
  params.batch = batch;
  params.heads = heads;
  params.kv_heads = kv_heads;
  params.head_dim = head_dim;
  params.cache_len = cache_len;
  params.timestep = timestep;
  awq::SingleQueryAttentionPlan plan;
  check(awq::attention::plan(params, device, &plan));
  return py::make_tuple(plan.splits, plan.clustered, plan.exclusive, plan.workspace_bytes);
}

// Of each: name, the only architecture or 0, tokens and channels of a tile, shared memory.
template <class Configuration>
py::list describe_all(const std::vector<const Configuration*>& configurations) {
  py::list list;
  for (const Configuration* c : configurations) {
    list.append(py::make_tuple(c->name, c->arch, c->tokens, c->channels, c->smem_bytes));
  }
  return list;
}

py::list configurations(const std::string& family) {
  if (family == "w4a16") return describe_all(awq::w4a16::configurations());
  if (family == "w8a8") return describe_all(awq::w8a8::configurations());
  throw py::key_error(family);
}

}  // namespace

PYBIND11_MODULE(awq_tuning, module) {
  py::class_<awq::DeviceInfo>(module, "Device")
      .def(py::init([](int arch, int sm_count, int max_smem_bytes_per_block) {
             return awq::DeviceInfo{arch, sm_count, max_smem_bytes_per_block};
           }),
           py::arg("arch"), py::arg("sm_count"), py::arg("max_smem_bytes_per_block"))
      .def_readonly("arch", &awq::DeviceInfo::arch)
      .def_readonly("sm_count", &awq::DeviceInfo::sm_count)
      .def_readonly("max_smem_bytes_per_block", &awq::DeviceInfo::max_smem_bytes_per_block);
  py::class_<Problem>(module, "Problem")
      .def("choose", &Problem::choose, py::arg("device"))
      .def("cut", &Problem::cut, py::arg("configuration"), py::arg("waves"), py::arg("device"))
      .def("run", &Problem::run, py::arg("configuration"), py::arg("waves"), py::arg("addresses"), py::arg("stream"),
           py::arg("constant_weights") = false);
  module.def("this_device", this_device);
  module.def("configurations", configurations, py::arg("family"));
  module.def("w4a16_v2", w4a16_v2, py::arg("m"), py::arg("n"), py::arg("k"), py::arg("group_size"),
             py::arg("bfloat16") = false);
  module.def("w4a16_v1", w4a16_v1, py::arg("m"), py::arg("n"), py::arg("k"), py::arg("group_size"),
             py::arg("padded_groups"));
  module.def("w8a8", w8a8, py::arg("m"), py::arg("n"), py::arg("k"));
  module.def("attention_plan", attention_plan, py::arg("batch"), py::arg("heads"), py::arg("kv_heads"),
             py::arg("head_dim"), py::arg("cache_len"), py::arg("timestep"), py::arg("device"));
}
