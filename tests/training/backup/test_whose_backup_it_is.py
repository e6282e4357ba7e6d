"""A backup is loaded into its own training only, and no other one touches it."""

import csv
import pathlib
import subprocess
import sys

import keras
import pytest
from killed import EPOCHS, Kill, Killed, Script, X, Y, assert_same, make_model, network
from small_models import FEATURES, compiled, gate
from test_damage import bytes_of

from keras_layer_prune import (
    BackupAndRestore,
    GatedModel,
    GatedResidual,
    PruneSections,
)
from keras_layer_prune.training.backup.identity import network_lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The backup of a training that was killed in its second step."""
    folder = tmp_path_factory.mktemp("backup")
    with pytest.raises(Killed):
        Script(folder).run(Kill(0, 1))
    return folder


def assert_refused(folder, match, script=None, **fit):
    before = bytes_of(folder)
    with pytest.raises(ValueError, match=match) as error:
        (script or Script(folder)).run(**fit)
    assert "Nothing has been changed" in str(error.value)
    assert bytes_of(folder) == before


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("network.*Dense", lambda: compiled(network(sections=4))),
        (
            'network.*"rate": 0.2.*Received.*"rate": 0.3',
            lambda: compiled(network(dropout=0.3)),
        ),
    ],
)
def test_another_network_is_refused(what, make, folder):
    assert_refused(folder, what, Script(folder, make=make))


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        (
            "compile: .*optimizer.*Received.*SGD",
            {"optimizer": keras.optimizers.SGD(0.01)},
        ),
        (
            "compile: .*learning_rate.*Received.*: 0.0[12]",
            {"optimizer": keras.optimizers.Adam(0.02)},
        ),
        ("compile: .loss.*mae", {"loss": "mae"}),
        ("compile: .gate_step_size.*0.5", {"gate_step_size": 0.5}),
        ("compile: .metrics", {"metrics": ["mse"]}),
    ],
)
def test_another_compile_is_refused(what, arguments, folder):
    def make():
        return make_model(**arguments)

    assert_refused(folder, what, Script(folder, make=make))


def test_other_data_is_refused(folder):
    fewer = {"validation_data": None, "validation_split": 0.25}
    assert_refused(folder, "number of training examples: `45`. Received: `33`", **fewer)
    assert_refused(folder, "steps per epoch: `6`. Received: `12`", batch_size=4)


def test_another_pruning_is_refused(folder, monkeypatch):
    monkeypatch.setattr(
        "killed.PruneSections", lambda **_: PruneSections(settle_by=0.3)
    )
    assert_refused(folder, "callbacks.*0.8.*Received.*0.3")


def decided_before(**arguments):
    """A model of which a section left before its training."""
    model = make_model(**arguments)
    model.decide(closed=model.gates[:1])
    return model


def test_a_model_of_which_less_was_decided_is_refused(tmp_path):
    with pytest.raises(Killed):
        Script(tmp_path, make=decided_before, train_size=45).run(Kill(0, 1))
    script = Script(tmp_path, train_size=45)
    what = "began with 1 decided sections. Received: .* with 0"
    assert_refused(tmp_path, what, script)


def test_another_compile_is_refused_where_more_has_been_decided(tmp_path):
    with pytest.raises(Killed):
        Script(tmp_path, train_size=45).run(Kill(0, 1))
    script = Script(tmp_path, make=decided_before, train_size=45, loss="mae")
    assert_refused(tmp_path, "compile: .loss.*mae", script)


def cropped():
    """A network whose crops Keras gives another seed in each run of the script."""
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.RandomCrop(3, 3)(inputs)
    x = keras.layers.Flatten()(keras.Sequential([keras.layers.RandomCrop(2, 2)])(x))
    x = GatedResidual(keras.layers.Dense(4, "tanh"))(x)
    return GatedModel(keras.Model(inputs, x)).network


def test_a_seed_that_keras_draws_for_crops_is_no_difference():
    assert network_lines(cropped()) == network_lines(cropped())


def test_a_fit_that_would_end_before_the_backup_is_refused(tmp_path):
    script = Script(tmp_path)
    with pytest.raises(Killed):
        script.run(Kill(2, 1), save_freq=2)
    has_done = "has trained for 2 epochs and 0 steps. Received: epochs=1"
    assert_refused(tmp_path, has_done, script, epochs=1)
    with pytest.raises(Killed):
        script.run(Kill(2, 4), save_freq=2)
    has_done = "has trained for 2 epochs and 4 steps. Received: epochs=2"
    assert_refused(tmp_path, has_done, script, epochs=2)


def in_another_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return make_model()
    finally:
        keras.config.set_dtype_policy(before)


def test_another_precision_is_refused(folder):
    script = Script(folder, make=in_another_precision)
    assert_refused(folder, "network.*float32.*Received.*bfloat16", script)


def graph_in_a_layer(*kinds):
    """What makes a model with a section of several layers, which Keras names."""

    def make():
        x = outputs = keras.Input((FEATURES,))
        for kind in kinds:
            outputs = kind()(outputs)
        section = GatedResidual(keras.Model(x, outputs), gate=gate(None))
        inputs = keras.Input((FEATURES,))
        return compiled(keras.Model(inputs, keras.layers.Dense(1)(section(inputs))))

    return make


def dense():
    return keras.layers.Dense(FEATURES)


def test_names_that_keras_numbers_inside_of_a_layer_do_not_matter(tmp_path):
    make = graph_in_a_layer(dense, keras.layers.ReLU)
    for _ in range(2):
        with pytest.raises(Killed):
            Script(tmp_path, make=make).run(Kill(0, 1))
    other = graph_in_a_layer(keras.layers.ReLU, dense)
    assert_refused(tmp_path, "network", Script(tmp_path, make=other))


def test_names_that_keras_numbers_and_ways_to_compute_do_not_matter(tmp_path):
    with pytest.raises(Killed):
        Script(tmp_path).run(Kill(0, 1))
    for _ in range(3):
        keras.layers.Dense(1)
    script = Script(tmp_path, run_eagerly=False)
    with pytest.raises(Killed):
        script.run(Kill(0, 1))


def test_a_training_that_is_done_is_not_done_again(tmp_path):
    done = Script(tmp_path).run(save_freq=4)
    before = bytes_of(tmp_path)
    again = Script(tmp_path).run(Kill(EPOCHS - 1, 0), save_freq=4)
    assert_same(again, done)
    assert bytes_of(tmp_path) == before


def test_a_backup_is_deleted_after_the_training_and_files_of_others_are_not(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Killed):
        Script(tmp_path).run(Kill(0))
    assert len(list(tmp_path.iterdir())) == 2
    Script(tmp_path).run(delete=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


HOLDER = """
import sys, time
from pathlib import Path
from keras_layer_prune.training.backup import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_directory_that_another_process_trains_with_is_refused(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match=f"in use by process {holder.pid}"):
            Script(tmp_path).run()
        (left,) = tmp_path.iterdir()
        assert left.name == ".keras_layer_prune.lock"
        holder.kill()
    # The file that it left behind keeps nobody out.
    Script(tmp_path).run(epochs=1, delete=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_users_called_lock_stays(tmp_path):
    (tmp_path / "lock").write_text("mine")
    Script(tmp_path).run(epochs=1, delete=True)
    assert (tmp_path / "lock").read_text() == "mine"


def test_a_model_that_was_pruned_further_than_the_backup_is_refused(tmp_path):
    script = Script(tmp_path)
    with pytest.raises(Killed):
        script.run(Kill(1))
    script.model.decide(closed=script.model.gates[:1])
    fit_again = {"epochs": EPOCHS, "batch_size": 8, "verbose": 0}
    backup = BackupAndRestore(tmp_path)
    with pytest.raises(ValueError, match="pruned further than the backup.*anew"):
        script.model.fit(X, Y, callbacks=[script.prune, backup], **fit_again)


def test_only_the_chief_of_several_machines_writes(tmp_path, monkeypatch):
    extended = type(make_model().distribute_strategy.extended)
    monkeypatch.setattr(extended, "should_checkpoint", False)
    with pytest.raises(Killed):
        Script(tmp_path).run(Kill(0))
    assert list(tmp_path.iterdir()) == []


def test_networks_that_are_not_gated_are_sent_to_the_callback_of_keras(tmp_path):
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="keras.callbacks.BackupAndRestore"):
        model.fit(X, Y, callbacks=[BackupAndRestore(tmp_path)], verbose=0)


