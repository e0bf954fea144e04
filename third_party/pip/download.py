"""Downloads wheels by the pip of the Python that runs this, for repository rules. Arguments are those of pip download.

Of the caller's pip configuration, files and variables alike, only what says where from and through what packages come
counts: index, proxy, certificates, credentials, cache. Whatever else changes what pip does (constraints, targets,
require-virtualenv) is for the caller's own environments. The same holds for Python's variables.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

# Options of pip, as configuration files name them.
KEPT = frozenset(
    """
    cache-dir cert client-cert default-timeout extra-index-url find-links index-url keyring-provider no-cache-dir
    no-index no-input proxy resume-retries retries timeout trusted-host use-deprecated use-feature
    """.split()
)


def _name(key: str) -> str:
    return key.lower().replace("_", "-").lstrip("-")


def without_settings(environment: dict[str, str]) -> dict[str, str]:
    """An environment without Python's variables and without pip's, but for those that are kept."""
    return {
        key: value
        for key, value in environment.items()
        if not key.startswith(("PYTHON", "PIP_")) or key == "PIP_CONFIG_FILE" or _name(key[len("PIP_") :]) in KEPT
    }


def kept_settings(config_list: str) -> dict[str, str]:
    """Variables for what is kept of pip's configuration.

    Args:
        config_list: what `pip config list` prints: lines such as global.index-url='https://...'.
    """
    found: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}
    for line in config_list.splitlines():
        key, equals, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if equals and section in found and _name(option) in KEPT:
            found[section][_name(option)] = str(ast.literal_eval(value))
    settings = {**found["global"], **found["download"], **found[":env:"]}
    return {"PIP_" + option.upper().replace("-", "_"): value for option, value in settings.items()}


def main(arguments: list[str]) -> int:
    """Runs pip download with these arguments; returns its exit status."""
    pip = [sys.executable, "-E", "-B", "-m", "pip", "--disable-pip-version-check"]
    # The last three, were they set in a file, would make pip list one file alone.
    environment = without_settings(dict(os.environ)) | dict.fromkeys(["PIP_GLOBAL", "PIP_SITE", "PIP_USER"], "0")
    listed = subprocess.run([*pip, "config", "list"], env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if listed.returncode != 0:
        print("ERROR: pip's configuration cannot be read: python3 -m pip config debug", file=sys.stderr)
        return listed.returncode
    environment = {key: value for key, value in environment.items() if not key.startswith("PIP_")}
    environment |= kept_settings(listed.stdout) | {"PIP_CONFIG_FILE": os.devnull}
    return subprocess.run([*pip, "download", *arguments], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
