"""Measured latencies: that calls are timed, not how long they take."""

import keras
import pytest
import tensorflow as tf

from keras_layer_prune import BernoulliGate, paired_latencies, summarize
from keras_layer_prune.report import latency


class Counts(keras.layers.Layer):
    """Keeps the shapes that it was run with, warming up included."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def call(self, inputs):
        def note(x):
            self.shapes.append(x.shape)
            return x

        outputs = tf.numpy_function(note, [inputs], inputs.dtype)
        outputs.set_shape(inputs.shape)
        return outputs


def counted(shape=(3,), dtype="float32"):
    layer = Counts()
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, layer(inputs)), layer


def dense(units):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])


def test_there_is_one_positive_number_for_each_model():
    times = paired_latencies([dense(1), dense(2), dense(3)], calls=3)
    assert len(times) == 3
    assert all(isinstance(seconds, float) and seconds > 0.0 for seconds in times)


def test_models_take_turns_and_the_median_counts(monkeypatch):
    # Calls of the first take 1, 9 and 3 seconds, those of the second 2, 4 and 8.
    seconds = iter([1.0, 2.0, 9.0, 4.0, 3.0, 8.0])
    monkeypatch.setattr(latency, "_seconds", lambda run: next(seconds))
    assert paired_latencies([dense(1), dense(2)], calls=3) == [3.0, 4.0]


def test_every_call_runs_the_model_on_a_batch_of_the_wanted_size():
    model, layer = counted()
    paired_latencies([model], batch_size=5, calls=7)
    assert set(layer.shapes) == {(5, 3)}
    assert len(layer.shapes) >= 7


def test_sizes_that_are_not_known_are_filled_in():
    model, layer = counted((None, 2))
    paired_latencies([model], calls=1)
    assert set(layer.shapes) == {(1, 16, 2)}


def test_a_batch_of_a_fixed_size_is_timed_as_it_is():
    layer = Counts()
    inputs = keras.Input(batch_shape=(4, 3))
    summarize(keras.Model(inputs, layer(inputs)))
    assert set(layer.shapes) == {(4, 3)}


def test_models_of_several_inputs_and_of_integers_run():
    first = keras.Input((2,), name="a")
    second = keras.Input((3,), dtype="int32", name="b")
    embedded = keras.layers.Embedding(4, 2)(second)
    flat = keras.layers.Flatten()(embedded)
    model = keras.Model(
        {"a": first, "b": second}, keras.layers.Concatenate()([first, flat])
    )
    assert paired_latencies([model], calls=1)[0] > 0.0


def test_models_that_take_strings_run():
    inputs = keras.Input((None,), dtype="string")
    numbers = keras.layers.StringLookup(vocabulary=["a", "b"])(inputs)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(4, 2)(numbers))
    branch = BernoulliGate()(keras.layers.Dense(2, "relu")(x))
    model = keras.Model(inputs, keras.layers.Add()([x, branch]))
    assert paired_latencies([model], calls=1)[0] > 0.0
    assert summarize(model, "sections").latency > 0.0


def test_what_others_save_is_the_median_of_the_differences_of_turns(monkeypatch):
    # Three turns of the model and the first of the others, then three and the second.
    seconds = [5.0, 4.0, 9.0, 2.0, 6.0, 3.0, 5.0, 6.0, 7.0, 9.0, 8.0, 8.5]
    monkeypatch.setattr(latency, "_seconds", lambda run: seconds.pop(0))
    others = (dense(units) for units in (2, 3))
    own, saved = latency.saved_latencies(dense(1), others, calls=3)
    assert own == 6.5  # of 5, 9, 6, 5, 7, 8
    assert saved == [3.0, -1.0]  # of 1, 7, 3, and of -1, -2, -0.5
    assert seconds == []


def test_without_others_the_model_alone_is_timed(monkeypatch):
    seconds = [1.0, 9.0, 3.0]
    monkeypatch.setattr(latency, "_seconds", lambda run: seconds.pop(0))
    assert latency.saved_latencies(dense(1), [], calls=3) == (3.0, [])


@pytest.mark.parametrize("calls", [1, 4])
def test_as_many_calls_are_timed_as_were_asked_for(monkeypatch, calls):
    timed = []
    monkeypatch.setattr(latency, "_seconds", lambda run: timed.append(run) or 1.0)
    paired_latencies([dense(1)], calls=calls)
    assert len(timed) == calls


def test_a_model_that_cannot_be_read_is_refused():
    class Opaque(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="subclassed model"):
        paired_latencies([Opaque()])
