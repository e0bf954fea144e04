"""What the doctor prints: lines for readers, or JSON for programs (README.md beside this file describes it)."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from checkup import OK, PROBLEM, SKIPPED, WARNING, Finding

# Raised when a field's meaning changes or one goes; new fields do not raise it.
SCHEMA = 1

_COLOURS = {OK: "32", WARNING: "33", PROBLEM: "31", SKIPPED: "2"}
_VERDICT_WIDTH = len(PROBLEM)
_TITLE_WIDTH = len("PyTorch to import")


def works(findings: Sequence[Finding]) -> bool:
    """Whether a build would work."""
    return all(finding.verdict != PROBLEM for finding in findings)


def as_json(findings: Sequence[Finding], settings: dict[str, Any]) -> str:
    """The report for programs."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "works": works(findings),
            "settings": settings,
            "checks": [
                {
                    "name": finding.name,
                    "verdict": finding.verdict,
                    "summary": finding.summary,
                    "notes": finding.notes,
                    "problem": vars(finding.problem) if finding.problem else None,
                    "facts": finding.facts,
                }
                for finding in findings
            ],
        },
        indent=2,
    )


def as_text(findings: Sequence[Finding], settings: dict[str, Any], *, width: int, colour: bool) -> str:
    """The report for readers, for a terminal of a width."""

    def paint(text: str, verdict: str) -> str:
        return f"\033[{_COLOURS[verdict]}m{text}\033[0m" if colour else text

    def wrap(text: str, first: str, rest: str) -> list[str]:
        # A command has to stay as it is, so long words are not broken.
        wrapped = textwrap.wrap(
            text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )
        return wrapped or [first.rstrip()]

    margin = " " * (_VERDICT_WIDTH + _TITLE_WIDTH + 4)
    values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in settings.items()}
    lines = wrap(
        "Settings: " + " ".join(f"--//config:{name}={value}" for name, value in values.items() if value), "", "  "
    )
    lines.append("")
    for finding in findings:
        label = f"{finding.verdict:<{_VERDICT_WIDTH}}"
        first, *others = wrap(finding.summary, f"{label}  {finding.title:<{_TITLE_WIDTH}}  ", margin)
        lines += [paint(label, finding.verdict) + first[len(label) :], *others]
        if finding.problem:
            for part in ("found", "expected", "cure"):
                head = f"{part + ':':<10}"
                for text in getattr(finding.problem, part).split("\n"):
                    lines += wrap(text, margin + head, margin + " " * 10)
                    head = " " * 10
        for note in finding.notes:
            lines += wrap(note, margin, margin)
    lines += ["", *_conclusion(findings)]
    return "\n".join(lines)


def _conclusion(findings: Sequence[Finding]) -> list[str]:
    counts = Counter(finding.verdict for finding in findings)
    numbers = [f"{counts[verdict]} {verdict}{'' if counts[verdict] == 1 else 's'}" for verdict in (PROBLEM, WARNING)]
    verdict = "A build would work" if works(findings) else "A build would fail"
    return [f"{verdict}: {', '.join(numbers)}, {counts[SKIPPED]} skipped."]
