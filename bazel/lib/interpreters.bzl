"""Finding Python interpreters on the machine, for repository rules. Also executed by Python, like cuda_versions.bzl.

Every Python is asked without the caller's PYTHON* variables, which may belong to another Python. An interpreter keeps
the name that it gives itself: that of a virtual environment is the environment's own, with the environment's packages.
"""

# -E ignores the PYTHON* variables. The user's site folder counts: pip and torch may be there.
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

# The oldest Python whose pip may download, as a minor version of Python 3.
_OLDEST_MINOR_WITH_PIP = 9

def _newest_first(names):
    """Sorts names that hold version numbers: 3.11.10 before 3.11.9."""
    return sorted(names, key = lambda name: (len(name), name), reverse = True)

def _names_in(rctx, folder):
    """The names in a folder of which nobody needs to know when they change."""
    path = rctx.path(folder)
    return [child.basename for child in path.readdir(watch = "no")] if path.exists else []

def _is_numbered(name):
    return name.startswith("python3.") and name[len("python3."):].isdigit()

def _candidates(rctx, version):
    """Paths worth asking, best first: PATH, then where version managers keep interpreters, then the usual folders.

    Args:
      rctx: the repository context.
      version: such as "3.11", or "" for any.

    Returns:
      A list of absolute paths, each once. Not all of them exist.
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
    """What a Python says about itself.

    Args:
      rctx: the repository context.
      path: of the interpreter.

    Returns:
      `(facts, reason)`, one of which is None: a dict, or why there is none.
    """
    result = rctx.execute([path] + PYTHON_FLAGS + ["-c", _PROBE], timeout = 60)
    if result.return_code != 0 or not result.stdout.startswith("{"):
        said = (result.stderr.strip() or result.stdout.strip() or "no output").split("\n")
        return None, "{} does not run: {}".format(path, said[-1])
    return json.decode(result.stdout), None

def _unfit(path, facts, version, needs):
    """Why a Python will not do for modules of a version, or None. What counts is its ABI: SOABI is cpython-311-..."""
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
        # What is installed later is seen by the next command.
        if watch:
            rctx.watch(path)
        if not rctx.path(path).exists:
            continue
        facts, reason = _ask(rctx, path)
        if facts:
            # One interpreter, asked under two names, is one.
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
    """Finds a CPython of one version, with the ABI that ordinary modules of that version are for.

    The repository rule runs anew when one of the places that were looked at changes.

    Args:
      rctx: the repository context.
      version: such as "3.11"; "" for any.
      needs: ["headers"] if Python.h has to be there.

    Returns:
      `(interpreter, reasons)`: a struct with `path`, `version`, `include` (the folder of Python.h) and `has_headers`, or
      None and then a list of strings that say what was looked at and why it was not taken.
    """
    found, reasons = _search(rctx, version, needs, True, True)
    return (found[0] if found else None), reasons

def default_python(rctx, versions, with_headers, preferred):
    """The Python that a build is for where nobody chose one: the machine's `python3`, if it will do, else any that will.

    Args:
      rctx: the repository context.
      versions: those that can be chosen, oldest first.
      with_headers: those of them whose headers the build can bring along.
      preferred: which of them comes first where `python3` will not do.

    Returns:
      One of the versions; the preferred one where none will do.
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
    """What would help on this machine where a Python with its headers is missing.

    Args:
      rctx: the repository context.
      version: such as "3.11".

    Returns:
      A list of strings, a cure each.
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
    """Finds a Python that can run pip: any of 3.9 or newer that has it. What pip downloads does not depend on it.

    Args:
      rctx: the repository context.

    Returns:
      `(path, reasons)`: the interpreter, or None and then what was looked at and why it was not taken.
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
