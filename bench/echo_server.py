"""A bare grpc.aio server that echoes bytes: the least that a Python gRPC server can do. Run by bench_server.py."""

from __future__ import annotations

import asyncio
import sys

import grpc
import grpc.aio
import uvloop


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every method with its own request."""

    def __init__(self) -> None:
        self._method = grpc.unary_unary_rpc_method_handler(self.echo)

    async def echo(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return request

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return self._method


async def main() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"echo at 127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    if "--uvloop" in sys.argv:
        uvloop.run(main())
    else:
        asyncio.run(main())
