"""Addresses to bind."""

import socket

from keras_attn.serving.server.flags import Options


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_port_is_free(host: str, port: int) -> None:
    """Fails early: models take long to load, and the port opens after them.

    Raises:
        OSError: Something listens there, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            wanted = join_address(host, port)
            raise OSError(
                error.errno, f"Could not bind {wanted}: {error.strerror}"
            ) from error


def check_ports_are_free(options: Options) -> None:
    """Looks at the ports of both APIs.

    Raises:
        OSError: As `check_port_is_free`.
    """
    check_port_is_free(options.host, options.port)
    if options.rest_api_port > 0 and options.rest_api_port != options.port:
        check_port_is_free(options.rest_host or options.host, options.rest_api_port)
