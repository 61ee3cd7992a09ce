"""The protocol-buffer messages of TF Serving, read and written with NumPy alone.

`fields` knows the wire format, `tensors` knows `TensorProto`, and the others know the
requests and answers: `messages` those of Predict, `examples` of Classify and Regress,
`metadata` the signatures, `management` the states of versions. Client and server share
them: neither protobuf nor TensorFlow is imported, and a large tensor costs one copy.
"""

from keras_attn.serving.wire.fields import WireError as WireError
from keras_attn.serving.wire.tensors import TensorError as TensorError
