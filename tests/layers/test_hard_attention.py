"""Attention that takes one slot of the memory."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import AttentionDecoder, BahdanauAttention
from keras_attn.ops.reinforce import leave_one_out, reinforce_loss
from tests.comparison import assert_same
from tests.gradients import BACKEND, MODES, QUICKEST, gradients, in_mode

SLOTS = 5


@pytest.fixture
def batch(rng):
    query = rng.normal(size=(3, 4, 3)).astype("float32")
    memory = rng.normal(size=(3, SLOTS, 6)).astype("float32")
    return query, memory, np.arange(SLOTS) < np.array([[SLOTS], [2], [0]])


def slots_of(context, memory):
    """The number of the slot that each context is; -1 if it is none."""
    same = np.all(np.isclose(context[:, :, None], memory[:, None], atol=1e-6), axis=-1)
    return np.where(same.any(axis=-1), same.argmax(axis=-1), -1)


def twins(**options):
    """A hard and a soft layer with the same weights."""
    hard = BahdanauAttention(4, hard=True, seed=1, **options)
    soft = BahdanauAttention(4)
    for layer in (hard, soft):
        layer.build((None, None, 3), (None, SLOTS, 6))
    rng = np.random.default_rng(3)
    for one, other in zip(hard.trainable_weights, soft.trainable_weights, strict=True):
        one.assign(rng.normal(size=one.shape))
        other.assign(one)
    return hard, soft


def test_without_training_it_is_the_slot_of_the_largest_weight(batch):
    query, memory, mask = batch
    hard, soft = twins()
    flags = {"value_mask": mask, "return_attention_scores": True}
    context, weights, choice = hard(query, memory, return_choice=True, **flags)
    assert_same(weights, soft(query, memory, **flags)[1])
    weights = ops.convert_to_numpy(weights).astype("float64")
    slots = slots_of(ops.convert_to_numpy(context), memory)
    np.testing.assert_array_equal(slots[:2], weights[:2].argmax(axis=-1))
    np.testing.assert_allclose(
        choice["log_prob"][:2], np.log(weights[:2].max(axis=-1)), atol=1e-5
    )
    terms = weights * np.log(np.where(weights > 0, weights, 1.0))
    np.testing.assert_allclose(choice["entropy"], -terms.sum(axis=-1), atol=1e-5)
    for value in (context, choice["log_prob"], choice["entropy"]):
        np.testing.assert_array_equal(value[2], 0.0)


def test_in_training_slots_are_drawn_as_often_as_their_weights_say(batch):
    query, memory, mask = (
        np.repeat(x[:2, :1] if x.ndim > 2 else x[:2], 4000, axis=0) for x in batch
    )
    memory = np.repeat(batch[1][:2], 4000, axis=0)
    hard, _ = twins()
    context, weights, choice = hard(
        query,
        memory,
        value_mask=mask,
        return_attention_scores=True,
        return_choice=True,
        training=True,
    )
    slots = slots_of(ops.convert_to_numpy(context), memory)[:, 0]
    weights = ops.convert_to_numpy(weights)[:, 0]
    for half in (slice(0, 4000), slice(4000, 8000)):
        shares = np.bincount(slots[half], minlength=SLOTS) / 4000
        error = np.sqrt(weights[half][0] * (1 - weights[half][0]) / 4000)
        np.testing.assert_array_less(
            np.abs(shares - weights[half][0]), 4 * error + 1e-9
        )
    expected = np.log(weights[np.arange(8000), slots])
    np.testing.assert_allclose(choice["log_prob"][:, 0], expected, atol=1e-4)


def test_on_average_its_gradient_is_that_of_soft_attention(rng):
    """What a slot is worth on average is the weighted sum, which soft attention is."""
    groups, samples = 8000, 4
    query = np.tile(rng.normal(size=(1, 3)).astype("float32"), (groups, 1))
    memory = rng.normal(size=(1, SLOTS, 6)).astype("float32")
    hard, soft = twins()

    def surrogate(query):
        wide = ops.repeat(query, samples, axis=0)
        slots = ops.repeat(ops.convert_to_tensor(memory), groups * samples, axis=0)
        context, choice = hard(wide, slots, return_choice=True, training=True)
        shape = (groups, samples)
        reward = ops.reshape(context[:, 0], shape)
        log_prob = ops.reshape(choice["log_prob"], shape)
        return -ops.sum(reinforce_loss(log_prob, reward, leave_one_out(reward)))

    def exact(query):
        return ops.sum(soft(query, ops.convert_to_tensor(memory))[:, 0])

    found = gradients(surrogate, [query], mode=QUICKEST)[0] / samples
    (expected,) = gradients(exact, [query[:1]])
    error = found.std(axis=0) / np.sqrt(groups)
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - expected[0]), 4.5 * error)
    assert error.max() < 0.1 * np.abs(expected).max()


def test_a_share_of_the_batch_is_soft_in_training_and_all_its_steps_are(batch):
    query = np.tile(batch[0][:1], (2000, 1, 1))
    memory = np.tile(batch[1][:1], (2000, 1, 1))
    hard, soft = twins(soft_rate=0.3)
    expected = ops.convert_to_numpy(soft(query, memory))
    context, choice = hard(query, memory, return_choice=True, training=True)
    context = ops.convert_to_numpy(context)
    is_soft = np.isclose(context, expected, atol=1e-6).all(axis=(1, 2))
    assert abs(is_soft.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 2000)
    assert (slots_of(context, memory)[~is_soft] >= 0).all()
    log_prob = ops.convert_to_numpy(choice["log_prob"])
    np.testing.assert_array_equal((log_prob == 0).all(axis=1), is_soft)
    np.testing.assert_array_equal((log_prob == 0).any(axis=1), is_soft)
    assert (slots_of(ops.convert_to_numpy(hard(query, memory)), memory) >= 0).all()


@pytest.mark.parametrize("soft_rate", [0.0, 0.5])
def test_each_step_draws_for_itself(batch, soft_rate):
    """Equal scores in all steps and rows, and no step tells of another."""
    query = np.tile(batch[0][:1, :1], (4000, 2, 1))
    memory = np.tile(batch[1][:1], (4000, 1, 1))
    hard, _ = twins(soft_rate=soft_rate)
    context, weights = hard(query, memory, return_attention_scores=True, training=True)
    slots = slots_of(ops.convert_to_numpy(context), memory)
    slots = slots[(slots >= 0).all(axis=1)]
    weights = ops.convert_to_numpy(weights)[0, 0]
    joint = np.zeros((SLOTS, SLOTS))
    np.add.at(joint, tuple(slots.T), 1 / len(slots))
    expected = weights[:, None] * weights
    error = np.sqrt(expected * (1 - expected) / len(slots))
    np.testing.assert_array_less(np.abs(joint - expected), 4.5 * error + 1e-9)


def test_who_is_soft_is_drawn_apart_from_the_slots(batch):
    query, memory = (np.tile(x[:1], (4000, 1, 1)) for x in batch[:2])
    noise, soft = twins(soft_rate=0.5)[0].draw(query, memory, training=True)
    noise = ops.convert_to_numpy(noise).ravel()[:4000]
    soft = ops.convert_to_numpy(soft)[:, 0, 0]
    assert abs(np.corrcoef(noise, soft)[0, 1]) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_soft_has_the_gradient_of_soft_attention(batch, mode):
    query, memory, mask = batch
    hard, soft = twins(soft_rate=1.0)

    def loss(layer, **options):
        def function(query, memory):
            kept = ops.convert_to_tensor(mask)
            context = layer(query, memory, value_mask=kept, training=True, **options)
            return ops.sum(ops.sin(3.0 * (context[0] if options else context)))

        return function

    found = gradients(
        loss(hard, return_choice=True),
        [query, memory],
        hard.trainable_weights,
        mode=mode,
    )
    expected = gradients(loss(soft), [query, memory], soft.trainable_weights)
    assert_same(found, expected)
    assert np.abs(found[0]).max() > 1e-3


@pytest.mark.parametrize("attend", ["before", "after"])
@pytest.mark.parametrize("mode", MODES)
def test_a_decoder_is_soft_for_whole_sequences(batch, attend, mode):
    query, memory = (np.tile(x[:1], (200, 1, 1)) for x in batch[:2])
    attention = BahdanauAttention(4, hard=True, soft_rate=0.5, seed=1)
    decoder = AttentionDecoder(keras.layers.GRUCell(4), attention, attend)
    tensors = [ops.convert_to_tensor(x) for x in (query, memory)]
    decoder(*tensors)  # built outside of any compilation

    def call(inputs, memory):
        return decoder(inputs, memory, return_choice=True, training=True)

    outputs, choice = in_mode(call, mode)(*tensors)
    slots = slots_of(ops.convert_to_numpy(outputs)[..., 4:], memory)
    is_soft = (slots < 0).all(axis=1)
    np.testing.assert_array_equal((slots < 0).any(axis=1), is_soft)
    assert 60 < is_soft.sum() < 140
    log_prob = ops.convert_to_numpy(choice["log_prob"])
    np.testing.assert_array_equal(log_prob[is_soft], 0.0)
    assert (log_prob[~is_soft] < 0).all()


@pytest.mark.parametrize("attend", ["before", "after"])
@pytest.mark.parametrize("mode", MODES)
def test_a_decoder_reads_one_slot_a_step(batch, attend, mode):
    query, memory, mask = batch
    inputs_mask = np.arange(4) < np.array([[4], [2], [4]])
    decoder = AttentionDecoder(
        keras.layers.GRUCell(4), BahdanauAttention(4, hard=True, seed=1), attend
    )

    def call(inputs, memory, training):
        return decoder(
            inputs,
            memory,
            inputs_mask=ops.convert_to_tensor(inputs_mask),
            memory_mask=ops.convert_to_tensor(mask),
            return_attention_scores=True,
            return_choice=True,
            return_state=True,
            training=training,
        )

    tensors = [ops.convert_to_tensor(x) for x in (query, memory)]
    call(*tensors, False)  # built outside of any compilation
    function = in_mode(lambda *x: call(*x, False), mode)
    outputs, weights, choice, states = function(*tensors)
    context = ops.convert_to_numpy(outputs)[..., 4:]
    slots = slots_of(context[:2], memory[:2])
    kept = inputs_mask[:2]
    best = ops.convert_to_numpy(weights)[:2].argmax(axis=-1)
    np.testing.assert_array_equal(slots[kept], best[kept])
    np.testing.assert_array_equal(context[2], 0.0)
    largest = ops.convert_to_numpy(weights)[:2].max(axis=-1)
    found = ops.convert_to_numpy(choice["log_prob"])
    np.testing.assert_allclose(found[:2][kept], np.log(largest[kept]), atol=1e-5)
    np.testing.assert_array_equal(found[~inputs_mask], 0.0)
    np.testing.assert_array_equal(found[2], 0.0)
    assert len(states) == 1
    stepped, _, _ = decoder.step(
        tensors[0][:, 0], [ops.zeros((3, 4))], tensors[1], memory_mask=mask
    )
    assert_same(outputs[:, 0], stepped)


class Lookup(keras.Model):
    """Reads a class from the slot whose key is asked for, and learns which that is."""

    def __init__(self, attend, samples=4):
        super().__init__()
        attention = BahdanauAttention(16, "scaled_dot", hard=True, seed=1)
        self.decoder = AttentionDecoder(keras.layers.GRUCell(16), attention, attend)
        self.classifier = keras.layers.Dense(3)
        self.samples = samples

    def call(self, inputs, training=False):
        asked, memory = inputs["asked"], inputs["memory"]
        if training:
            asked = ops.repeat(asked, self.samples, axis=0)
            memory = ops.repeat(memory, self.samples, axis=0)
        outputs, choice = self.decoder(asked, memory, return_choice=True)
        # What follows reads the context alone: there is no way around the memory.
        return {"logits": self.classifier(outputs[..., 16:]), **choice}

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        if training:
            y = ops.repeat(y, self.samples, axis=0)
        score = -keras.losses.sparse_categorical_crossentropy(
            y, y_pred["logits"], from_logits=True
        )
        if not training:
            return -ops.mean(score)
        # The log-likelihood of a step is the reward of its slot.
        reward = ops.reshape(score, (-1, self.samples, score.shape[-1]))
        log_prob = ops.reshape(y_pred["log_prob"], (-1, *reward.shape[1:]))
        entropy = ops.reshape(y_pred["entropy"], (-1, *reward.shape[1:]))
        surrogate = reinforce_loss(
            log_prob, reward, leave_one_out(reward), entropy, entropy_weight=0.02
        )
        return ops.mean(surrogate) - ops.mean(score)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if y.shape[0] != y_pred["logits"].shape[0]:
            y = ops.repeat(y, self.samples, axis=0)
        return super().compute_metrics(x, y, y_pred["logits"], sample_weight)


def lookups(count, seed):
    rng = np.random.default_rng(seed)
    keys = rng.permuted(np.tile(np.arange(SLOTS), (count, 1)), axis=1)
    classes = rng.integers(0, 3, (count, SLOTS))
    memory = np.concatenate([np.eye(SLOTS)[keys], np.eye(3)[classes]], axis=-1)
    asked = rng.integers(0, SLOTS, (count, 3))
    places = (keys[:, None] == asked[..., None]).argmax(axis=-1)
    labels = np.take_along_axis(classes, places, axis=1).astype("int32")
    return asked, memory.astype("float32"), labels, places


@pytest.mark.parametrize("attend", ["before", "after"])
def test_a_decoder_learns_which_slot_to_read(attend):
    asked, memory, labels, places = lookups(1024, seed=0)
    steps = np.eye(SLOTS, dtype="float32")[asked]
    if attend == "before":  # the state asks one step after it has heard the question
        steps = np.concatenate([steps, np.zeros_like(steps[:, :1])], axis=1)
        nothing = np.random.default_rng(1).integers(0, 3, (len(labels), 1))
        labels = np.concatenate([nothing.astype("int32"), labels], axis=1)
        places = np.concatenate([places[:, :1] * 0, places], axis=1)
    model = Lookup(attend)
    model.compile(
        keras.optimizers.Adam(0.01),
        metrics=["accuracy"],
        jit_compile=BACKEND != "torch",
    )
    inputs = {"asked": steps, "memory": memory}
    model.fit(inputs, labels, batch_size=64, epochs=25, verbose=0)
    outputs = model.decoder(steps, memory)
    read = slots_of(ops.convert_to_numpy(outputs)[..., 16:], memory)
    first = int(attend == "before")
    assert (read == places)[:, first:].mean() > 0.95
    answers = ops.convert_to_numpy(model.predict(inputs, verbose=0)["logits"])
    assert (answers.argmax(axis=-1) == labels)[:, first:].mean() > 0.95


def test_what_is_not_chosen_cannot_be_asked_for(batch):
    query, memory, _ = batch
    with pytest.raises(ValueError, match=r"`return_choice` needs .*hard=True"):
        BahdanauAttention(4)(query, memory, return_choice=True)
    decoder = AttentionDecoder(keras.layers.GRUCell(4), BahdanauAttention(4))
    with pytest.raises(ValueError, match=r"`return_choice` needs .*hard=True"):
        decoder(query, memory, return_choice=True)
    with pytest.raises(ValueError, match=r"`dropout` must be 0 with `hard`.*0\.1"):
        BahdanauAttention(4, hard=True, dropout=0.1)


def test_refuses_what_is_no_share_or_soft_already():
    with pytest.raises(ValueError, match=r"`soft_rate` must be in \[0, 1\].*1\.5"):
        BahdanauAttention(4, hard=True, soft_rate=1.5)
    with pytest.raises(ValueError, match=r"`soft_rate` needs `hard=True`.*0\.5"):
        BahdanauAttention(4, soft_rate=0.5)
