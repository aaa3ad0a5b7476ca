# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where marks are kept: in the cloud's metadata or in a file, either way with an owner, so that no two runs collide."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from .._cloud import ecs, evs
from .._cloud.api import Api
from .._cloud.errors import CloudError
from .._restore.commands import Holder
from .._restore.mark import (
    HSS_KEY,
    LEASE_KEY,
    LEASE_SECONDS,
    LONE_DISK_KEY,
    OWNER_KEY,
    PREFIX,
    REMOVED,
    Lease,
    Mark,
    Owner,
    decode,
    decode_lease,
    decode_owner,
    encode,
    encode_lease,
    encode_owner,
)
from .._restore.model import ErrorInfo, Failure
from .._restore.outcome import begun_since
from .._restore.steps import PASSING
from .clock import Clock
from .options import OptionError

FILE_SUFFIX = ".jsonl"
OPEN_TRIES = 3
OPEN_PAUSE_SECONDS = 2.0


class Journal(Protocol):
    """What a run needs of the place of its marks. Failures are returned, not raised."""

    def open(self, anchor: Holder) -> ErrorInfo | None:
        """Begin: nobody else may work under this run's name from now on."""

    def write(self, holder: Holder, marks: Sequence[tuple[str, Mark]], *, claim: bool) -> ErrorInfo | None: ...

    def owner_in(self, holder: Holder, metadata: Mapping[str, str], since: float = 0.0) -> ErrorInfo | None:
        """None if the holder, whose metadata was just read, is this run's; else whose it is.

        Who did not claim it after `since` does not count.
        """

    def renew(self) -> ErrorInfo | None: ...

    def close(self) -> None: ...


# -- who we are --------------------------------------------------------------------------------------------------------


def this_host() -> str:
    """A name for the place in which process numbers are unique: host, boot and process namespace."""
    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(source) if source.endswith("pid") else Path(source).read_text(encoding="ascii"))
        except OSError:
            parts.append("-")  # not Linux: host name alone, so a dead owner is told by its lease only
    return f"{parts[0][:40]}-{sha256(''.join(parts).encode()).hexdigest()[:8]}"


def this_process() -> str:
    return f"{os.getpid()}.{_started(os.getpid())}"


