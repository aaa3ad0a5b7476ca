# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where secrets might have got to: output, files, the cloud, the process list. And whether they are there."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from integration.conftest import Cloud, Controller

PIECE = 12
"""Characters in a row that give a secret away: one that was cut, or masked in part, is a leak too."""
SIMULATED_TOKEN = re.compile(rf"MII[0-9a-f]{{{PIECE}}}")
"""What the simulator gives for a password; nobody but it and the client knows the text."""
SAMPLE_SECONDS = 0.1


def _spellings(secret: str) -> set[str]:
    quoted = json.dumps(secret)[1:-1]
    return {secret, quoted, json.dumps(quoted)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, "")}


def _encoded(login: str) -> set[str]:
    """As HTTP's basic authentication spells a user with its password."""
    return {base64.b64encode(login.encode()).decode()}


def _pieces(text: str) -> set[str]:
    step = PIECE // 2
    return {text[start : start + PIECE] for start in range(0, max(1, len(text) - PIECE + 1), step)}


@dataclass(frozen=True)
class Secrets:
    """Secrets by name; `logins` are pairs as basic authentication has them, `user:password`."""

    texts: dict[str, str]
    logins: tuple[str, ...] = ()
    pieces: dict[str, set[str]] = field(init=False)

    def __post_init__(self) -> None:
        spelled = {name: _spellings(secret) for name, secret in self.texts.items()}
        spelled |= {f"login {number}": _encoded(login) for number, login in enumerate(self.logins)}
        pieces = {name: set().union(*map(_pieces, texts)) for name, texts in spelled.items()}
        object.__setattr__(self, "pieces", pieces)

    def in_text(self, text: str) -> set[str]:
        """The names of those that can be read in it."""
        found = {name for name, pieces in self.pieces.items() if any(piece in text for piece in pieces)}
        return found | ({"a token of the simulator"} if SIMULATED_TOKEN.search(text) else set())

    def in_files(self, folder: Path, given: Collection[Path]) -> dict[str, set[str]]:
        """By file; those that were `given` the secrets are left out."""
        paths = (path for path in folder.rglob("*") if path.is_file() and path not in given)
        found = {str(path): self.in_text(path.read_bytes().decode("utf-8", "replace")) for path in paths}
        return {path: names for path, names in found.items() if names}

    def in_cloud(self, cloud: Cloud) -> set[str]:
        """In marks and other metadata, and in the addresses that were asked for."""
        told = [cloud.state(), cloud.simulator.ask("/requests")]
        return self.in_text(json.dumps(told, ensure_ascii=False))


@dataclass
class Watch:
    """What was seen of a controller's processes while they ran."""

    commands: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)


@contextmanager
def watched(controller: Controller) -> Iterator[Watch]:
    """Look at the processes of a controller again and again, as `ps` and /proc show them."""
    seen, done = Watch(), threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_SECONDS):
            for command, environment in _processes(controller):
                seen.commands.add(command)
                seen.environments.add(environment)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def _processes(controller: Controller) -> Iterable[tuple[str, str]]:
    home = f"HOME={controller.environment['HOME']}"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().decode("utf-8", "replace")
            if home in environment.split("\0"):
                yield (folder / "cmdline").read_bytes().decode("utf-8", "replace"), environment
        except OSError:  # it has ended meanwhile
            continue
