"""What can happen to the files of a build: the kinds of damage, and what each file is."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

Damaging = Callable[[Path, random.Random], None]


def delete(path: Path, _chance: random.Random) -> None:
    """It is gone."""
    path.unlink()


def truncate(path: Path, _chance: random.Random) -> None:
    """Only its first half is left."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path, _chance: random.Random) -> None:
    """A file without content, as a full disk leaves it."""
    path.write_bytes(b"")


def flip_bit(path: Path, chance: random.Random) -> None:
    """One bit is another one, as a bad disk or memory makes it."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def change_digit(path: Path, chance: random.Random) -> None:
    """One digit is another one, so that the file still makes sense; a bit where it has no digit."""
    content = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit() and byte < 128]
    if path.suffix != ".json" or not digits:
        flip_bit(path, chance)
        return
    place = chance.choice(digits)
    content[place] = ord("0") + (content[place] - ord("0") + chance.randint(1, 9)) % 10
    path.write_bytes(content)


def make_folder(path: Path, _chance: random.Random) -> None:
    """An empty folder is in its place."""
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Damaging] = {
    function.__name__: function for function in (delete, truncate, empty, flip_bit, change_digit, make_folder)
}


def files_of(out: Path) -> list[str]:
    """Every file of a build whose damage must be found, by its path in the folder of the build."""
    spared = ("hq.build/logs", "hq.build/lock")
    paths = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    return [path for path in paths if not path.startswith(spared)]


def file_for_folder(folder: Path) -> None:
    """A file is in the place of a folder, which is gone with its content."""
    shutil.rmtree(folder)
    folder.write_text("not a folder")
