"""The gRPC server as its container starts it, with an empty unary method beside ours on the same server."""

import sys

import grpc

from keyrail.ports import Services
from keyrail.settings import Settings
from keyrail.triggers import grpc_server

EMPTY = "/bench.Bench/Empty"


class Server(grpc_server.GrpcServer):
    def __init__(self, settings: Settings, services: Services) -> None:
        empty = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
        super().__init__(settings, services, {"bench.Bench": {"Empty": empty}})


if __name__ == "__main__":
    sys.exit(grpc_server.main(Server))
