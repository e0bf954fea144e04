"""Compiler options of code that includes PyTorch's headers."""

# C++20, by the name that GCC 9 knows. The headers of PyTorch 2.15 need it, and older headers accept it.
TORCH_COPTS = ["-std=c++2a"]
