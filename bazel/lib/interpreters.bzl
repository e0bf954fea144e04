"""Finds Python interpreters, for repository rules. Python executes this file too, like cuda_versions.bzl.

Every Python runs without the caller's PYTHON* variables, which may belong to another Python. The path of an interpreter
is the one that it reports itself. A virtual environment reports its own path, so its packages are used.
"""

# -E ignores the PYTHON* variables. The user's site folder stays in use: pip and torch may be there.
PYTHON_FLAGS = ["-E", "-B"]

_PROBE = """
import json, os, sys, sysconfig
sys.path = [path for path in sys.path if path]
include = sysconfig.get_path("include")
try:
    import pip.__main__
    has_pip = True
except ImportError:
    has_pip = False
print(json.dumps({
    "executable": sys.executable,
    "version": "%d.%d" % sys.version_info[:2],
    "implementation": sys.implementation.name,
    "soabi": sysconfig.get_config_var("SOABI") or "",
    "include": include,
    "has_headers": os.path.exists(os.path.join(include, "Python.h")),
    "has_pip": has_pip,
}))
"""

# The minor version of the oldest Python 3 whose pip is used for downloads.
_OLDEST_MINOR_WITH_PIP = 9

def _newest_first(names):
    """Sorts names with version numbers, newest first: 3.11.10 before 3.11.9."""
    return sorted(names, key = lambda name: (len(name), name), reverse = True)

def _names_in(rctx, folder):
    """The names in a folder. Bazel does not watch the folder for changes."""
    path = rctx.path(folder)
    return [child.basename for child in path.readdir(watch = "no")] if path.exists else []

def _is_numbered(name):
    return name.startswith("python3.") and name[len("python3."):].isdigit()

def _candidates(rctx, version):
    """Paths to try, best first: PATH, then the folders of version managers, then the usual folders.

    Args:
      rctx: the repository context.
      version: such as "3.11", or "" for any.

    Returns:
      A list of absolute paths without repetition. Not all of them exist.
    """
    found = []

    def add_folder(folder):
        names = ["python" + version] if version else []
        names += ["python3", "python"]
        if not version:
            names += _newest_first([name for name in _names_in(rctx, folder) if _is_numbered(name)])
        found.extend(["{}/{}".format(folder, name) for name in names])

    for folder in rctx.os.environ.get("PATH", "").split(":"):
        if folder.startswith("/"):
            add_folder(folder.rstrip("/"))
    home = rctx.os.environ.get("HOME", "")
    for root in [
        rctx.os.environ.get("PYENV_ROOT", home + "/.pyenv") + "/versions",
        home + "/.local/share/uv/python",
        "/opt/python",
    ]:
        if root.startswith("/"):
            for name in _newest_first(_names_in(rctx, root)):
                found.append("{}/{}/bin/python{}".format(root, name, version or "3"))
    add_folder("/usr/local/bin")
    add_folder("/usr/bin")
    return {path: True for path in found}.keys()

def _ask(rctx, path):
    """Runs a Python to find its version, ABI, headers and pip.

    Args:
      rctx: the repository context.
      path: of the interpreter.

    Returns:
      `(facts, reason)`, one of which is None. `facts` is a dict. `reason` says why there are no facts.
    """
    result = rctx.execute([path] + PYTHON_FLAGS + ["-c", _PROBE], timeout = 60)
    if result.return_code != 0 or not result.stdout.startswith("{"):
        said = (result.stderr.strip() or result.stdout.strip() or "no output").split("\n")
        return None, "{} does not run: {}".format(path, said[-1])
    return json.decode(result.stdout), None

def _unfit(path, facts, version, needs):
    """Why a Python does not fit modules of a version, or None. The ABI decides: SOABI is cpython-311-... for 3.11."""
    soabi = "-".join(facts["soabi"].split("-")[:2])
    expected = "cpython-" + facts["version"].replace(".", "")
    if facts["implementation"] != "cpython":
        return "{} is {}, not CPython".format(path, facts["implementation"])
    if version and facts["version"] != version:
        return "{} is Python {}".format(path, facts["version"])
    if soabi != expected:
        return "{} is Python {} with the ABI {} (a free-threaded or debug build); expected is {}".format(path, facts["version"], soabi, expected)
    if "headers" in needs and not facts["has_headers"]:
        return "{} (Python {}) has no Python.h in {}".format(path, facts["version"], facts["include"])
    return None

