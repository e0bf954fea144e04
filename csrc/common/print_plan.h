// AWQ_PRINT_PLAN: calls print the chosen kernels to standard error. Host code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "csrc/common/device.h"

namespace awq {

// Whether the environment variable has a value other than the empty string or 0. It is read once.
bool prints_plans();

// Prints "AWQ_PRINT_PLAN <problem>: <choice> <remark>", once for each problem and choice.
void print_plan(const std::string& problem, const std::string& choice, const std::string& remark = "");

// "1 piece", "2 pieces".
inline std::string count_text(int64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// The parts as one text.
template <typename... Parts>
std::string plan_text(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

inline std::string device_text(const DeviceInfo& device) {
  return plan_text(" on sm_", device.arch, " with ", device.sm_count, " SMs");
}
inline std::string workspace_text(size_t bytes) { return plan_text(", ", bytes, " bytes of workspace"); }

}  // namespace awq
