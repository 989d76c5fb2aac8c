"""The inference service: what a flower probably is, for whoever has a key with ml:infer.

It asks the data service for the flower, by a key of its own.

python -m inference.main <listen on> <Keyrail's address> <the data service's> <folder of the agent's files>
"""

import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pipeline_pb2
import pipeline_pb2_grpc

from inference.model import Model
from keyrail_client import SECONDS, ApiKey, Keyrail, Refused
from mtls import Guard, Peer, Tls, serve_until_stopped

CONFIG = "models/iris"
START_SECONDS = 30.0  # for the data service to be there


class Flowers:
    """The data service, called with this service's own key."""

    def __init__(self, peer: Peer, key: ApiKey) -> None:
        self._peer, self._key = peer, key

    def get(self, flower_id: int) -> Any:
        asked = pipeline_pb2.FlowerId(id=flower_id)
        return self._call(lambda data, sent: data.GetFlower(asked, metadata=sent, timeout=SECONDS))

    def all(self) -> list[Any]:
        """Waits until the data service is up."""
        asked, how = pipeline_pb2.AllFlowers(), {"timeout": START_SECONDS, "wait_for_ready": True}
        found: list[Any] = self._call(lambda data, sent: list(data.ListFlowers(asked, metadata=sent, **how)))
        return found

    def _call(self, rpc: Any) -> Any:
        def call(key: str) -> Any:
            try:
                return rpc(pipeline_pb2_grpc.DataStub(self._peer.channel()), (("authorization", f"Bearer {key}"),))
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    raise Refused from error
                raise

        return self._key.call(call)


def measures_of(flower: Any) -> list[float]:
    return [flower.sepal_length, flower.sepal_width, flower.petal_length, flower.petal_width]


class Inference(pipeline_pb2_grpc.InferenceServicer):
    def __init__(self, model: Model, flowers: Flowers, guard: Guard) -> None:
        self._model, self._flowers, self._guard = model, flowers, guard

    def Infer(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._guard.require("ml:infer", context)
        try:
            flower = self._flowers.get(request.id)
        except (Refused, grpc.RpcError) as error:
            if isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.NOT_FOUND:
                context.abort(grpc.StatusCode.NOT_FOUND, "no such flower")
            context.abort(grpc.StatusCode.UNAVAILABLE, "no data right now")  # nothing that the caller did
        species, probability = self._model.guess(measures_of(flower))
        return pipeline_pb2.Guess(species=species, probability=probability)


def trained(flowers: Flowers, config: dict[str, Any]) -> Model:
    rows = flowers.all()
    measures = np.array([measures_of(row) for row in rows])
    return Model(measures, [row.species for row in rows], int(config["rounds"]), config["rate"])


def main(address: str, keyrail_address: str, data_address: str, folder: str) -> None:
    tls = Tls(Path(folder))
    keyrail = Keyrail(Peer(tls, keyrail_address, "keyrail.svc").channel)
    flowers = Flowers(Peer(tls, data_address, "data.acme.svc"), ApiKey(Path(folder) / "api-key"))
    service = Inference(trained(flowers, keyrail.config(CONFIG)), flowers, Guard(keyrail))
    serve_until_stopped(address, tls, lambda server: pipeline_pb2_grpc.add_InferenceServicer_to_server(service, server))


if __name__ == "__main__":
    main(*sys.argv[1:])
