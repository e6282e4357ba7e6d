"""How many examples there are: inferred from the data, or asked for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import (
    chain,
    compiled,
    data,
    freeze_gates,
)

from keras_layer_prune.training.step.train_size import infer_train_size

X, Y = data(10)


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    @property
    def num_batches(self):
        return self.batches

    def __getitem__(self, index):
        return X[:4], Y[:4]


def frozen_model(**arguments):
    return compiled(freeze_gates(chain()), **arguments)


def priced_model():
    """One whose gates cost what depends on the number of training examples."""
    return compiled(freeze_gates(chain(price=0.1)))


def dataset(**arguments):
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4, **arguments)


@pytest.mark.parametrize(
    "x",
    [X, tf.constant(X), {"a": X, "b": Y}, [X, Y], {"a": None, "b": X}],
    ids=["array", "tensor", "dictionary", "list", "optional"],
)
def test_arrays_tell_their_length(x):
    assert infer_train_size(x) == 10


class Loader:
    """Like PyTorch's: its length is the number of its batches."""

    def __len__(self):
        return 3

    def __iter__(self):
        return iter([(X[:4], Y[:4])] * 3)


def test_what_counts_its_batches_is_asked_for():
    with pytest.raises(ValueError, match="in a Loader is not known.*train_size=60_000"):
        infer_train_size(Loader())


def test_validation_examples_do_not_train():
    model = frozen_model()
    model.fit(X, Y, validation_split=0.3, epochs=0)
    assert model.train_size == 7


def test_validation_data_goes_before_the_split():
    model = frozen_model()
    model.fit(X, Y, validation_split=0.3, validation_data=(X, Y), epochs=0)
    assert model.train_size == 10


def test_a_dataset_tells_its_batches():
    assert infer_train_size(dataset(drop_remainder=True)) == 8


def test_a_dataset_with_a_smaller_last_batch_is_off_by_less_than_a_batch():
    assert 10 <= infer_train_size(dataset()) < 14


def test_repeated_epochs_of_a_dataset_count_as_one_longer_epoch():
    assert infer_train_size(dataset(drop_remainder=True).repeat(3)) == 24


def test_a_pydataset_tells_its_batches():
    assert infer_train_size(Batches(5)) == 20


@pytest.mark.parametrize(
    "batch",
    [X[:4], (X[:4],), {"a": X[:4]}, ({"a": None, "b": X[:4]}, Y[:4])],
    ids=["array", "tuple", "dictionary", "optional"],
)
def test_batches_of_a_pydataset_may_be_what_keras_takes(batch):
    dataset = Batches(5)
    dataset.__class__ = type("Others", (Batches,), {"__getitem__": lambda *_: batch})
    assert infer_train_size(dataset) == 20


def generator():
    yield X, Y


UNKNOWN = {
    "generator": generator,
    "infinite": lambda: dataset().repeat(),
    "unknown": lambda: dataset().filter(lambda x, y: True),
    "infinite_pydataset": lambda: Batches(None),
    "different_lengths": lambda: [X, X[:3]],
    "scalar": lambda: np.array(3.0),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_data_of_unknown_size_is_an_error_that_asks_for_it(name):
    model = priced_model()
    with pytest.raises(ValueError, match=r"not known.*train_size=60_000"):
        model.fit(UNKNOWN[name](), steps_per_epoch=1, shuffle=False, verbose=0)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    ("name", "kind"), [("infinite", "endless"), ("unknown", "unknown")]
)
def test_the_error_says_how_many_batches_there_are(name, kind):
    with pytest.raises(ValueError, match=f"number of batches.*is {kind}"):
        infer_train_size(UNKNOWN[name]())


