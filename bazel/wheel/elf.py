"""What a shared library asks of the system it is loaded on, read from the file itself."""

from __future__ import annotations

import struct

_DYNAMIC = 6
_SYMBOLS = 11
_SYMBOL_VERSIONS = 0x6FFFFFFF
_VERSION_NEED = 0x6FFFFFFE
_WEAK = 2
_NEEDED, _RPATH, _RUNPATH = 1, 15, 29


class Library:
    """The parts of a 64-bit little-endian ELF file that tell where it can be loaded.

    Attributes:
      sections: names of the file's sections.
      needed: names of the libraries it links to.
      run_path: where the loader looks for them, as written, or an empty string.
      versions: symbol versions it needs, such as GLIBC_2.34.
      exports: names of the symbols it defines for others.
      imports: names of the symbols it needs of others, with whether a version of them is asked for.
    """

    def __init__(self, data: bytes) -> None:
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian ELF file")
        self._data = data
        (start,) = struct.unpack_from("<Q", data, 0x28)
        size, count, names_at = struct.unpack_from("<HHH", data, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, start + i * size) for i in range(count)]
        self.sections = [self._text(headers[names_at][4] + header[0]) for header in headers]
        self.needed: list[str] = []
        self.run_path = ""
        self.versions: set[str] = set()
        self.exports: set[str] = set()
        self.imports: dict[str, bool] = {}
        versions_at = next((header[4] for header in headers if header[1] == _SYMBOL_VERSIONS), None)
        for _, kind, _, _, offset, length, link, info, _, _ in headers:
            strings = headers[link][4]
            if kind == _DYNAMIC:
                self._read_dynamic(offset, length, strings)
            elif kind == _VERSION_NEED:
                self._read_versions(offset, info, strings)
            elif kind == _SYMBOLS:
                self._read_symbols(offset, length, strings, versions_at)

    def _text(self, offset: int) -> str:
        return self._data[offset : self._data.index(b"\0", offset)].decode()

    def _read_dynamic(self, offset: int, length: int, strings: int) -> None:
        for tag, value in struct.iter_unpack("<QQ", self._data[offset : offset + length]):
            if tag == _NEEDED:
                self.needed.append(self._text(strings + value))
            elif tag in (_RPATH, _RUNPATH):
                self.run_path = self._text(strings + value)

    def _read_versions(self, offset: int, files: int, strings: int) -> None:
        for _ in range(files):
            _, count, _, first, following = struct.unpack_from("<HHIII", self._data, offset)
            entry = offset + first
            for _ in range(count):
                _, _, _, name, step = struct.unpack_from("<IHHII", self._data, entry)
                self.versions.add(self._text(strings + name))
                entry += step
            offset += following

    def _read_symbols(self, offset: int, length: int, strings: int, versions_at: int | None) -> None:
        symbols = struct.iter_unpack("<IBBHQQ", self._data[offset : offset + length])
        for i, (name, info, _, section, _, _) in enumerate(symbols):
            if i == 0 or (section == 0 and info >> 4 == _WEAK):
                continue  # the empty one; those that may be missing
            if section:
                self.exports.add(self._text(strings + name))
                continue
            (version,) = struct.unpack_from("<H", self._data, versions_at + 2 * i) if versions_at is not None else (0,)
            self.imports[self._text(strings + name)] = version & 0x7FFF > 1

    def newest(self, prefix: str) -> tuple[int, ...]:
        """The newest version it needs of a kind such as "GLIBC", as numbers; empty if none."""
        found = [v.split("_", 1)[1] for v in self.versions if v.split("_", 1)[0] == prefix]
        return max((tuple(int(n) for n in v.split(".")) for v in found if v[0].isdigit()), default=())
