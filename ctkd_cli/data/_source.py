"""A file of the user's: found, decoded, and refused in words that name it."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ctkd_cli.data import _packed
from ctkd_cli.errors import InputError, Problem, nearest

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Source:
    """where: the settings key that named the file (`target.train`), or FILE for an argument."""

    path: Path
    where: str

    @classmethod
    def find(cls, file: str | Path, where: str) -> Source:
        """A file that is there, can be read and is not empty. Raises InputError.

        Nothing is read: what comes through a pipe can be read only once.
        """
        source = cls(Path(file), where)
        try:
            source = cls(source.path.expanduser(), where)
            status = source.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            siblings = [sibling.name for sibling in source.path.parent.glob("*")]
            close = nearest(source.path.name, siblings)
            raise source.refuse(
                "no such file", nearest=str(source.path.parent / close) if close else ""
            ) from None
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~ of nobody
            raise source.refuse("this is no file's name", str(error)[:200]) from None
        if stat.S_ISDIR(status.st_mode):
            raise source.refuse("this is a folder, not a file")
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            raise source.refuse("this is a device, not a file")  # /dev/zero never ends
        if not os.access(
            source.path, os.R_OK, effective_ids=os.access in os.supports_effective_ids
        ):
            raise source.refuse("this file cannot be read", "permission denied")
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            raise source.refuse("this file is empty")
        return source

    def text(self, encoding: str | None = None) -> str:
        """All of the file. encoding: None is UTF-8, or UTF-16 with a byte order mark. Raises
        InputError."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise self.refuse("this file cannot be read", error.strerror or str(error)) from None
        if _packed.is_packed(self.path):
            with self._unpacked() as stream:
                data = self._read(stream)
        return self.decode(data, encoding)

    def _unpacked(self) -> IO[bytes]:
        try:
            return _packed.unpacked(self.path)
        except _packed.NotOneFile as error:
            raise self.refuse(
                "this archive does not hold one file", str(error),
                remedy=f"unpack it, and name one: {self.where}=FILE",
            ) from None  # fmt: skip
        except _packed.TORN as error:
            raise self._torn(error) from None

    def _read(self, stream: IO[bytes]) -> bytes:
        try:
            return stream.read()
        except _packed.TORN as error:
            raise self._torn(error) from None

    def _torn(self, error: Exception) -> InputError:
        return self.refuse("this compressed file is torn", str(error)[:200])

    def lines(self, encoding: str | None = None, newline: str = "") -> Iterator[str]:
        """The same text line by line, read as it is asked for. newline: as in `open`. Raises
        InputError."""
        if not self.path.is_file():  # a pipe
            yield from io.StringIO(self.text(encoding), newline=newline)
            return
        with self._unpacked() if _packed.is_packed(self.path) else self.path.open("rb") as stream:
            try:
                mark = stream.peek(2)[:2]  # type: ignore[attr-defined]
            except _packed.TORN as error:
                raise self._torn(error) from None
            chosen = encoding or ("utf-16" if mark in UTF16_MARKS else "utf-8")
            try:
                with io.TextIOWrapper(stream, chosen, newline=newline) as text:
                    for number, line in enumerate(text):
                        if "\0" in line:
                            break
                        yield line if number else line.removeprefix("\ufeff")
                    else:
                        return
            except (UnicodeDecodeError, LookupError, ValueError):
                pass
            except _packed.TORN as error:
                raise self._torn(error) from None
        self.text(encoding)  # which says what is wrong, and where

    def decode(self, data: bytes, encoding: str | None = None) -> str:
        """Bytes of the file as text, without a byte order mark. Raises InputError."""
        if encoding is None:
            encoding = "utf-16" if data.startswith(UTF16_MARKS) else "utf-8"
        try:
            text = data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise self.refuse(
                f"line {line} is not {encoding}",
                f"byte 0x{data[error.start]:02x}",
                remedy=self.setting("encoding", "latin-1 (or cp1252, utf-16, ...)")
                or "save it as UTF-8",
            ) from None
        except (LookupError, ValueError):
            raise InputError(
                Problem(
                    "no such encoding",
                    where=self._key("encoding"),
                    got=encoding,
                    allowed="utf-8, utf-16, latin-1, cp1252, ...",
                )
            ) from None
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            raise self.refuse(
                f"line {line} holds a NUL byte: this is no text file, or in another encoding",
                remedy=self.setting("encoding", "utf-16-le, or mend the file")
                or "save it as UTF-8",
            )
        return text

    def require_distinct(self, columns: Sequence[str]) -> None:
        """Raise InputError when two columns have one name."""
        if repeated := sorted({name for name in columns if columns.count(name) > 1}):
            raise self.refuse(
                "the header names a column twice", ", ".join(map(json.dumps, repeated))
            )

    def refuse(self, what: str, found: str = "", *, allowed: str = "", nearest: str = "",
               remedy: str = "") -> InputError:  # fmt: skip
        """The error that says what is wrong with this file."""
        path = str(self.path)[:300]
        got = f"{path}: {found}" if found else path
        return InputError(Problem(what, self.where, got, allowed, nearest, remedy))

    def setting(self, key: str, value: str) -> str:
        """`target.format=csv`, where the file was named by a setting that has such a sibling."""
        return f"{self._key(key)}={value}" if "." in self.where else ""

    def _key(self, name: str) -> str:
        return f"{self.where.rpartition('.')[0]}.{name}"
