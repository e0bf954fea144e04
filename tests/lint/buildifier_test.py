"""BUILD and .bzl files are formatted and pass buildifier's warnings."""

from __future__ import annotations

import tools


def test_buildifier() -> None:
    result = tools.run([*tools.buildifier(), "-mode=check", "-lint=warn", *tools.tree(*tools.BAZEL)])
    assert result.returncode == 0, f"{result.stdout}{result.stderr}\n./bazelw run //tests/lint:format mends formatting."