@pytest.mark.parametrize("name", ["generator", "infinite", "unknown"])
def test_with_default_prices_no_size_is_needed(name):
    model = frozen_model()
    model.fit(UNKNOWN[name](), steps_per_epoch=1, shuffle=False, verbose=0)
    assert model.train_size is None
    assert model.optimizer.iterations == 1
    # The default prior on weights is an L2 penalty of 0.0005.
    squares = sum(np.sum(np.square(w)) for w in model.weights_under_prior)
    cost = float(model.weight_cost())
    assert cost == pytest.approx(0.0005 * squares, rel=1e-5)


@pytest.mark.parametrize("make", [frozen_model, priced_model])
def test_data_is_read_before_the_first_step_only_if_a_price_needs_it(make):
    read = []

    def note(x, y):
        read.append(len(x))
        return x, y

    data = dataset().map(lambda x, y: tf.numpy_function(note, [x, y], [x.dtype] * 2))
    data = data.map(lambda x, y: (tf.ensure_shape(x, (None, *X.shape[1:])), y))
    model = make()
    model.fit(data, epochs=0, shuffle=False)
    assert bool(read) == (make is priced_model)


@pytest.mark.parametrize("make", [frozen_model, priced_model])
def test_no_validation_split_may_be_none(make):
    make().fit(X, Y, validation_split=None, epochs=0)


@pytest.mark.parametrize(("rows", "split"), [(10, 1.0), (10, 2.0), (0, 0.0)])
def test_a_price_needs_examples(rows, split):
    with pytest.raises(ValueError, match="There are no training examples"):
        priced_model().fit(X[:rows], Y[:rows], validation_split=split)


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_a_dataset_without_batches_has_no_examples(drop_remainder):
    with pytest.raises(ValueError, match="There are no training examples"):
        infer_train_size(dataset(drop_remainder=drop_remainder).take(0))


@pytest.mark.parametrize("name", ["generator", "infinite", "unknown"])
def test_with_a_given_size_any_data_trains(name):
    model = frozen_model(train_size=50)
    model.fit(UNKNOWN[name](), steps_per_epoch=1, shuffle=False, verbose=0)
    assert model.train_size == 50
    assert model.optimizer.iterations == 1


def test_a_generator_is_not_touched_before_the_error():
    taken = []

    def counted():
        for _ in range(2):
            taken.append(1)
            yield X, Y

    with pytest.raises(ValueError, match="generator is not known"):
        priced_model().fit(counted())
    assert taken == []


def test_a_given_size_goes_before_the_data():
    model = frozen_model(train_size=1000)
    model.fit(X, Y, epochs=0)
    assert model.train_size == 1000


def test_a_section_costs_its_nats_over_the_training_set():
    model = compiled(chain((0.9,), price=2.0, train_size=100), train_size=50)
    assert model.price(model.gates[0]) == pytest.approx(4.0)


def test_a_new_size_counts_in_the_next_fit():
    network = freeze_gates(chain((0.9,), price=1.0, train_size=10))
    model = compiled(network, run_eagerly=False)
    for rows in (10, 5):
        logs = model.fit(X[:rows], Y[:rows], verbose=0).history
        assert model.train_size == rows
    # 0.9 of a section that costs 10 nats over 5 examples, and little else besides.
    added = logs["loss"][0] - logs["data_loss"][0]
    assert added == pytest.approx(0.9 * 2.0 + model.weight_cost().numpy(), rel=0.1)


@pytest.mark.parametrize("train_size", [60_000.0, "many", True, np.float32(3.0)])
def test_a_size_that_is_no_integer_is_refused(train_size):
    with pytest.raises(TypeError, match=r"must be an int.*Received: train_size="):
        frozen_model(train_size=train_size)


def test_a_size_may_be_an_integer_of_numpy():
    assert frozen_model(train_size=np.int64(50)).train_size == 50


@pytest.mark.parametrize("train_size", [0, -5])
def test_a_size_that_is_not_positive_is_refused(train_size):
    with pytest.raises(ValueError, match=f"greater than 0.*train_size={train_size}"):
        frozen_model(train_size=train_size)
