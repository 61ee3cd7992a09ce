"""A bare gRPC server that sends back what it gets: what gRPC costs by itself.

`python -m benchmarks._serving_echo PORT`
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

_THREADS = 8  # as many as the server has by default on two cores


class _Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        return grpc.unary_unary_rpc_method_handler(lambda message, context: message)


def main(port: str) -> None:
    server = grpc.server(ThreadPoolExecutor(_THREADS), [_Echo()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
