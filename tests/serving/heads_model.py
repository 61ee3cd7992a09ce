"""A SavedModel as TensorFlow 1 writes it: examples in, classes, scores, values out.

It has variables that are no resources, a vocabulary among its assets, a table that its
`legacy_init_op` fills, a signature for each method, and one for each way in which a
signature can be unfit for its method.
"""

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
PREDICT = "tensorflow/serving/predict"

LABELS = ["low", "high"]


def save_heads(path, vocabulary):
    """Writes version `path`; `vocabulary` is a file that may go afterwards."""
    import tensorflow as tf

    v1 = tf.compat.v1
    vocabulary.write_text("\n".join(LABELS) + "\n")
    with tf.Graph().as_default(), v1.Session() as session:
        tensors = _tensors(tf, v1, str(vocabulary))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map=_signatures(v1, tensors),
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            legacy_init_op=v1.tables_initializer(),
        )
        builder.save()
    vocabulary.unlink()
    return path


def _tensors(tf, v1, vocabulary):
    serialized = v1.placeholder(tf.string, [None], name="tf_example")
    features = tf.io.parse_example(
        serialized,
        {
            "x": tf.io.FixedLenFeature([2], tf.float32),
            "bias": tf.io.FixedLenFeature([], tf.float32, default_value=0.0),
        },
    )
    kernel = v1.get_variable(
        "kernel", initializer=[[1.0, -1.0], [0.5, 2.0]], use_resource=False
    )
    scores = features["x"] @ kernel + features["bias"][:, None]
    asset = tf.constant(vocabulary)
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            asset,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
        ),
        default_value="?",
    )
    count = v1.while_loop(lambda i: i < 2**30, lambda i: i + 1, [0])
    order = tf.argsort(scores, direction="DESCENDING")
    classes = table.lookup(tf.cast(order, tf.int64))
    a = v1.placeholder(tf.float32, [None], name="a")
    b = v1.placeholder(tf.float32, [], name="b")
    return {
        "serialized": serialized,
        "scores": scores,
        "sorted": tf.sort(scores, direction="DESCENDING"),
        "classes": classes,
        "total": tf.reduce_sum(scores, axis=1),
        "slow": scores + tf.cast(count, tf.float32),
        "order": order,
        "a": a,
        "b": b,
        "product": a * b,
        "other": v1.placeholder(tf.string, [None], name="other"),
        "double": tf.cast(scores, tf.float64),
    }


def _signatures(v1, tensors):
    examples = {"inputs": tensors["serialized"]}
    classes, scores, total = (tensors[name] for name in ("classes", "sorted", "total"))
    both = {"classes": classes, "scores": scores}

    def signature(method, outputs, inputs=examples):
        build = v1.saved_model.build_tensor_info
        return v1.saved_model.build_signature_def(
            {alias: build(tensor) for alias, tensor in inputs.items()},
            {alias: build(tensor) for alias, tensor in outputs.items()},
            method,
        )

    with_default = signature(
        PREDICT, {"product": tensors["product"]}, {n: tensors[n] for n in "ab"}
    )
    import tensorflow as tf

    with_default.defaults["b"].CopyFrom(tf.make_tensor_proto(3.0))
    missing = signature(PREDICT, {"y": total})
    missing.outputs["y"].name = "no_such_node:0"
    return {
        "serving_default": signature(CLASSIFY, both),
        "classes": signature(CLASSIFY, {"classes": classes}),
        "scores": signature(CLASSIFY, {"scores": tensors["scores"]}),
        "regress": signature(REGRESS, {"outputs": total}),
        "regress_column": signature(REGRESS, {"outputs": total[:, None]}),
        "predict": signature(PREDICT, {"total": total}),
        "unnamed": signature("", {"total": total}),
        "with_default": with_default,
        "slow": signature(CLASSIFY, {"scores": tensors["slow"]}),
        "regress_slow": signature(REGRESS, {"outputs": tensors["slow"][:, 0]}),
        "missing_node": missing,
        # Unfit as classifiers.
        "two_inputs": signature(
            CLASSIFY, both, {**examples, "other": tensors["other"]}
        ),
        "three_outputs": signature(CLASSIFY, {**both, "more": total}),
        "input_x": signature(CLASSIFY, both, {"x": tensors["serialized"]}),
        "output_y": signature(CLASSIFY, {"y": scores}),
        "other_input": signature(CLASSIFY, both, {"inputs": tensors["other"]}),
        "flat_classes": signature(CLASSIFY, {"classes": classes[:, 0]}),
        "integer_classes": signature(CLASSIFY, {"classes": tensors["order"]}),
        "one_row_of_classes": signature(CLASSIFY, {"classes": classes[:1]}),
        "flat_scores": signature(CLASSIFY, {"scores": total}),
        "double_scores": signature(CLASSIFY, {"scores": tensors["double"]}),
        "one_row_of_scores": signature(CLASSIFY, {"scores": scores[:1]}),
        "unequal": signature(CLASSIFY, {"classes": classes, "scores": scores[:, :1]}),
        # Unfit as regressors.
        "regress_two_outputs": signature(REGRESS, {"outputs": total, "more": total}),
        "regress_input_x": signature(
            REGRESS, {"outputs": total}, {"x": tensors["serialized"]}
        ),
        "regress_output_y": signature(REGRESS, {"y": total}),
        "regress_matrix": signature(REGRESS, {"outputs": scores}),
        "regress_one_row": signature(REGRESS, {"outputs": total[:1]}),
        "regress_double": signature(REGRESS, {"outputs": tensors["double"][:, 0]}),
    }
