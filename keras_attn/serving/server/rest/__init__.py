"""TF Serving's REST API: the same models, asked in JSON.

`listener` takes connections, `http_message` reads and writes HTTP, `api` routes and
answers. A request's JSON becomes values in `json_reader`, arrays in `json_tensors`; the
arrays of an answer become JSON in `json_writer`.

Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

from keras_attn.serving.server.rest.server import RestServer as RestServer