def _search(rctx, version, needs, watch, first_only):
    found = []
    reasons = []
    asked = {}
    for path in _candidates(rctx, version):
        # Watching the path makes the next command see a Python that is installed later.
        if watch:
            rctx.watch(path)
        if not rctx.path(path).exists:
            continue
        facts, reason = _ask(rctx, path)
        if facts:
            # An interpreter with two names counts once.
            if facts["executable"] in asked:
                continue
            asked[facts["executable"]] = True
            header = facts["include"] + "/Python.h"
            if watch:
                rctx.watch(header)
            reason = _unfit(path, facts, version, needs)
        if reason:
            reasons.append(reason)
            continue
        found.append(struct(
            has_headers = facts["has_headers"],
            include = facts["include"],
            path = facts["executable"],
            version = facts["version"],
        ))
        if first_only:
            break
    return found, reasons

def find_interpreter(rctx, version, needs = []):
    """Finds a CPython of one version, with the ABI of ordinary modules of that version.

    The repository rule runs again when one of the searched places changes.

    Args:
      rctx: the repository context.
      version: such as "3.11"; "" for any.
      needs: ["headers"] if Python.h must be there.

    Returns:
      `(interpreter, reasons)`. `interpreter` is a struct with `path`, `version`, `include` (the folder of Python.h) and
      `has_headers`, or None. `reasons` is a list of strings: each names an interpreter and says why it was not used.
    """
    found, reasons = _search(rctx, version, needs, True, True)
    return (found[0] if found else None), reasons

def default_python(rctx, versions, with_headers, preferred):
    """The default Python of a build: the version of the machine's `python3` if it fits, else any version that fits.

    Args:
      rctx: the repository context.
      versions: the supported versions, oldest first.
      with_headers: the versions whose headers the build can fetch.
      preferred: the version that is tried first if `python3` does not fit.

    Returns:
      One of the versions; the preferred one if none fits.
    """
    first, _ = find_interpreter(rctx, "")
    if first and first.version in versions and (first.has_headers or first.version in with_headers):
        return first.version
    for version in [preferred] + reversed(versions):
        interpreter, _ = find_interpreter(rctx, version, ["headers"])
        if interpreter:
            return version
    return preferred

def python_cures(rctx, version):
    """The actions that help on this machine if a Python with its headers is missing.

    Args:
      rctx: the repository context.
      version: such as "3.11".

    Returns:
      A list of strings, one cure each.
    """
    others, _ = _search(rctx, "", ["headers"], False, False)
    first = {other.version: other.path for other in reversed(others)}
    cures = ["--//config:python={}, which is here ({})".format(v, first[v]) for v in sorted(first, key = len)]
    apt = rctx.which("apt-cache")
    for package, also in [("python{}-dev".format(version), ""), ("python3-dev", ", and --//config:python={}")]:
        if not apt:
            continue
        about = rctx.execute([apt, "show", "--no-all-versions", package], timeout = 60).stdout
        offered = [line.split(" ")[1] for line in about.split("\n") if line.startswith("Version: ")]
        if offered:
            cures.append("apt-get install " + package + also.format(".".join(offered[0].split(".")[:2])))
            break
    if rctx.which("pyenv"):
        cures.append("pyenv install " + version)
    if rctx.which("uv"):
        cures.append("uv python install " + version)
    return cures

def find_pip(rctx):
    """Finds a Python with pip, of version 3.9 or newer. The files that pip downloads do not depend on that Python.

    Args:
      rctx: the repository context.

    Returns:
      `(path, reasons)`. `path` is the interpreter, or None. `reasons` is a list of strings: each names an interpreter
      and says why it was not used.
    """
    reasons = []
    for path in _candidates(rctx, ""):
        if not rctx.path(path).exists:
            continue
        facts, reason = _ask(rctx, path)
        if facts:
            major, _, minor = facts["version"].partition(".")
            if int(major) != 3 or int(minor) < _OLDEST_MINOR_WITH_PIP:
                reason = "{} is Python {}".format(path, facts["version"])
            elif not facts["has_pip"]:
                reason = "{} (Python {}) has no pip".format(path, facts["version"])
            else:
                return facts["executable"], reasons
        reasons.append(reason)
    return None, reasons
