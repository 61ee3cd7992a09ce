"""`keras-attn quickstart | serve | ask | inspect`.

Keras and TensorFlow are imported by the commands that need them, once their arguments
are known to be right.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

Command = Callable[[Sequence[str]], int | None]


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
    ask = commands.add_parser("ask", help="send a request to a running server")
    _add_server_arguments(ask)
    ask.add_argument("text", nargs="*", help="rows of the signature's only input")
    ask.add_argument(
        "--inputs",
        metavar="JSON",
        help="input names to values; - reads them from stdin",
    )
    ask.add_argument("--signature", default="serving_default", metavar="NAME")
    ask.add_argument("--output", action="append", default=[], metavar="NAME")
    ask.set_defaults(run=_ask)
    inspect = commands.add_parser("inspect", help="show a model of a running server")
    _add_server_arguments(inspect)
    inspect.set_defaults(run=_inspect)
    return parser


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser, *_) -> None:
        from keras_attn import __version__

        print(f"keras-attn {__version__}")
        parser.exit()


def _add_server_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", default="127.0.0.1:8500", metavar="HOST:PORT")
    parser.add_argument("--model", default="default", metavar="NAME")
    parser.add_argument("--model-version", type=int, metavar="N")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS")


def _ask(arguments: argparse.Namespace) -> int:
    def ask(client) -> None:
        answer = client.predict(
            _inputs(client, arguments),
            signature_name=arguments.signature,
            outputs=arguments.output,
            version=arguments.model_version,
        )
        for name, array in answer.items():
            print(f"{name}: {_to_json(array)}")

    return _with_client(arguments, ask)


def _inspect(arguments: argparse.Namespace) -> int:
    def inspect(client) -> None:
        from keras_attn.serving.client.casting import describe

        for status in client.status(version=arguments.model_version):
            error = f" ({status.error_message})" if status.error_message else ""
            print(f"version {status.version}: {status.state}{error}")
        metadata = client.metadata(version=arguments.model_version)
        print(f"signatures of version {metadata.version}:")
        for name, signature in metadata.signatures.items():
            print(f"  {name}")
            print(f"    inputs:  {describe(signature.inputs)}")
            print(f"    outputs: {describe(signature.outputs)}")

    return _with_client(arguments, inspect)


def _with_client(arguments: argparse.Namespace, work: Callable[[Any], None]) -> int:
    from keras_attn.serving import Client, ServingError

    try:
        with Client(arguments.address, arguments.model, arguments.timeout) as client:
            work(client)
    except (ServingError, ValueError) as error:
        print(f"keras-attn: {error}", file=sys.stderr)
        return 1
    return 0


def _inputs(client, arguments: argparse.Namespace) -> dict[str, Any]:
    """What to send: JSON with names, or rows for the only input."""
    if bool(arguments.text) == bool(arguments.inputs):
        raise ValueError("Give either rows of text or --inputs.")
    if arguments.inputs:
        text = sys.stdin.read() if arguments.inputs == "-" else arguments.inputs
        try:
            inputs = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"--inputs is not JSON: {error}.") from error
        if not isinstance(inputs, dict):
            raise ValueError(f"--inputs must be a JSON object. Received: {text}")
        return inputs
    signatures = client.metadata(version=arguments.model_version).signatures
    if arguments.signature not in signatures:
        raise ValueError(
            f"--signature must be one of {sorted(signatures)}. "
            f"Received: {arguments.signature}"
        )
    inputs = signatures[arguments.signature].inputs
    if len(inputs) != 1:
        raise ValueError(f"Several inputs, {sorted(inputs)}: give them with --inputs.")
    ((name, spec),) = inputs.items()
    is_text = spec.dtype == "string"
    return {name: arguments.text if is_text else list(map(_number, arguments.text))}


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"Not a number or a list: {text!r}.") from error


def _to_json(array) -> str:
    return json.dumps(array.tolist(), ensure_ascii=False, default=repr)


if __name__ == "__main__":
    sys.exit(main())
