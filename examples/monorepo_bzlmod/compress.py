"""Compresses a random layer and says how much smaller and how much less exact it is."""

import argparse

import torch
from linear import QuantizedLinear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=int, nargs="?", default=1024)
    parser.add_argument("outputs", type=int, nargs="?", default=512)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weight = torch.randn(arguments.outputs, arguments.inputs, dtype=torch.float16, device=device)
    x = torch.randn(16, arguments.inputs, dtype=torch.float16, device=device)
    layer = QuantizedLinear(weight)
    exact = x.float() @ weight.float().T
    error = (layer(x).float() - exact).norm() / exact.norm()
    print(f"{device}: {weight.numel() * 2 / layer.nbytes():.1f} times smaller, relative error {error:.3f}")


if __name__ == "__main__":
    main()
