"""Asks a server by `ovmsclient`, which must not share a process with TensorFlow.

It prints what it was told, as JSON: `python ask_with_ovmsclient.py grpc|rest ADDRESS`.
"""

import json
import sys

import numpy as np
from ovmsclient import make_grpc_client, make_http_client
from ovmsclient.tfs_compat.base.errors import InvalidInputError, ModelNotFoundError


def main(kind, address):
    client = {"grpc": make_grpc_client, "rest": make_http_client}[kind](address)
    x = np.float32([[1, 0, 0], [0, 1, 0]])
    answer = client.predict({"x": x}, "toolbox", 3)
    told = {
        "status": client.get_model_status("toolbox", 3),
        "metadata": client.get_model_metadata("toolbox", 3),
        "y": answer["y"].tolist(),
        "total": answer["total"].tolist(),
    }
    refused = {
        "unknown model": ({"x": x}, "foo", 3),
        "version 0": ({"x": x}, "toolbox"),  # its way to ask for the latest
        "wrong shape": ({"x": x[:, :2]}, "toolbox", 3),
    }
    for name, arguments in refused.items():
        try:
            told[name] = client.predict(*arguments)
        except (ModelNotFoundError, InvalidInputError) as error:
            told[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
