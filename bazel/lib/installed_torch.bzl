"""Finds a PyTorch that is installed on the machine, and reads what a PyTorch is; for repository rules."""

load(":interpreters.bzl", "PYTHON_FLAGS", "find_interpreter")

# Prints where Python looks for packages, and the folder that holds torch/, without importing it, which takes seconds.
_FIND_TORCH = """
import importlib.util, json, sys
sys.path = [path for path in sys.path if path]
spec = importlib.util.find_spec("torch")
folders = list(spec.submodule_search_locations or []) if spec else []
print(json.dumps({"path": sys.path, "folder": folders[0].rpartition("/")[0] if folders else ""}))
"""

def find_torch(rctx, version):
    """Finds the installed PyTorch: the one that AWQ_TORCH_PATH names, or that a Python of a version can import.

    The repository rule runs anew when a PyTorch comes, goes or changes in one of the folders that were looked at.

    Args:
      rctx: the repository context.
      version: of Python, such as "3.11".

    Returns:
      `(folder, python, where)`: the folder that holds torch/, the Python version it is for ("" if not known), and where it is
      in words; or None, "", and what was looked at, a line each.
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
    """Reads what a PyTorch is out of its torch/version.py.

    Args:
      version_py: the file's content, with lines such as `cuda: Optional[str] = '13.0'`.

    Returns:
      A struct with `version` and `cuda`; cuda is "" for a build without it.
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

# c10::detail::torchCheckFail takes a std::string, so its mangled name tells which one. (That the library holds names of the
# new one somewhere says nothing: it may hold parts of the C++ library.)
_CXX11_CHECK_FAIL = "torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_string"

def cxx11_abi(rctx, library):
    """Which std::string a PyTorch is compiled with.

    Args:
      rctx: the repository context.
      library: path of its libc10.so.

    Returns:
      `(abi, error)`: "1" for the C++11 one or "0" for the old one, and None; or None and what went wrong.
    """
    path = rctx.path(library)
    if not path.exists:
        return None, "no {}".format(library)
    return ("1" if _CXX11_CHECK_FAIL in rctx.read(path) else "0"), None
