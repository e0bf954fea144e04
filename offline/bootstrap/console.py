"""What the set-up tells its user: lines on stderr, errors with their cure, download progress."""

import sys
import time


class SetupError(Exception):
    """A failure whose text tells the user what is wrong and what to do about it."""


def say(text):
    """Prints each line of text on stderr under the launcher's name."""
    for line in text.splitlines():
        print(f"bazelw: {line}", file=sys.stderr, flush=True)


class Progress:
    """Shows how much of a known number of bytes is done: redrawn on a terminal, else a line every ten seconds."""

    REDRAW_SECONDS = 0.2
    LINE_SECONDS = 10.0

    def __init__(self, label, total_bytes, stream=None, clock=time.monotonic):
        self._label = label
        self._total_bytes = total_bytes
        self._stream = stream or sys.stderr
        self._clock = clock
        self._on_terminal = self._stream.isatty()
        self._last_shown = clock()

    def update(self, done_bytes):
        """Shows the state unless it was shown a moment ago."""
        interval = self.REDRAW_SECONDS if self._on_terminal else self.LINE_SECONDS
        if self._clock() - self._last_shown < interval:
            return
        self._last_shown = self._clock()
        self._show(done_bytes)

    def close(self):
        """Leaves a redrawn line; later output starts on the next one."""
        if self._on_terminal:
            self._stream.write("\r\033[K")
            self._stream.flush()

    def _show(self, done_bytes):
        done_bytes = min(done_bytes, self._total_bytes)
        percent = 100 * done_bytes // max(self._total_bytes, 1)
        line = f"bazelw: {self._label}: {done_bytes / 1e6:.0f} of {self._total_bytes / 1e6:.0f} MB ({percent} %)"
        self._stream.write(f"\r\033[K{line}" if self._on_terminal else f"{line}\n")
        self._stream.flush()
