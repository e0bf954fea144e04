"""Finds an installed PyTorch, and reads its version, CUDA version and ABI, for repository rules."""

load(":interpreters.bzl", "PYTHON_FLAGS", "find_interpreter")

# Prints the folders where Python looks for packages, and the folder that has torch/. It does not import torch, because
# that takes seconds.
_FIND_TORCH = """
import importlib.util, json, sys
sys.path = [path for path in sys.path if path]
spec = importlib.util.find_spec("torch")
folders = list(spec.submodule_search_locations or []) if spec else []
print(json.dumps({"path": sys.path, "folder": folders[0].rpartition("/")[0] if folders else ""}))
"""

def find_torch(rctx, version):
    """Finds the installed PyTorch: the one that AWQ_TORCH_PATH names, or that a Python of a version can import.

    The repository rule runs again when a PyTorch is installed, removed or changed in a folder that was searched.

    Args:
      rctx: the repository context.
      version: of Python, such as "3.11".

    Returns:
      `(folder, python, where)`. If there is a PyTorch: the folder that has torch/, the Python version it is for ("" if
      unknown), and its place as text for messages. Otherwise: None, "", and the searched places, one per line.
    """
    folder = rctx.os.environ.get("AWQ_TORCH_PATH", "").rstrip("/")
    if folder:
        where = "AWQ_TORCH_PATH=" + folder
        if not folder.startswith("/"):
            return None, "", where + ", which is no absolute path"
        rctx.watch(folder + "/torch/version.py")
        return (folder, "", where) if rctx.path(folder + "/torch/version.py").exists else (None, "", "no torch/version.py in " + where)
    python, reasons = find_interpreter(rctx, version)
    if not python:
        return None, "", "\n".join(reasons)
    answer = rctx.execute([python.path] + PYTHON_FLAGS + ["-c", _FIND_TORCH], timeout = 60)
    if answer.return_code != 0:
        return None, "", "{} (Python {}) fails: {}".format(python.path, version, answer.stderr.strip())
    found = json.decode(answer.stdout)
    for path in found["path"]:
        if path.startswith("/") and not path.endswith(".zip"):
            rctx.watch(path + "/torch/version.py")
    if not found["folder"]:
        return None, "", "{} (Python {}) has no torch".format(python.path, version)
    return found["folder"], version, "{}, which {} imports".format(found["folder"], python.path)

def torch_facts(version_py):
    """Reads the versions of a PyTorch from its torch/version.py.

    Args:
      version_py: the file's content, with lines such as `cuda: Optional[str] = '13.0'`.

    Returns:
      A struct with `version` and `cuda`. `cuda` is "" for a build without CUDA.
    """
    facts = {}
    for line in version_py.split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            facts[name.split(":")[0].strip()] = value.strip().strip("'\"")
    cuda = facts.get("cuda", "None")
    return struct(
        version = facts.get("__version__", "0.0"),
        cuda = "" if cuda == "None" else ".".join(cuda.split(".")[:2]),
    )

# c10::detail::torchCheckFail takes a std::string, so its mangled name says which std::string. Other names of the new
# std::string in the library prove nothing: the library may contain parts of the C++ library.
_CXX11_CHECK_FAIL = "torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_string"

def cxx11_abi(rctx, library):
    """Finds which std::string a PyTorch is compiled with.

    Args:
      rctx: the repository context.
      library: path of its libc10.so.

    Returns:
      `(abi, error)`, one of which is None. `abi` is "1" for the C++11 std::string and "0" for the old one. `error` is a
      string that says what went wrong.
    """
    path = rctx.path(library)
    if not path.exists:
        return None, "no {}".format(library)
    return ("1" if _CXX11_CHECK_FAIL in rctx.read(path) else "0"), None
