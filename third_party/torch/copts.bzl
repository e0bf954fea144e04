"""How code that includes PyTorch's headers is compiled."""

# C++20, which PyTorch 2.15's headers need and older ones take, by the name that GCC 9 knows.
TORCH_COPTS = ["-std=c++2a"]
