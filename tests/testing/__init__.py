"""What the tests share: the contract as data, element-wise comparison, a runner for Bazel."""
