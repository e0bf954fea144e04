#include "tests/rules/kernel.h"

#include "tests/rules/detail.cuh"

int kernel() { return detail(); }
