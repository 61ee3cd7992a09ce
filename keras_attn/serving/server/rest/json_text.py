"""Values as they are quoted in answers and error texts."""

import json
import re
from typing import Any

import orjson

from keras_attn.serving.server.rest.decimals import spell_number

_INDENT = re.compile(rb"(?m)^( +)")


def quote(text: str) -> str:
    """A JSON string; bytes that are not UTF-8 stay what they are."""
    return json.encoder.encode_basestring(text)


def show(value: Any) -> str:
    """A JSON value for an error text, indented by four blanks."""
    if isinstance(value, float):
        return spell_number(value)
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:  # nested beyond reason, or not UTF-8
        return json.JSONEncoder().encode(type(value).__name__)
    return _INDENT.sub(rb"\1\1", text).decode()


def type_name(value: Any) -> str:
    """What TF Serving calls the type of a JSON value."""
    if value is None or isinstance(value, bool):
        return {None: "Null", False: "False", True: "True"}[value]
    names = {dict: "Object", list: "Array", str: "String", int: "Number"}
    return names.get(type(value), "Number")
