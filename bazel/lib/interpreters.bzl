"""Finding CPython interpreters on the machine, for repository rules."""

_PROBE = """
import json, os, sys, sysconfig
include = sysconfig.get_path("include")
try:
    import pip.__main__
    has_pip = True
except ImportError:
    has_pip = False
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "version": "%d.%d" % sys.version_info[:2],
    "cpython": sys.implementation.name == "cpython",
    "include": include,
    "has_headers": os.path.exists(os.path.join(include, "Python.h")),
    "has_pip": has_pip,
}))
"""

# Whose pip may download wheels, best first.
PIP_PYTHONS = ["3.11", "3.12", "3.13", "3.10", "3.9"]

def _candidates(rctx, versions):
    """Paths worth asking, best first: PATH, then where version managers keep interpreters."""
    found = []
    for name in ["python" + v for v in versions] + ["python3"]:
        path = rctx.which(name)
        if path:
            found.append(path)
    home = rctx.os.environ.get("HOME", "")
    for root in [
        rctx.os.environ.get("PYENV_ROOT", home + "/.pyenv") + "/versions",
        home + "/.local/share/uv/python",
        "/opt/python",
    ]:
        root = rctx.path(root)
        if not root.exists:
            continue
        names = sorted([d.basename for d in root.readdir()], reverse = True)
        for v in versions:
            for name in names:
                if name.startswith(v + ".") or name.startswith("cpython-{}.".format(v)) or name == v:
                    found.append(root.get_child(name).get_child("bin").get_child("python" + v))
    for v in versions:
        for root in ["/usr/local/bin", "/usr/bin"]:
            found.append(rctx.path("{}/python{}".format(root, v)))
    return found

def find_interpreter(rctx, versions, needs):
    """Finds a CPython on the machine.

    A name on PATH may be a version manager's shim whose answer depends on the folder, so each candidate is run once
    and from then on named by its real path.

    Args:
      rctx: the repository context.
      versions: acceptable versions such as `["3.11"]`, best first.
      needs: what it must have besides: a list out of "pip" and "headers".

    Returns:
      `(interpreter, reasons)`: a struct with `path`, `version` and `include` (the folder of Python.h), or None and then
      a list of strings that say what was looked at and why it was not taken.
    """
    reasons = []
    seen = {}
    for candidate in _candidates(rctx, versions):
        if str(candidate) in seen or not candidate.exists:
            continue
        seen[str(candidate)] = True
        result = rctx.execute([candidate, "-I", "-c", _PROBE], timeout = 60)
        if result.return_code != 0:
            reasons.append("{} does not run: {}".format(candidate, (result.stderr.strip() or "no output").split("\n")[0]))
            continue
        facts = json.decode(result.stdout)
        if not facts["cpython"]:
            reasons.append("{} is not CPython".format(candidate))
        elif facts["version"] not in versions:
            reasons.append("{} is Python {}".format(candidate, facts["version"]))
        elif "pip" in needs and not facts["has_pip"]:
            reasons.append("{} has no pip".format(candidate))
        elif "headers" in needs and not facts["has_headers"]:
            reasons.append("{} has no Python.h in {}".format(candidate, facts["include"]))
        else:
            return struct(path = facts["executable"], version = facts["version"], include = facts["include"]), reasons
    return None, reasons
