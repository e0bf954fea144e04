"""The command line of the doctor. Its answer is about the settings it is run with, as a build's would be."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence

from checkup import Checkup
from rendering import as_json, as_text, works

_EPILOG = """\
Settings are those of the command that runs it, written before the target:

  ./bazelw run --config=torch2.6 //:doctor
  ./bazelw run --config=local_cuda --repo_env=CUDA_HOME=/usr/local/cuda-12.4 //:doctor
  ./bazelw run //:doctor -- --json

Exit status: 0 if a build would work, else 1. Warnings are about running what was built.
docs/settings.md has all settings; doctor/README.md the fields of --json.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all checks and prints what they found."""
    parser = argparse.ArgumentParser(
        prog="./bazelw run //:doctor --",
        description="Says what this machine has and whether a build with the selected settings would work.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--settings", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)

    information = json.loads(options.settings.read_text(encoding="utf-8"))
    findings = Checkup(pathlib.Path(__file__).parents[1], information, options.settings.parent).run()
    if options.json:
        print(as_json(findings, information["settings"]))
    else:
        on_terminal = sys.stdout.isatty()
        width = min(shutil.get_terminal_size().columns, 120) if on_terminal else 120
        colour = on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        print(as_text(findings, information["settings"], width=width, colour=colour))
    return 0 if works(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
