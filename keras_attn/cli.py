"""`keras-attn quickstart | serve | ask | inspect`.

Keras, TensorFlow and gRPC are imported by the commands that need them, once their
arguments are known to be right.
"""

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    forwarded = {"quickstart": _quickstart, "serve": _serve}
    if arguments and arguments[0] in forwarded:  # they read their own flags
        return forwarded[arguments[0]](arguments[1:]) or 0
    parsed = _parser().parse_args(arguments)
    return parsed.run(parsed)


def _quickstart(arguments: Sequence[str]) -> int | None:
    from keras_attn import quickstart

    return quickstart.main(arguments)


def _serve(arguments: Sequence[str]) -> int:
    from keras_attn.serving.server import command

    return command.main(arguments)


def _ask(arguments: argparse.Namespace) -> int:
    from keras_attn.serving.client import command

    return command.ask(arguments)


def _inspect(arguments: argparse.Namespace) -> int:
    from keras_attn.serving.client import command

    return command.inspect(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-attn",
        description="Trains, serves and asks attention models.",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show version")
    commands = parser.add_subparsers(required=True, metavar="command")
    commands.add_parser(
        "quickstart", help="train, export, serve and ask a model that reads dates"
    )
    commands.add_parser(
        "serve", help="serve models, with the flags of tensorflow_model_server"
    )
    _add_ask(commands)
    _add_inspect(commands)
    return parser


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser, *_) -> None:
        from keras_attn import __version__

        print(f"keras-attn {__version__}")
        parser.exit()


_EXIT_CODES = (
    "Exit codes: 0 answered, 1 refused or wrongly asked, 2 not a command line, "
    "3 no answer (no server, or not in time)."
)


def _add_ask(commands) -> None:
    ask = commands.add_parser(
        "ask", help="send a request to a running server", epilog=_EXIT_CODES
    )
    ask.add_argument("text", nargs="*", help="rows of the signature's only input")
    ask.add_argument(
        "--inputs",
        metavar="JSON",
        help="input names to values; - reads them from stdin",
    )
    ask.add_argument(
        "--examples",
        metavar="JSON",
        help="a list of examples to classify or regress; - reads it from stdin",
    )
    ask.add_argument("--signature", default="serving_default", metavar="NAME")
    ask.add_argument("--output", action="append", default=[], metavar="NAME")
    ask.add_argument("--json", action="store_true", help="print one JSON object")
    _add_server_arguments(ask)
    ask.set_defaults(run=_ask)


def _add_inspect(commands) -> None:
    inspect = commands.add_parser(
        "inspect",
        help="show a model of a running server, or of a folder",
        epilog=_EXIT_CODES,
    )
    inspect.add_argument(
        "folder", nargs="?", help="an exported model, or its base path; asks no server"
    )
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    _add_server_arguments(inspect)
    inspect.set_defaults(run=_inspect)


def _add_server_arguments(parser: argparse.ArgumentParser) -> None:
    server = parser.add_argument_group("server")
    server.add_argument(
        "--address",
        default="127.0.0.1:8500",
        help="host:port or unix:path for gRPC, http://host:port for REST",
    )
    server.add_argument("--model", default="default", metavar="NAME")
    version = server.add_mutually_exclusive_group()
    version.add_argument("--model-version", type=int, metavar="N")
    version.add_argument(
        "--model-label", metavar="LABEL", help="a version by its label"
    )
    server.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")
    server.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="wait so long at most until the model serves",
    )
    security = parser.add_argument_group("security")
    security.add_argument("--tls", action="store_true", help="encrypt gRPC")
    for option, content in (
        ("--root-certificates", "the authorities to trust"),
        ("--private-key", "the client's key"),
        ("--certificate-chain", "the client's certificate"),
    ):
        security.add_argument(
            option, metavar="FILE", help=f"{content}, PEM; implies --tls"
        )
    security.add_argument(
        "--token-file", metavar="FILE", help="a bearer token, read for each request"
    )
    security.add_argument("--header", action="append", default=[], metavar="NAME=VALUE")


if __name__ == "__main__":
    sys.exit(main())
