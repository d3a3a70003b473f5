"""One process per data directory: an advisory lock that the operating system drops when we die.

Invariant: a lock file that is left over from a killed process does not lock anything. This is the only
file that knows how the operating systems lock.
"""

import os
import sys
import time
from pathlib import Path
from typing import Self

from overround.storage.errors import StoreError

_LOCK_OFFSET = 1 << 30
"""The locked byte lies far behind the text, which stays readable where locks are mandatory (Windows)."""

_SIGN_OFFSET = _LOCK_OFFSET + 1
"""A second byte, held as a sign of life: looking at it never comes in the way of taking the lock."""

_SIGN_TRIES = 500
_SIGN_PAUSE_S = 0.01


LOCK_NAME = "overround.lock"


class AlreadyRunning(StoreError):
    """Another process uses this data directory."""


if sys.platform == "win32":
    import msvcrt

    _LOOK_MODE = os.O_RDWR

    def _try_lock(fd: int, offset: int) -> None:
        os.lseek(fd, offset, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _try_look(fd: int, offset: int) -> None:
        _try_lock(fd, offset)
        os.lseek(fd, offset, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    _LOOK_MODE = os.O_RDONLY

    def _try_lock(fd: int, offset: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)

    def _try_look(fd: int, offset: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, offset)


def holder(directory: Path) -> int | None:
    """Return the process that holds ``directory``, ``None`` if none does. Disturbs nobody.

    A process whose number cannot be read is 0. Raises ``StoreError`` if the lock file cannot be read.
    """
    path = directory.resolve() / LOCK_NAME
    if path in DirectoryLock._held:  # closing the file once more would give our own lock away
        return os.getpid()
    try:
        fd = os.open(path, _LOOK_MODE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}: allow reading it") from error
    try:
        _try_look(fd, _SIGN_OFFSET)
    except OSError:
        text = os.read(fd, 32).strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(fd)


class DirectoryLock:
    """A held lock on a data directory; released by :meth:`release` or by the end of the process.

    On POSIX the lock belongs to the process: the same process may not take it twice, which is refused
    here by a set of held paths.
    """

    _held: set[Path] = set()  # noqa: RUF012 - shared on purpose: POSIX record locks are per process

    def __init__(self, directory: Path) -> None:
        """Take the lock, creating the directory if needed.

        Raises:
            AlreadyRunning: if it is taken.
            StoreError: if the directory or the lock file cannot be made.
        """
        self._path = directory.resolve() / LOCK_NAME
        if self._path in DirectoryLock._held:
            raise AlreadyRunning(f"{self._path}: this process holds the data directory already")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"{directory}: {error.strerror}: choose another service.data_dir") from error
        try:
            _try_lock(self._fd, _LOCK_OFFSET)
        except OSError as error:
            os.lseek(self._fd, 0, os.SEEK_SET)
            owner = os.read(self._fd, 32)
            os.close(self._fd)
            raise AlreadyRunning(
                f"{directory}: another instance (process {owner.decode('ascii', 'replace').strip() or '?'}) "
                "uses this data directory: stop it or choose another service.data_dir"
            ) from error
        self._show_life(directory)
        DirectoryLock._held.add(self._path)
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, f"{os.getpid()}\n".encode("ascii"))

    def _show_life(self, directory: Path) -> None:
        """Hold the sign too; somebody who looks at it holds it for a moment only."""
        for _ in range(_SIGN_TRIES):
            try:
                _try_lock(self._fd, _SIGN_OFFSET)
            except OSError:
                time.sleep(_SIGN_PAUSE_S)
            else:
                return
        os.close(self._fd)
        raise StoreError(f"{directory}: somebody keeps the lock file locked: end that process")

    def release(self) -> None:
        """Give the directory free. The file stays: removing it would race with the next process."""
        if self._path in DirectoryLock._held:
            DirectoryLock._held.discard(self._path)
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
