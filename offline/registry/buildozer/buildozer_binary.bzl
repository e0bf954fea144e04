"""What `bazel mod` loads of buildozer."""

def _buildozer_repo_impl(_rctx):
    fail("`bazel mod tidy` needs buildozer, which is not to be had here; edit use_repo() by hand, as its messages say")

_buildozer_repo = repository_rule(implementation = _buildozer_repo_impl)

def _buildozer_binary_impl(_mctx):
    _buildozer_repo(name = "buildozer_binary")

buildozer_binary = module_extension(implementation = _buildozer_binary_impl)
