"""The one way to the KV v2 mount: read, create, replace and list its documents.

Reads go straight through the channel, for the sake of cold starts; writes and lists go through hvac.
A write whose outcome is unknown is looked up: DeadlineExceeded is raised only where looking can't tell.
"""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from keyrail.adapters.vault_channel import Call, Channel
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_paths import SecretPath
from keyrail.adapters.vault_replies import Denied, document, is_absent, is_cas_mismatch, parsed, refusal
from keyrail.adapters.vault_transport import Reply
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.ports import Metrics, NoMetrics


@dataclass(frozen=True, slots=True)
class Versioned:
    """A document as read. `version` is what a replacing write must name."""

    data: dict[str, Any]
    version: int


class VaultSession:
    """Safe to share among threads and to carry over a fork. Nothing is opened before the first call."""

    def __init__(
        self,
        config: VaultConfig,
        metrics: Metrics | None = None,
        elapsed_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._metrics = metrics or NoMetrics()
        self._elapsed_seconds = elapsed_seconds
        self._by_pid: dict[int, _Process] = {}

    def read(self, path: SecretPath) -> Versioned | None:
        """None where it is absent. Raises: Unavailable, Denied."""
        reply = self._process().channel.request(Call("read", "GET", f"/v1/{self._config.mount}/data/{path}"))
        if is_absent(reply):
            return None
        match document(reply):
            case {"data": {"data": dict(data), "metadata": {"version": int(version)}}}:
                return Versioned(data, version)
        raise Unavailable(f"Vault's answer to reading {path} is no KV v2 document")

    def look(self, path: SecretPath, version: int | None = None) -> tuple[dict[str, Any] | None, int]:
        """The newest version, or the given one, and its number: (None, n) where n was deleted or destroyed, (None, 0)
        where it is absent. Raises: Unavailable, Denied."""
        query = "" if version is None else f"?version={version}"
        reply = self._process().channel.request(Call("read", "GET", f"/v1/{self._config.mount}/data/{path}{query}"))
        found = parsed(reply) if is_absent(reply) else document(reply)
        match found:
            case {"data": {"data": dict() | None as data, "metadata": {"version": int(number)}}}:
                return data, number
            case {"errors": []}:
                return None, 0
        raise Unavailable(f"Vault's answer to reading {path} is no KV v2 document")

    def kept_versions(self, path: SecretPath) -> frozenset[int]:
        """Those that were neither deleted nor destroyed. Raises: Unavailable, Denied."""
        reply = self._process().channel.request(Call("read", "GET", f"/v1/{self._config.mount}/metadata/{path}"))
        if is_absent(reply):
            return frozenset()
        match document(reply):
            case {"data": {"versions": dict(versions)}}:
                return frozenset(
                    int(n) for n, each in versions.items() if not (each["destroyed"] or each["deletion_time"])
                )
        raise Unavailable(f"Vault's answer to reading the versions of {path} is none")

    def destroy_versions(self, path: SecretPath, versions: Collection[int]) -> None:
        """For good; those that are not there are passed over. Raises: Unavailable, Denied, DeadlineExceeded."""
        kv = self._process().hvac().secrets.kv.v2
        reply = kv.destroy_secret_versions(str(path), sorted(versions), mount_point=self._config.mount)
        if reply.status not in (200, 204) and not is_absent(reply):
            raise refusal(reply)

    def ask(self, method: Literal["GET", "POST"], path: SecretPath, body: bytes = b"") -> Reply:
        """Of an engine that is no KV v2: `path` below the mount, and whatever Vault answers.

        Raises: Unavailable, DeadlineExceeded.
        """
        verb = "read" if method == "GET" else "write"
        return self._process().channel.request(Call(verb, method, f"/v1/{self._config.mount}/{path}", body))

    def written_at(self, path: SecretPath) -> datetime | None:
        """When its newest version was written, by the server's clock; None where it is absent. Raises: Unavailable."""
        reply = self._process().channel.request(Call("read", "GET", f"/v1/{self._config.mount}/data/{path}"))
        if is_absent(reply):
            return None
        match document(reply):
            case {"data": {"metadata": {"created_time": str(text)}}}:
                try:
                    return datetime.fromisoformat(text)
                except ValueError:
                    pass
        raise Unavailable(f"Vault's answer to reading {path} does not say when it was written")

    def create(self, path: SecretPath, data: dict[str, Any]) -> Versioned | None:
        """None where it was made now; otherwise what stands there from before, and nothing is changed.

        Raises: Unavailable, Denied, DeadlineExceeded.
        """
        try:
            if self._write(path, data, cas=0, may_log_in_again=False) is not None:
                return None
        except Denied:
            # A policy with `create` alone answers a taken path with 403, too: only reading tells.
            standing = self.read(path)
            if standing is not None:
                return standing
            if self._write(path, data, cas=0) is not None:
                return None
        except DeadlineExceeded as unknown:
            standing = self._looked_up(path, unknown)
            return None if standing.data == data else standing
        standing = self.read(path)
        if standing is None:
            raise Unavailable(f"{path} was deleted but not purged: `metadata delete` makes room for a new one")
        return standing

    def replace(self, path: SecretPath, data: dict[str, Any], version: int) -> int | None:
        """The new version; None where the stored one is no longer `version`, and then nothing is changed.

        Raises: Unavailable, Denied, DeadlineExceeded.
        """
        if version < 1:
            return None  # Vault takes 0 for "create"; nothing stored has that version
        try:
            return self._write(path, data, cas=version)
        except DeadlineExceeded as unknown:
            standing = self._looked_up(path, unknown)
            if standing.version != version + 1:
                raise  # it may still arrive, or was written over since
            return standing.version if standing.data == data else None

    def list(self, folder: SecretPath | None) -> list[str]:
        """Names in ascending order, those of folders with a slash at the end; empty where there is no such folder.
        None is the mount itself.

        Raises: Unavailable, Denied.
        """
        kv = self._process().hvac().secrets.kv.v2
        reply = kv.list_secrets("" if folder is None else f"{folder}/", mount_point=self._config.mount)
        if is_absent(reply):
            return []
        match document(reply):
            case {"data": {"keys": list(names)}} if all(isinstance(name, str) for name in names):
                return sorted(names)
        raise Unavailable(f"Vault's answer to listing {folder} is no list of names")

    def delete(self, path: SecretPath) -> None:
        """All versions, for good; also where nothing is there. Raises: Unavailable, Denied, DeadlineExceeded."""
        kv = self._process().hvac().secrets.kv.v2
        reply = kv.delete_metadata_and_all_versions(str(path), mount_point=self._config.mount)
        if reply.status not in (200, 204) and not is_absent(reply):
            raise refusal(reply)

    def close(self) -> None:
        """Closes this process's idle connections; a later call opens new ones and logs in again."""
        process = self._by_pid.pop(os.getpid(), None)
        if process is not None:
            process.channel.close()

    def _write(self, path: SecretPath, data: dict[str, Any], cas: int, *, may_log_in_again: bool = True) -> int | None:
        kv = self._process().hvac(may_log_in_again=may_log_in_again).secrets.kv.v2
        reply = kv.create_or_update_secret(str(path), data, cas=cas, mount_point=self._config.mount)
        if is_cas_mismatch(reply):
            return None
        match parsed(reply):
            case {"data": {"version": int(version)}} if reply.status == 200:
                return version
        if reply.status < 300:
            raise DeadlineExceeded(f"Vault's answer to writing {path} does not say what became of it")
        raise refusal(reply)

    def _looked_up(self, path: SecretPath, unknown: DeadlineExceeded) -> Versioned:
        """What stands where a write may have arrived. Raises: `unknown` where nothing does, as it still may arrive."""
        try:
            standing = self.read(path)
        except Unavailable:
            raise unknown from None
        if standing is None:
            raise unknown
        return standing

    def _process(self) -> "_Process":
        pid = os.getpid()
        process = self._by_pid.get(pid)
        if process is None:
            process = self._by_pid.setdefault(pid, _Process(self._channel()))  # atomic: of several threads one wins
            for other in [known for known in self._by_pid if known != pid]:
                left_behind = self._by_pid.pop(other, None)
                if left_behind is not None:
                    left_behind.channel.close()  # our copies of the parent's connections; its own stay open
        return process

    def _channel(self) -> Channel:
        return Channel(self._config, self._metrics, self._elapsed_seconds)


class _Process:
    """What must not be shared over a fork. hvac is imported by the first write or list."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._clients: dict[bool, Any] = {}

    def hvac(self, *, may_log_in_again: bool = True) -> Any:
        from keyrail.adapters import vault_hvac

        client = self._clients.get(may_log_in_again)
        if client is None:
            client = vault_hvac.client(self.channel, may_log_in_again=may_log_in_again)
            self._clients[may_log_in_again] = client
        return client
