#include "tests/rules/kernel.h"

int host() { return kernel(); }
