"""Sinks of several kinds, each by its own adapter."""

from collections.abc import Mapping

from keyrail.domain.errors import DeliveryFailed
from keyrail.domain.sinks import Sink
from keyrail.rotation_ports import Delivered, KeyDelivery


class DeliveryByKind:
    def __init__(self, by_kind: Mapping[str, KeyDelivery]) -> None:
        self._by_kind = by_kind

    def read(self, sink: Sink) -> Delivered | None:
        return self._of(sink).read(sink)

    def write(self, sink: Sink, key: str, key_id: str, generation: int, version: int) -> bool:
        return self._of(sink).write(sink, key, key_id, generation, version)

    def _of(self, sink: Sink) -> KeyDelivery:
        delivery = self._by_kind.get(sink.kind)
        if delivery is None:
            raise DeliveryFailed(f"this deployment has no sink of the kind {sink.kind}")
        return delivery