def _started(pid: int) -> str:
    """When a process was started, so that a number that was given again is not taken for the same process.

    "" for a process that has ended, also if nobody has fetched its exit status yet (proc(5): states Z and X).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if stat[0] in "ZX" else stat[19]
    except (OSError, IndexError):
        return "-"


def is_gone(worker: Owner | Lease) -> bool:
    """True only if its process is certainly not there any more."""
    pid, _dot, started = worker.process.partition(".")
    return worker.host == this_host() and pid.isdecimal() and started not in ("", "-") and _started(int(pid)) != started


def is_young(lease: Lease | None, now: float) -> bool:
    """Whether its process may still be working: renewed lately, and not known to be gone."""
    return lease is not None and bool(lease.nonce) and not is_gone(lease) and now - lease.renewed_at < LEASE_SECONDS


def _taken(holder: Holder, owner: str) -> ErrorInfo:
    return ErrorInfo(
        Failure.TAKEN,
        f"{holder.kind} {holder.id} is worked on by another run now ({owner})",
        remedy="Let that run finish; nothing more is done here to this server or disk.",
    )


# -- in the cloud ------------------------------------------------------------------------------------------------------


def read_metadata(api: Api, holder: Holder) -> Mapping[str, str]:
    """Raises CloudError."""
    return (ecs.server(api, holder.id) if holder.kind == "server" else evs.disk(api, holder.id)).metadata


def _write_metadata(api: Api, holder: Holder, values: Mapping[str, str]) -> ErrorInfo | None:
    try:
        if holder.kind == "server":
            ecs.write_metadata(api, holder.id, values)
        else:
            evs.write_metadata(api, holder.id, values)
    except CloudError as error:
        return error.info
    return None


class CloudJournal:
    """Marks in the metadata of servers, and of disks that have no server. Any controller can go on with them.

    The lease of the run `take_over` keeps nobody away.
    """

    def __init__(self, api: Api, run_id: str, clock: Clock, *, take_over: str = "", settle_seconds: float) -> None:
        self._api = api
        self._clock = clock
        self._take_over = take_over
        self._settle_seconds = settle_seconds
        self._owner = Owner(run_id, this_host(), this_process(), secrets.token_hex(4), anchor="")

    def _cloud_time(self) -> float:
        """Marks and leases carry the cloud's time, so that controllers with wrong clocks can compare them."""
        return self._clock.now() + self._api.skew_seconds

    def open(self, anchor: Holder) -> ErrorInfo | None:
        """Put the lease there if nobody else's lies there, and read it back a while later.

        Of those that begin at the same moment, before any of them could see another's lease, only the last one's
        stands by then, and only that one goes on.
        """
        self._owner = replace(self._owner, anchor=str(anchor))
        for tries_left in reversed(range(OPEN_TRIES)):
            failure = self._take_lease()
            if failure is None or failure.kind not in PASSING or not tries_left:
                return failure
            self._clock.sleep(failure.retry_after_seconds or OPEN_PAUSE_SECONDS)
        return None

    def _take_lease(self) -> ErrorInfo | None:
        failure = self.renew()
        if failure is None:
            self._clock.sleep(self._settle_seconds)
            failure = self._see_lease(written=True)
        return failure

    def _see_lease(self, *, written: bool) -> ErrorInfo | None:
        """Whether the lease that lies there is ours, or, if that may not be `written`, keeps nobody away."""
        try:
            lease = _read_lease(self._api, self._owner.anchor, {})
        except CloudError as error:
            return error.info
        anchor = _holder_of(self._owner.anchor)
        if lease is not None and lease.nonce == self._owner.nonce:
            return None
        if lease is not None and is_young(lease, self._cloud_time()) and (written or lease.run_id != self._take_over):
            return _taken(anchor, f"{lease.run_id} of {lease.host}")
        if not written:
            return None
        return ErrorInfo(
            Failure.BUSY,
            f"{anchor.kind} {anchor.id} does not show the lease that was written",
            remedy="Try again in a minute. If it stays so, something else writes its metadata: find out what.",
        )

    def write(self, holder: Holder, marks: Sequence[tuple[str, Mark]], *, claim: bool) -> ErrorInfo | None:
        now = self._cloud_time()
        values = {key: encode(replace(mark, at=now)) for key, mark in marks}
        owner = {OWNER_KEY: encode_owner(replace(self._owner, at=now))} if claim else {}
        return _write_metadata(self._api, holder, {**values, **owner})

    def owner_in(self, holder: Holder, metadata: Mapping[str, str], since: float = 0.0) -> ErrorInfo | None:
        owner = decode_owner(metadata.get(OWNER_KEY))
        if owner is not None and owner.nonce == self._owner.nonce:
            return None
        if owner is None or owner.at <= since:
            return ErrorInfo(
                Failure.TAKEN,
                f"the owner of {holder.kind} {holder.id} was removed: another run, a person, or the restore itself has"
                " replaced its metadata",
                code=REMOVED,
                remedy="Nothing more is done here to this server or disk. If no other run is at work on it, run the"
                " same playbook again: it looks at what was done.",
            )
        return _taken(holder, f"{owner.run_id} of {owner.host}")

    def renew(self) -> ErrorInfo | None:
        """Not over the young lease of a run that has taken over: it would look dead to others."""
        return self._see_lease(written=False) or self._write_lease(self._owner.nonce, self._cloud_time())

    def close(self) -> None:
        """Give the lease back, if it is still ours, so that the next run need not wait for it to grow old."""
        if self._owner.anchor and self._see_lease(written=True) is None:
            self._write_lease("", 0.0)

    def _write_lease(self, nonce: str, renewed_at: float) -> ErrorInfo | None:
        lease = Lease(self._owner.run_id, self._owner.host, self._owner.process, nonce, renewed_at)
        return _write_metadata(self._api, _holder_of(self._owner.anchor), {LEASE_KEY: encode_lease(lease)})


