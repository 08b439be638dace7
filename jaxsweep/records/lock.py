"""One writer a run directory: a lock that the system takes back when its process ends, however it ends."""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from jaxsweep.errors import RequestError
from jaxsweep.records.rundir import LOCK

if sys.platform != "win32":  # where nothing keeps a second writer out
    import fcntl

TRIES, MOMENT = 50, 0.01  # to read who has it, and the seconds between them


class Lock:
    """The right to write into a run directory, from when this is made to `release`.

    The lock is the system's, on a file that holds the number of the process, for people: a file that a killed process
    leaves behind locks nobody out. `left_behind` tells whether one has.

    Raises:
        RequestError: another process writes into the directory.
        OSError: the file cannot be written.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / LOCK
        while True:
            try:
                self._file: IO[str] | None = self.path.open("a+")
            except OSError as error:
                raise OSError(f"{run} cannot be written ({error.strerror or error})") from error
            if not self._taken(self._file):
                holder = self._holder(self._file)
                self._file.close()
                who = f"process {holder}" if holder else "another process"
                raise RequestError(f"{run} is being written by {who}: wait until it ends, or name another directory")
            if self._is_there(self._file):
                break
            self._file.close()  # its last holder has removed it since it was opened
        self._file.seek(0)
        self.left_behind = bool(self._file.read())
        try:
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()
        except OSError as error:
            with suppress(OSError):  # which closing the file raises once more
                self.release()
            raise OSError(f"{run} cannot be written ({error.strerror or error})") from error

    @staticmethod
    def _taken(file: IO[str]) -> bool:
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    @staticmethod
    def _holder(file: IO[str]) -> str:
        """Return the number of the process that has the lock, which it writes a moment after it has taken that."""
        for _ in range(TRIES):
            file.seek(0)
            if holder := file.read().strip():
                return holder
            time.sleep(MOMENT)
        return ""

    def _is_there(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let others write."""
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                if self._is_there(file):  # and not another's, in a directory that was made anew
                    self.path.unlink(missing_ok=True)
