"""The sink `file:<tenant>/<name>`: a file below one folder, mode 0600, for local use.

Its one line of JSON: {"api_key": "<whole key>", "key_id": ..., "generation": n, "version": v}. Replaced by renaming,
so that a reader sees the old one or the new one; compared and written under a lock on the folder.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyrail.domain.errors import DeliveryFailed
from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import Delivered


class FileKeyDelivery:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, sink: Sink) -> Delivered | None:
        try:
            document = json.loads(self._path(sink).read_text())
            return Delivered(str(document["api_key"]), int(document["version"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeliveryFailed(f"the sink's file can't be read: {type(error).__name__}") from error

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        path = self._path(sink)
        document = {"api_key": key, "key_id": key_id, "generation": generation, "version": version + 1}
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path.parent) as folder:
                held = self.read(sink)
                if (held.version if held else 0) != version:
                    return False
                _replace(path, json.dumps(document) + "\n")
                os.fsync(folder)  # the name, too
                return True
        except OSError as error:
            raise DeliveryFailed(f"the sink's file can't be written: {type(error).__name__}") from error

    def _path(self, sink: Sink) -> Path:
        return self._folder.joinpath(*sink.segments)


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """The folder's descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """On disk before the name points to it: a crash leaves the old file or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
