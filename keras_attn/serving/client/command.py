"""`keras-attn ask` and `keras-attn inspect`."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_attn.serving.client.casting import describe
from keras_attn.serving.client.client import Client
from keras_attn.serving.client.errors import (
    DeadlineExceededError,
    ServingError,
    UnavailableError,
)
from keras_attn.serving.client.folder import read_folder
from keras_attn.serving.client.tls import Tls
from keras_attn.serving.wire.metadata import Signature

_OK, _REFUSED, _NO_ANSWER = 0, 1, 3
_REGRESSION_OUTPUT = "outputs"  # the name by which servers know a regression


def ask(arguments: argparse.Namespace) -> int:
    """Prints what a model answers."""

    def work(client: Client) -> None:
        answer = _answer(client, arguments)
        if arguments.json:
            print(_to_json(answer))
        else:
            for name, values in answer.items():
                print(f"{name}: {_to_json(values)}")

    return _report(lambda: _with_client(arguments, work))


def inspect(arguments: argparse.Namespace) -> int:
    """Prints the versions and signatures of a model, of a server or of a folder."""

    def work(client: Client) -> None:
        statuses = client.status(version=arguments.model_version)
        metadata = client.metadata(**_version(arguments))
        if arguments.json:
            versions = [asdict(status) for status in statuses]
            _print_json(metadata.version, metadata.signatures, versions=versions)
            return
        for status in statuses:
            error = f" ({status.error_message})" if status.error_message else ""
            print(f"version {status.version}: {status.state}{error}")
        _print_signatures(metadata.version, metadata.signatures)

    def read() -> None:
        version, signatures = read_folder(arguments.folder, arguments.model_version)
        show = _print_json if arguments.json else _print_signatures
        show(version, signatures)

    return _report(read if arguments.folder else lambda: _with_client(arguments, work))


def _report(work: Callable[[], None]) -> int:
    """Runs a command; what goes wrong is told in a line and by the exit code."""
    try:
        work()
        return _OK
    except (ServingError, ValueError, OSError, NotImplementedError) as error:
        print(f"keras-attn: {error}", file=sys.stderr)
        silent = isinstance(error, (UnavailableError, DeadlineExceededError))
        return _NO_ANSWER if silent else _REFUSED


def _with_client(arguments: argparse.Namespace, work: Callable[[Client], None]) -> None:
    with Client(
        arguments.address,
        arguments.model,
        arguments.timeout,
        tls=_tls(arguments),
        token=_token(arguments.token_file),
        headers=dict(map(_header, arguments.header)),
    ) as client:
        if arguments.wait is not None:
            client.wait_until_available(arguments.wait, version=arguments.model_version)
        work(client)


def _tls(arguments: argparse.Namespace) -> Tls | None:
    files = (
        arguments.root_certificates,
        arguments.private_key,
        arguments.certificate_chain,
    )
    return Tls(*files) if arguments.tls or any(files) else None


def _token(path: str | None) -> Callable[[], str] | None:
    return None if path is None else lambda: Path(path).read_text().strip()


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--header must be NAME=VALUE. Received: {text}")
    return name, value


def _version(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "version": arguments.model_version,
        "version_label": arguments.model_label,
    }


def _answer(client: Client, arguments: argparse.Namespace) -> dict[str, Any]:
    if sum(map(bool, (arguments.text, arguments.inputs, arguments.examples))) != 1:
        raise ValueError("Give either rows of text or --inputs or --examples.")
    if arguments.examples:
        return _answer_examples(client, arguments)
    return client.predict(
        _inputs(client, arguments),
        signature_name=arguments.signature,
        outputs=arguments.output,
        **_version(arguments),
    )


def _answer_examples(client: Client, arguments: argparse.Namespace) -> dict[str, Any]:
    examples = _read_json("--examples", arguments.examples, list)
    signature = _signature(client, arguments)
    options = {"signature_name": arguments.signature, **_version(arguments)}
    regresses = _REGRESSION_OUTPUT in signature.outputs
    ask_about = client.regress if regresses else client.classify
    return {"results": ask_about(examples, **options)}


def _inputs(client: Client, arguments: argparse.Namespace) -> dict[str, Any]:
    """What to send: JSON with names, or rows for the only input."""
    if arguments.inputs:
        return _read_json("--inputs", arguments.inputs, dict)
    inputs = _signature(client, arguments).inputs
    if len(inputs) != 1:
        raise ValueError(f"Several inputs, {sorted(inputs)}: give them with --inputs.")
    ((name, spec),) = inputs.items()
    is_text = spec.dtype == "string"
    return {name: arguments.text if is_text else list(map(_number, arguments.text))}


def _signature(client: Client, arguments: argparse.Namespace) -> Signature:
    signatures = client.metadata(**_version(arguments)).signatures
    if arguments.signature not in signatures:
        raise ValueError(
            f"--signature must be one of {sorted(signatures)}. "
            f"Received: {arguments.signature}"
        )
    return signatures[arguments.signature]


def _read_json(option: str, text: str, kind: type) -> Any:
    text = sys.stdin.read() if text == "-" else text
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{option} is not JSON: {error}.") from error
    if not isinstance(value, kind):
        wanted = "object" if kind is dict else "list"
        raise ValueError(f"{option} must be a JSON {wanted}. Received: {text}")
    return value


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"Not a number or a list: {text!r}.") from error


def _print_signatures(version: int | None, signatures: dict[str, Signature]) -> None:
    print("signatures:" if version is None else f"signatures of version {version}:")
    for name, signature in signatures.items():
        print(f"  {name}")
        print(f"    inputs:  {describe(signature.inputs)}")
        print(f"    outputs: {describe(signature.outputs)}")


def _print_json(
    version: int | None, signatures: dict[str, Signature], **more: Any
) -> None:
    described = {
        name: {
            "method_name": signature.method_name,
            "inputs": {key: asdict(spec) for key, spec in signature.inputs.items()},
            "outputs": {key: asdict(spec) for key, spec in signature.outputs.items()},
        }
        for name, signature in signatures.items()
    }
    print(_to_json({**more, "version": version, "signatures": described}))


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON has no form for: arrays as lists, bytes in Python's words."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)