def _holder_of(anchor: str) -> Holder:
    kind, _colon, name = anchor.partition(":")
    return Holder(kind, name)


def find_workers(
    api: Api, holders: Mapping[Holder, Mapping[str, str]], now: float
) -> Iterator[tuple[Holder, Owner | Lease]]:
    """Who may be at work on these holders, whose metadata is given: the owners of open marks whose lease is young, and
    those whose lease lies here, for it lies at a server that they will come to."""
    leases: dict[str, Lease | None] = {}
    for holder, metadata in holders.items():
        here = decode_lease(metadata.get(LEASE_KEY))
        owner = decode_owner(metadata.get(OWNER_KEY))
        if here is not None and is_young(here, now):
            yield holder, here
        elif owner is not None and has_open_mark(metadata):
            if owner.anchor not in leases:
                leases[owner.anchor] = _read_lease(api, owner.anchor, holders)
            lease = leases[owner.anchor]
            if lease is not None and lease.nonce == owner.nonce and is_young(lease, now):
                yield holder, owner


def has_open_mark(metadata: Mapping[str, str]) -> bool:
    marks = (decode(value) for key, value in metadata.items() if key.startswith(PREFIX))
    return any(mark is not None and mark.open for mark in marks)


def _read_lease(api: Api, anchor: str, known: Mapping[Holder, Mapping[str, str]]) -> Lease | None:
    holder = _holder_of(anchor)
    if holder in known:
        return decode_lease(known[holder].get(LEASE_KEY))
    try:
        return decode_lease(read_metadata(api, holder).get(LEASE_KEY))
    except CloudError as error:
        if error.info.kind is Failure.MISSING:
            return None
        raise


# -- in a file ---------------------------------------------------------------------------------------------------------


class FileJournal:
    """Marks in a file of this controller, flushed to the disk before the call that they announce.

    The lock of the file is the lease: it ends with the process. For clouds in which metadata may not be written.
    """

    def __init__(self, directory: Path, run_id: str, clock: Clock) -> None:
        self._path = directory / f"{quote(run_id, safe='')}{FILE_SUFFIX}"
        self._run_id = run_id
        self._clock = clock
        self._file = -1
        self._read_up_to: Mapping[Path, int] = {}
        """How long the files of the other runs were when this one began: its plan knows nothing of what came later."""
        self._not_before: Mapping[str, float] = {}
        """Marks are later than those of the other runs, so that a clock that was set back meanwhile hides none."""

    def open(self, anchor: Holder) -> ErrorInfo | None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _flush_directory(self._path.parent)
            with _only_one(self._path.parent):
                self._read_up_to = {path: _size(path) for path in self._others()}
                self._not_before = {about: mark.at + 1 for about, mark in _newest_marks(self._others()).items()}
        except BlockingIOError:
            return _taken(anchor, f"{self._run_id}, another process of this controller")
        except OSError as error:
            self.close()
            return _unwritable(self._path, error)
        return None

    def write(self, holder: Holder, marks: Sequence[tuple[str, Mark]], *, claim: bool) -> ErrorInfo | None:
        try:
            if not claim:
                self._append(holder, marks)
                return None
            with _only_one(self._path.parent):
                taken = self._taken(holder, marks)
                if taken is None:
                    self._append(holder, marks)
                return taken
        except OSError as error:
            return _unwritable(self._path, error)

    def _others(self) -> Iterator[Path]:
        return (path for path in _files(self._path.parent) if path != self._path)

    def _taken(self, holder: Holder, marks: Sequence[tuple[str, Mark]]) -> ErrorInfo | None:
        """Whether another run of this folder that is at work has an open mark for one of these, or any has written one
        since this run began: hours may pass before its turn comes, and that run may have ended meanwhile."""
        wanted = {_about(holder, key) for key, _mark in marks}
        for path in self._others():
            if _is_locked(path) and any(m.open for about, m in _last_marks(path).items() if about in wanted):
                return _taken(holder, f"{_run_of(path)}, another process of this controller")
            if wanted & _last_marks(path, self._read_up_to.get(path, 0)).keys():
                return begun_since(_run_of(path), f"{holder.kind} {holder.id}")
        return None

    def _append(self, holder: Holder, marks: Sequence[tuple[str, Mark]]) -> None:
        now = self._clock.now()
        lines = []
        for key, mark in marks:
            at = max(now, self._not_before.get(_about(holder, key), now))
            lines.append(json.dumps({"holder": str(holder), "key": key, "mark": encode(replace(mark, at=at))}))
        rest = "\n".join(["", *lines, ""]).encode()  # begins a new line: the last one may have been cut off by a crash
        if not os.fstat(self._file).st_nlink:
            raise OSError(errno.ENOENT, "it was removed")  # what is written now, nobody will ever read
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)

    def owner_in(self, holder: Holder, metadata: Mapping[str, str], since: float = 0.0) -> ErrorInfo | None:
        return None  # nobody else can hold the lock

    def renew(self) -> ErrorInfo | None:
        return None

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass(frozen=True)
class FileMarks:
    """All that the files of a directory say: the newest mark for each key, and which runs are at work."""

    marks: Mapping[str, tuple[Mark, ...]]
    at_work: frozenset[str]


