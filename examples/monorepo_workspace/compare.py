"""Says by how much the kernel's RMSNorm differs from PyTorch's own."""

import argparse

import torch
from norm import rms_norm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokens", type=int, nargs="?", default=16)
    parser.add_argument("channels", type=int, nargs="?", default=1024)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.randn(1, arguments.tokens, arguments.channels, dtype=torch.float16, device=device)
    gamma = torch.rand(arguments.channels, dtype=torch.float16, device=device)
    expected = torch.nn.functional.rms_norm(x.float(), x.shape[-1:], gamma.float(), 1e-6)
    print(f"{device}: largest difference {(rms_norm(x, gamma).float() - expected).abs().max():.5f}")


if __name__ == "__main__":
    main()
