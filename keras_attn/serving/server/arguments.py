"""The command line of the server, read as `tensorflow_model_server` reads it."""

from collections.abc import Iterable, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any

from keras_attn.serving.server.flags import Options

_FLAGS: dict[str, Field] = {flag.name: flag for flag in fields(Options)}
_TRUTHS = {"": True, "=true": True, "=false": False}


@dataclass
class CommandLine:
    """What a command line says.

    Args:
        options: Each flag's value.
        given: Names of the flags that were given.
        unknown: The arguments that are no flag, as they came.
    """

    options: Options
    given: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)

    @property
    def ignored(self) -> list[str]:
        """Flags that were given and change nothing here."""
        return [name for name in _with("ignored") if name in self.given]


def parse(arguments: Sequence[str]) -> CommandLine:
    """Reads `--flag=value`, and `--flag` alone where it is a truth value.

    Raises:
        ValueError: A value does not fit its flag.
    """
    line = CommandLine(Options())
    for position, argument in enumerate(arguments):
        if argument == "--":
            line.unknown += arguments[position:]
            break
        name, equals, text = argument.removeprefix("--").partition("=")
        flag = _FLAGS.get(name) if argument.startswith("--") else None
        if flag is None or not (equals or flag.type is bool):
            line.unknown.append(argument)
            continue
        setattr(line.options, name, _convert(flag, equals + text))
        line.given.add(name)
    return line


def _convert(flag: Field, text: str) -> Any:
    try:
        if flag.type is bool:
            return _TRUTHS[text]
        return flag.type(text[1:])  # type: ignore[operator]
    except (KeyError, ValueError):
        shown = text if flag.type is bool else text[1:]
        raise ValueError(
            f"Couldn't interpret value {shown} for flag {flag.name}."
        ) from None


def strip_own_flags(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """The arguments that `tensorflow_model_server` knows, and our own among them."""
    own = _with("own")
    kept: list[str] = []
    stripped: list[str] = []
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        (stripped if name in own else kept).append(argument)
    return kept, stripped


def usage(program: str = "keras-attn serve") -> str:
    """The help text: every flag with its default."""
    ignored, own = _with("ignored"), _with("own")
    lines = [f"usage: {program} [--flag=value] ...", "", "Flags:"]
    lines += [
        _describe(flag) for name, flag in _FLAGS.items() if name not in {*ignored, *own}
    ]
    lines += ["", "Flags that tensorflow_model_server does not have:"]
    lines += [_describe(_FLAGS[name]) for name in own]
    lines += ["", "Accepted, without effect here:"]
    lines += [_describe(_FLAGS[name]) for name in ignored]
    return "\n".join(lines)


def _with(mark: str) -> list[str]:
    return [name for name, flag in _FLAGS.items() if flag.metadata.get(mark)]


def _describe(flag: Field) -> str:
    default = flag.default
    shown = str(default).lower() if isinstance(default, bool) else repr(default)
    return f"  --{flag.name}={shown}\n        {flag.metadata['help']}"