def read_files(directory: Path) -> FileMarks:
    """Raises OptionError if a file cannot be read. A line cut off by a crash was never acted on and is left out."""
    try:
        paths = _files(directory)
        at_work = frozenset(_run_of(path) for path in paths if _is_locked(path))
        return FileMarks({about: (mark,) for about, mark in _newest_marks(paths).items()}, at_work)
    except OSError as error:
        raise OptionError(
            f"journal_dir: {error.filename or directory} cannot be read: {error.strerror}. It may say what an earlier"
            " run has done, so make it readable; nothing else belongs into that folder"
        ) from None


def _files(directory: Path) -> list[Path]:
    """Raises OSError for a folder that is there and cannot be read, in which `glob` would find nothing."""
    try:
        return sorted(path for path in directory.iterdir() if path.name.endswith(FILE_SUFFIX))
    except FileNotFoundError:
        return []


def _newest_marks(paths: Iterable[Path]) -> dict[str, Mark]:
    """Of one file the last mark counts, whatever the clock said; of several files the newest."""
    newest: dict[str, Mark] = {}
    for path in paths:
        for about, mark in _last_marks(path).items():
            # as in the cloud, the mark of a run that took another one over stands in that one's place
            if about not in newest or mark.at >= newest[about].at:
                newest[about] = mark
    return newest


def _run_of(path: Path) -> str:
    return unquote(path.name.removesuffix(FILE_SUFFIX))


def _last_marks(path: Path, start: int = 0) -> dict[str, Mark]:
    return {about: mark for about, mark in _read_file(path, start) if mark is not None}


def _read_file(path: Path, start: int = 0) -> Iterable[tuple[str, Mark | None]]:
    """A file that was removed meanwhile says nothing."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return map(_read_line, file.read().decode(errors="replace").splitlines())
    except FileNotFoundError:
        return ()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_line(line: str) -> tuple[str, Mark | None]:
    try:
        entry = json.loads(line)
        kind, _colon, name = entry["holder"].partition(":")
        key = str(entry["key"])
        mark = decode(entry["mark"], server_id=name if kind == "server" else "")
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", None
    return _about(Holder(kind, name), key), mark


def _about(holder: Holder, key: str) -> str:
    """What the mark under this key is about: a disk's id, or a server that HSS restores."""
    if key == LONE_DISK_KEY:
        return holder.id
    return f"{HSS_KEY}:{holder.id}" if key == HSS_KEY else key.removeprefix(PREFIX)


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """One process at a time looks at the other runs of the folder and makes its claim."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _flush_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> ErrorInfo:
    reason = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return ErrorInfo(
        Failure.REFUSED,
        f"the journal {path} cannot be written: {reason}",
        remedy="Give a journal_dir that can be written, with nothing but journals in it, or use journal: cloud.",
    )
