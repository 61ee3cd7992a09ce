"""How TensorFlow's sessions are set up: a file, and flags that go before it."""

from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from keras_attn.serving.server.flags import Options
from keras_attn.serving.server.status import invalid_argument
from keras_attn.serving.server.textproto import read


def session_config(options: Options) -> ConfigProto:
    """The configuration that the flags ask for.

    Raises:
        StatusError: Flags exclude each other, or the file is no `ConfigProto`.
    """
    both = options.tensorflow_session_parallelism
    within = options.tensorflow_intra_op_parallelism
    across = options.tensorflow_inter_op_parallelism
    if both > 0 and (within > 0 or across > 0):
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. "
            "You cannot configure all."
        )
    file = options.tensorflow_session_config_file
    config = read(file, ConfigProto) if file else ConfigProto()
    if within or both:
        config.intra_op_parallelism_threads = within or both
    if across or both:
        config.inter_op_parallelism_threads = across or both
    if options.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = (
            options.per_process_gpu_memory_fraction
        )
    if options.mixed_precision == "bfloat16":
        rewriters = config.graph_options.rewrite_options
        rewriters.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    return config
