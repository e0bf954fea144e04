#pragma once

inline int detail() { return 1; }
