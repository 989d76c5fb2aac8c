"""The data service: flowers in PostgreSQL, for whoever has a key with data:read.

python -m data.main <listen on> <Keyrail's address> <folder of the agent's files>
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString

import grpc
import pipeline_pb2
import pipeline_pb2_grpc
from psycopg import Connection, OperationalError
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from keyrail_client import SECONDS, Keyrail
from mtls import Guard, Peer, Tls, serve_until_stopped

CONFIG = "databases/flowers"
CONNECTIONS = 4
CONNECTION_SECONDS = 2.0  # in production minutes: here each rotation of the password shall be seen


class Data(pipeline_pb2_grpc.DataServicer):
    def __init__(self, pool: ConnectionPool[Connection[dict[str, Any]]], guard: Guard) -> None:
        self._pool, self._guard = pool, guard

    def GetFlower(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._guard.require("data:read", context)
        found = self._flowers(context, "select * from flowers where id = %s", [request.id])
        if not found:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such flower")
        return found[0]

    def ListFlowers(self, _request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self._guard.require("data:read", context)
        return iter(self._flowers(context, "select * from flowers order by id"))

    def _flowers(self, context: grpc.ServicerContext, query: LiteralString, values: Sequence[int] = ()) -> list[Any]:
        try:
            with self._pool.connection(SECONDS) as connection:
                rows = connection.execute(query, values).fetchall()
        except OperationalError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the database does not answer")
        return [pipeline_pb2.Flower(**row) for row in rows]


def pool_of(keyrail: Keyrail) -> ConnectionPool[Connection[dict[str, Any]]]:
    """Each new connection asks Keyrail for the password of that moment; those that stand need none any more."""

    def login() -> dict[str, Any]:
        found = keyrail.config(CONFIG)
        where = {"host": found["host"], "port": int(found["port"]), "dbname": found["database"]}
        return where | {"user": found["username"], "password": found["password"], "row_factory": dict_row}

    return ConnectionPool(
        kwargs=login, min_size=CONNECTIONS, max_size=CONNECTIONS, max_lifetime=CONNECTION_SECONDS, open=True
    )


def main(address: str, keyrail_address: str, folder: str) -> None:
    tls = Tls(Path(folder))
    keyrail = Keyrail(Peer(tls, keyrail_address, "keyrail.svc").channel)
    with pool_of(keyrail) as pool:
        pool.wait()
        service = Data(pool, Guard(keyrail))
        serve_until_stopped(address, tls, lambda server: pipeline_pb2_grpc.add_DataServicer_to_server(service, server))


if __name__ == "__main__":
    main(*sys.argv[1:])
