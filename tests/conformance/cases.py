"""The table every layer and model stands in: one line gives it all of the tests."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_attn import (
    AlibiBias,
    AskAttendAnswer,
    AttentionDecoder,
    AttentionPooling,
    BahdanauAttention,
    ChebyshevConv,
    EdgeConv,
    GlimpseNetwork,
    GlimpseSensor,
    GraphAttention,
    GraphConv,
    GraphPooling,
    ImageCaptioner,
    ImageToMarkup,
    LearnedPositions,
    ListenAttendSpell,
    LocationPolicy,
    LogMel,
    MessagePassing,
    MinCutPooling,
    MolecularGraphNet,
    MultiHeadAttention,
    MultiHeadSelfAttention,
    RecurrentAttention,
    RecurrentAttentionModel,
    RelativePositionBias,
    RotaryEmbedding,
    Seq2Seq,
    SinusoidalPositions,
    SpectralConv,
    TopKPooling,
    TransformerBlock,
    TransformerDecoderBlock,
)


class Case(NamedTuple):
    """How to make a layer and what it takes.

    make: Function of the layer's general arguments (`name`, `dtype`).
    inputs: Shape without the batch of each input, by its argument name.
    masks: Names of the inputs that have a mask, as argument `<name>_mask`, or as
        `mask` where there is one input only, save for `nodes`.
    flags: Boolean arguments that add outputs; the last one adds attention weights,
        of which the last are those of the last masked input.
    is_model: Whether it is a model, of a dict of its inputs or of its only one.
    vocabularies: For a model of token ids, how many there are, by input.
    indices: Shape without the batch of each input of indices, by its name, and how
        many things there are to point to.
    parts: Boolean arguments whose outputs the model around the layer puts beside the
        first one, as the gradients of some weights come from there only.
    full_precision: Whether its answer is float32 under any policy, as places are.
    """

    make: Callable[..., Any]
    inputs: dict[str, tuple[int, ...]]
    masks: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    is_model: bool = False
    vocabularies: dict[str, int] | None = None
    indices: dict[str, tuple[tuple[int, ...], int]] = {}  # noqa: RUF012
    parts: tuple[str, ...] = ()
    full_precision: bool = False

    def mask_of(self, name):
        """The argument that the mask of an input is."""
        alone = len(self.inputs) == 1 and name != "nodes"
        return "mask" if alone else f"{name}_mask"


SCORES = "return_attention_scores"
STEP, STEPS, MEMORY, GRID = (3,), (4, 3), (5, 6), (2, 3, 6)
WIDE_STEPS = (4, 6)
IMAGE, COLOR_IMAGE = (5, 5, 1), (5, 4, 3)
CELLS = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}


def attention(alignment, query=STEPS, value=MEMORY, hard=False):
    masks = ("value",) if query == STEP else ("query", "value")
    return Case(
        lambda **kwargs: BahdanauAttention(4, alignment, hard=hard, seed=1, **kwargs),
        {"query": query, "value": value},
        masks,
        (SCORES,),
        parts=("return_choice",) if hard else (),
    )


def decoder(cell, attend, alignment="additive", memory=MEMORY, hard=False, **options):
    def make(dtype=None, **kwargs):
        reader = BahdanauAttention(4, alignment, hard=hard, seed=1, dtype=dtype)
        return AttentionDecoder(
            CELLS[cell](4, dtype=dtype),
            reader,
            attend,
            dtype=dtype,
            **options,
            **kwargs,
        )

    return Case(
        make,
        {"inputs": STEPS, "memory": memory},
        ("inputs", "memory"),
        ("return_state", SCORES),
        parts=("return_choice",) if hard else (),
    )


def self_attention(positions=None, **options):
    """With `positions` a class of them and its arguments."""

    def make(**kwargs):
        made = positions and positions[0](*positions[1:])
        return MultiHeadSelfAttention(4, 2, positions=made, **options, **kwargs)

    return Case(make, {"inputs": WIDE_STEPS}, ("inputs",), (SCORES,))


def cross_attention(**options):
    return Case(
        lambda **kwargs: MultiHeadAttention(4, 2, **options, **kwargs),
        {"query": STEPS, "value": MEMORY},
        ("query", "value"),
        (SCORES,),
    )


def block(**options):
    return Case(
        lambda **kwargs: TransformerBlock(2, 5, **options, **kwargs),
        {"inputs": WIDE_STEPS},
        ("inputs",),
        (SCORES,),
    )


def decoder_block(**options):
    return Case(
        lambda **kwargs: TransformerDecoderBlock(2, 5, **options, **kwargs),
        {"inputs": WIDE_STEPS, "memory": MEMORY},
        ("inputs", "memory"),
        (SCORES,),
    )


def translator(context, cell, **options):
    return Case(
        lambda **kwargs: Seq2Seq(
            9, 8, 4, 3, context=context, cell=cell, **options, **kwargs
        ),
        {"source": (5,), "target": (4,)},
        is_model=True,
        vocabularies={"source": 9, "target": 8},
    )


def reader(model, *arguments, indices=None, **inputs):
    """A model that writes about what it reads, of which `inputs` are the shapes."""
    ids = dict.fromkeys({"question", "target"} & {*inputs, "target"}, 7)
    return Case(
        lambda **kwargs: model(7, *arguments, units=4, embedding_dim=3, **kwargs),
        {**inputs, "target": (3,)},
        is_model=True,
        vocabularies=ids,
        indices=indices or {},
    )


def pooling(layer, *arguments, flags=()):
    return Case(
        lambda **kwargs: layer(*arguments, **kwargs),
        {"nodes": STEPS},
        ("nodes",),
        flags,
    )


def graph(layer, *arguments, form, features=False, **options):
    """`form` is what the edges are given as, an adjacency or a list of six."""
    nodes = STEPS[0]
    inputs = {"nodes": STEPS, "adjacency": (nodes, nodes)}
    indices = {}
    if form == "edges":
        inputs = {"nodes": STEPS, "edge_weights": (6,)}
        indices = {"edges": ((6, 2), nodes)}
    if features:
        inputs["edge_features"] = (6, 2)
    return Case(
        lambda **kwargs: layer(*arguments, **options, **kwargs),
        inputs,
        ("nodes",),
        indices=indices,
    )


def glimpses(cell, num_scales=1, num_steps=None):
    def make(dtype=None, **kwargs):
        sensor = GlimpseSensor(2, num_scales, dtype=dtype)
        return RecurrentAttention(
            GlimpseNetwork(sensor, 5, 4, 3, dtype=dtype),
            LocationPolicy(0.3, num_steps=num_steps, seed=1, dtype=dtype),
            cell(4, dtype=dtype),
            num_classes=3,
            num_glimpses=3,
            dtype=dtype,
            **kwargs,
        )

    return Case(make, {"images": IMAGE}, parts=("return_trace",))


CASES = {
    "BahdanauAttention-additive": attention("additive"),
    "BahdanauAttention-bilinear": attention("bilinear"),
    "BahdanauAttention-dot": attention("dot"),
    "BahdanauAttention-scaled_dot": attention("scaled_dot"),
    "BahdanauAttention-one_step": attention("additive", query=STEP),
    "BahdanauAttention-grid": attention("additive", value=GRID),
    "BahdanauAttention-hard": attention("additive", hard=True),
    "AttentionDecoder-gru-before": decoder("gru", "before"),
    "AttentionDecoder-gru-after": decoder("gru", "after"),
    "AttentionDecoder-lstm-before": decoder("lstm", "before"),
    "AttentionDecoder-lstm-after": decoder("lstm", "after"),
    "AttentionDecoder-grid": decoder("gru", "before", "scaled_dot", memory=GRID),
    "AttentionDecoder-hard-before": decoder("gru", "before", "bilinear", hard=True),
    "AttentionDecoder-hard-after": decoder("lstm", "after", "scaled_dot", hard=True),
    "AttentionDecoder-coverage": decoder("gru", "before", coverage=0.5),
    "MultiHeadSelfAttention": self_attention(),
    "MultiHeadSelfAttention-rotary": self_attention((RotaryEmbedding,)),
    "MultiHeadSelfAttention-alibi": self_attention((AlibiBias,)),
    "MultiHeadSelfAttention-relative": self_attention((RelativePositionBias, 4, 4, 3)),
    "MultiHeadSelfAttention-chunked": self_attention(implementation="chunked"),
    "MultiHeadSelfAttention-window": self_attention(window=3, implementation="window"),
    "MultiHeadSelfAttention-options": self_attention(
        (AlibiBias,),
        value_dim=3,
        num_key_value_heads=2,
        output_dim=5,
        window=3,
        query_key_norm=True,
        use_bias=False,
    ),
    "MultiHeadAttention": cross_attention(),
    "MultiHeadAttention-chunked": cross_attention(implementation="chunked"),
    "MultiHeadAttention-options": cross_attention(
        value_dim=3, num_key_value_heads=2, output_dim=5, query_key_norm=True
    ),
    "TransformerBlock": block(),
    "TransformerBlock-norm_last": block(normalize_first=False),
    "TransformerBlock-gated": block(
        activation="silu", gated=True, normalization="rms", key_dim=4
    ),
    "TransformerDecoderBlock": decoder_block(),
    "TransformerDecoderBlock-norm_last": decoder_block(normalize_first=False),
    "SinusoidalPositions": Case(SinusoidalPositions, {"inputs": STEPS}),
    "LearnedPositions": Case(
        lambda **kwargs: LearnedPositions(4, **kwargs), {"inputs": STEPS}
    ),
    "GraphConv-adjacency": graph(GraphConv, 4, form="adjacency"),
    "GraphConv-edges": graph(GraphConv, 2, "random_walk", form="edges"),
    "GraphConv-bare": graph(GraphConv, 4, None, False, "tanh", False, form="edges"),
    "ChebyshevConv": graph(ChebyshevConv, 4, form="edges"),
    "SpectralConv": Case(
        lambda **kwargs: SpectralConv(4, **kwargs),
        {"nodes": STEPS, "eigenvectors": (4, 4)},
        ("nodes",),
    ),
    "SpectralConv-knots": Case(
        lambda **kwargs: SpectralConv(4, knots=3, **kwargs),
        {"nodes": STEPS, "eigenvectors": (4, 5), "eigenvalues": (5,)},
        ("nodes",),
    ),
    "GraphAttention": graph(GraphAttention, 4, 2, form="edges", features=True),
    "GraphAttention-adjacency": graph(
        GraphAttention, 4, 2, form="adjacency", concatenate=False
    ),
    "EdgeConv": graph(EdgeConv, 4, form="edges", features=True),
    "EdgeConv-adjacency": graph(EdgeConv, 4, form="adjacency", aggregation="mean"),
    "MessagePassing": graph(MessagePassing, "max", form="edges"),
    "GraphPooling-sum": pooling(GraphPooling, "sum"),
    "GraphPooling-mean": pooling(GraphPooling, "mean"),
    "GraphPooling-max": pooling(GraphPooling, "max"),
    "AttentionPooling": pooling(AttentionPooling, 5, flags=(SCORES,)),
    "TopKPooling": graph(TopKPooling, 0.6, form="adjacency"),
    "MinCutPooling": graph(MinCutPooling, 3, form="adjacency"),
    "MolecularGraphNet": Case(
        lambda **kwargs: MolecularGraphNet(
            2,
            node_features=STEPS[1],
            edge_features=2,
            units=4,
            num_layers=1,
            pooling=("attention", "sum"),
            dropout=0.0,
            **kwargs,
        ),
        {"nodes": STEPS, "edge_features": (6, 2)},
        ("nodes",),
        is_model=True,
        indices={"edges": ((6, 2), STEPS[0])},
    ),
    "LogMel": Case(
        lambda **kwargs: LogMel(4, 800, 8, 3, **kwargs),
        {"audio": (50,)},
        indices={"lengths": ((), 51)},
    ),
    "ListenAttendSpell": reader(
        ListenAttendSpell, 3, 1, 4, 800, audio=(70,), indices={"lengths": ((), 71)}
    ),
    "ImageCaptioner": reader(ImageCaptioner, (8, 8, 3), (3, 4), image=(8, 8, 3)),
    "ImageCaptioner-hard": reader(
        ImageCaptioner, (8, 8, 3), (3, 4), "hard", 0.1, 0.5, 1, image=(8, 8, 3)
    ),
    "ImageToMarkup": reader(ImageToMarkup, (8, 8, 1), (3, 4), 3, image=(8, 8, 1)),
    "AskAttendAnswer": reader(
        AskAttendAnswer, 7, (4, 4, 3), (2, 3), 4, image=(4, 4, 3), question=(4,)
    ),
    "Seq2Seq-attention": translator("attention", "gru"),
    "Seq2Seq-own_tokens": translator(
        "attention", "gru", coverage=0.5, scheduled_sampling=0.5
    ),
    "Seq2Seq-repeated_state": translator("repeated_state", "lstm"),
    "Seq2Seq-last_state": translator("last_state", "gru"),
    "GlimpseSensor": Case(
        lambda **kwargs: GlimpseSensor(3, 2, **kwargs),
        {"images": COLOR_IMAGE, "locations": (2,)},
    ),
    "GlimpseNetwork": Case(
        lambda **kwargs: GlimpseNetwork(
            GlimpseSensor(2, dtype=kwargs.get("dtype")), 4, 3, 3, **kwargs
        ),
        {"images": COLOR_IMAGE, "locations": (2, 2)},
    ),
    "LocationPolicy": Case(
        lambda **kwargs: LocationPolicy(0.2, 5, seed=1, **kwargs),
        {"inputs": STEP},
        parts=("return_log_prob",),
        full_precision=True,
    ),
    "RecurrentAttention-relu": glimpses(
        lambda units, **kwargs: keras.layers.SimpleRNNCell(units, "relu", **kwargs)
    ),
    "RecurrentAttention-lstm": glimpses(
        keras.layers.LSTMCell, num_scales=2, num_steps=2
    ),
    "RecurrentAttentionModel": Case(
        lambda **kwargs: RecurrentAttentionModel(
            IMAGE,
            3,
            3,
            2,
            units=6,
            what_units=5,
            where_units=4,
            scan=True,
            seed=1,
            **kwargs,
        ),
        {"image": IMAGE},
        is_model=True,
    ),
}
