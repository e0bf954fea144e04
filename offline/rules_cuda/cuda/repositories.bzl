"""Set-up in WORKSPACE: nothing, the toolchain comes from elsewhere."""

def rules_cuda_dependencies():
    """Does nothing."""

def rules_cuda_toolchains(register_toolchains = False):
    """Does nothing.

    Args:
      register_toolchains: must be False.
    """
    if register_toolchains:
        fail("the subset of rules_cuda has no toolchains of its own")
