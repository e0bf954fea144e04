#include "csrc/common/print_plan.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

namespace awq {

bool prints_plans() {
  static const bool prints = [] {
    const char* value = std::getenv("AWQ_PRINT_PLAN");
    return value != nullptr && *value != '\0' && std::strcmp(value, "0") != 0;
  }();
  return prints;
}

void print_plan(const std::string& problem, const std::string& choice, const std::string& remark) {
  static std::mutex mutex;
  static std::set<std::string> printed;
  const std::string line = "AWQ_PRINT_PLAN " + problem + ": " + choice;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!printed.insert(line).second) return;
  std::fprintf(stderr, "%s%s%s\n", line.c_str(), remark.empty() ? "" : " ", remark.c_str());
}

}  // namespace awq