def test_two_backups_in_one_fit_are_refused(tmp_path):
    backups = [BackupAndRestore(tmp_path), BackupAndRestore(tmp_path / "b")]
    with pytest.raises(ValueError, match="one `BackupAndRestore`. Received: 2"):
        make_model().fit(X, Y, callbacks=backups, verbose=0)


@pytest.mark.parametrize("save_freq", [0, -1, 1.5, True, False, "batch", None])
def test_save_freq_is_epoch_or_a_number_of_steps(save_freq, tmp_path):
    with pytest.raises(ValueError, match='"epoch", or an int of at least 1.*Received'):
        BackupAndRestore(tmp_path, save_freq=save_freq)


@pytest.mark.parametrize("directory", [None, "", 3, b"x"])
def test_directory_is_a_path(directory):
    with pytest.raises(TypeError, match="`directory` must be a string or a path"):
        BackupAndRestore(directory)


def test_directory_is_no_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="which is a file"):
        BackupAndRestore(tmp_path / "file")


def test_its_config_makes_the_same_callback():
    config = BackupAndRestore("a", save_freq=3, delete_checkpoint=False).get_config()
    assert config == {"directory": "a", "save_freq": 3, "delete_checkpoint": False}
    assert BackupAndRestore(**config).get_config() == config


def test_an_order_of_data_that_nothing_repeats_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setattr("tensorflow.compat.v1.get_seed", lambda _: (87654321, 0))
    backup = BackupAndRestore(tmp_path, save_freq=3)
    model = GatedModel(network())
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.warns(UserWarning, match="cannot be repeated.*set_random_seed"):
        model.fit(X, Y, callbacks=[backup], verbose=0)


@pytest.mark.parametrize(
    "address",
    [
        "gs://bucket/backup",
        "s3://bucket/backup",
        pathlib.Path("gs://bucket/backup"),
        pathlib.PureWindowsPath("gs://bucket/backup"),
    ],
    ids=repr,
)
def test_an_address_is_not_taken_for_a_folder(address):
    with pytest.raises(ValueError, match="a folder of a file system.*Mount"):
        BackupAndRestore(address)


def test_a_log_that_would_lose_its_rows_is_told(tmp_path):
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    with pytest.warns(UserWarning, match="`CSVLogger` begins its file anew"):
        Script(tmp_path / "backup").run(log, epochs=1)


def test_a_log_that_is_appended_to_keeps_its_rows(tmp_path):
    logs = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True) for _ in range(2)
    ]
    with pytest.raises(Killed):
        Script(tmp_path / "backup").run(logs[0], Kill(1))
    logs[0].csv_file.close()
    Script(tmp_path / "backup").run(logs[1])
    with (tmp_path / "log.csv").open() as file:
        epochs = [int(row["epoch"]) for row in csv.DictReader(file)]
    # The second epoch was not saved when the process was killed.
    assert epochs == [0, 1, *range(1, EPOCHS)]
