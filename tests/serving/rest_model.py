"""A SavedModel with a signature for each thing that JSON can say, or cannot."""

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")


def save_rest_model(path):
    import tensorflow as tf

    spec = tf.TensorSpec
    floats = spec([None], tf.float32, name="x")

    class Model(tf.Module):
        @tf.function(input_signature=[floats])
        def double(self, x):
            return {"y": 2 * x}

        @tf.function(input_signature=[spec(None, tf.float32, name="x")])
        def echo(self, x):
            return {"y": tf.identity(x)}

        @tf.function(input_signature=[spec([None], tf.float64, name="x")])
        def wide(self, x):
            return {"y": tf.identity(x)}

        @tf.function(
            input_signature=[
                spec([None, 2], tf.float32, name="a"),
                spec([None], tf.int32, name="b"),
            ]
        )
        def pair(self, a, b):
            return {"sum": tf.reduce_sum(a, 1), "twice": tf.stack([b, b], axis=1)}

        @tf.function(input_signature=[spec([None], tf.string, name="x")])
        def text(self, x):
            return {"y": tf.identity(x), "y_bytes": tf.identity(x)}

        @tf.function(input_signature=[spec(None, tf.string, name="x")])
        def raw(self, x):
            return {"y_bytes": tf.identity(x)}

        @tf.function(input_signature=[spec([None], n, name=n) for n in INTEGERS])
        def integers(self, int8, int16, int32, int64, uint8, uint32, uint64):
            given = (int8, int16, int32, int64, uint8, uint32, uint64)
            return dict(zip(INTEGERS, map(tf.identity, given), strict=True))

        @tf.function(input_signature=[spec([None], tf.bool, name="x")])
        def invert(self, x):
            return {"y": ~x}

        @tf.function(input_signature=[spec([None], tf.float16, name="x")])
        def half(self, x):
            return {"y": tf.cast(x, tf.float32)}

        @tf.function(input_signature=[floats])
        def to_half(self, x):
            return {"y": tf.cast(x, tf.float16)}

        @tf.function(input_signature=[floats])
        def uneven(self, x):
            return {"y": tf.identity(x), "z": x[:1]}

        @tf.function(input_signature=[floats])
        def total(self, x):
            return {"y": tf.reduce_sum(x)}

        @tf.function(input_signature=[])
        def constant(self):
            return {"y": tf.constant([1.0])}

        @tf.function(input_signature=[spec([], tf.int32, name="steps")])
        def count(self, steps):
            (done,) = tf.while_loop(lambda i: i < steps, lambda i: (i + 1,), [0])
            return {"done": done}

    model = Model()
    names = "echo wide pair text raw integers invert half to_half uneven total"
    signatures = {name: getattr(model, name) for name in names.split()}
    signatures |= {"serving_default": model.double, "constant": model.constant}
    signatures["count"] = model.count
    tf.saved_model.save(model, str(path), signatures=signatures)
    return path
