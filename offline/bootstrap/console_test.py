"""Tests when progress is shown."""

import io
import unittest

import console


class ProgressTest(unittest.TestCase):
    def _shown(self, on_terminal, times):
        stream = io.StringIO()
        stream.isatty = lambda: on_terminal
        state = {"now": 0.0}
        progress = console.Progress("downloaded", 200_000_000, stream, lambda: state["now"])
        for number, state["now"] in enumerate(times):
            progress.update(100_000_000 * number)
        return stream.getvalue()

    def test_a_log_gets_a_line_every_ten_seconds(self):
        self.assertEqual(self._shown(False, [9.9, 10.1]), "bazelw: downloaded: 100 of 200 MB (50 %)\n")

    def test_a_terminal_is_redrawn(self):
        self.assertEqual(self._shown(True, [0.1, 0.3]), "\r\033[Kbazelw: downloaded: 100 of 200 MB (50 %)")

    def test_more_than_everything_is_everything(self):
        self.assertIn("200 of 200 MB (100 %)", self._shown(False, [1, 2, 3, 20]))


if __name__ == "__main__":
    unittest.main()
