"""Facts read from a written `saved_model.pb`, without loading the model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def read_meta_graph(folder: Path) -> Any:
    """The one MetaGraphDef of the SavedModel in `folder`."""
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return saved_model.meta_graphs[0]


def op_names(meta_graph: Any) -> list[str]:
    """Every TensorFlow op a server must know to load the graph, sorted."""
    return sorted(op.name for op in meta_graph.meta_info_def.stripped_op_list.op)


def describe_tensors(infos: Any) -> dict[str, dict[str, Any]]:
    """Dtype and shape (`None` for any size) of a SignatureDef's tensors."""
    described = {}
    for name in sorted(infos):
        shape = infos[name].tensor_shape
        sizes = [dim.size if dim.size >= 0 else None for dim in shape.dim]
        described[name] = {
            "dtype": tf.dtypes.as_dtype(infos[name].dtype).name,
            "shape": None if shape.unknown_rank else sizes,
        }
    return described


def compiles(meta_graph: Any, signature: str) -> bool:
    """Whether answering `signature` runs anything through the XLA compiler."""
    functions = {f.signature.name: f for f in meta_graph.graph_def.library.function}
    waiting = _nodes_behind(meta_graph, signature)
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.attr["_XlaMustCompile"].b:
            return True
        for name in _called(node) - seen:
            seen.add(name)
            if functions[name].attr["_XlaMustCompile"].b:
                return True
            waiting.extend(functions[name].node_def)
    return False


def _nodes_behind(meta_graph: Any, signature: str) -> list[Any]:
    """The nodes of the outer graph that the outputs of `signature` need."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    outputs = meta_graph.signature_def[signature].outputs.values()
    waiting = [_node_name(output.name) for output in outputs]
    needed: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = nodes[name]
            waiting.extend(_node_name(tensor) for tensor in nodes[name].input)
    return list(needed.values())


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _called(node: Any) -> set[str]:
    """Names of the functions that `node` has as attributes."""
    named: Iterable[Any] = (
        function
        for value in node.attr.values()
        for function in (value.func, *value.list.func)
    )
    return {function.name for function in named if function.name}
