"""A model that takes examples: it classifies, and it regresses."""


def save_judge(path):
    import tensorflow as tf

    features = {
        "age": tf.io.FixedLenFeature([], tf.float32),
        "count": tf.io.FixedLenFeature([], tf.int64, 7),
        "name": tf.io.FixedLenFeature([], tf.string, "nobody"),
    }

    class Judge(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
        def classify(self, inputs):
            row = tf.io.parse_example(inputs, features)
            return {
                "classes": tf.stack([row["name"], tf.as_string(row["count"])], 1),
                "scores": tf.stack([row["age"], -row["age"]], 1),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
        def regress(self, inputs):
            row = tf.io.parse_example(inputs, features)
            return {"outputs": row["age"] + tf.cast(row["count"], tf.float32)}

    judge = Judge()
    signatures = {"serving_default": judge.classify, "regress": judge.regress}
    tf.saved_model.save(judge, str(path), signatures=signatures)
