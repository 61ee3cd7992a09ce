"""A model that takes as long as it is told, in batches or alone."""


def save_spinner(path):
    import tensorflow as tf

    class Spinner(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.float64, name="seconds")]
        )
        def spin(self, seconds):
            begin = tf.timestamp()
            longest = tf.reduce_max(seconds)
            (end,) = tf.while_loop(
                lambda now: now - begin < longest, lambda now: [tf.timestamp()], [begin]
            )
            return {"spent": tf.zeros_like(seconds) + (end - begin)}

    spinner = Spinner()
    tf.saved_model.save(spinner, str(path), {"serving_default": spinner.spin})
