"""Does a training that is killed again and again end as one that never was?

    python benchmarks/kills.py

Trains a small residual network, with several pruning events, in a process of its own,
without any backup. Then trains it again under `BackupAndRestore`: SIGKILL hits it in
the middle of a step, of a rebuild, of a write of the backup, and at moments that follow
no plan; the same command starts it again, until it ends. Weights, gates, the optimizer,
random states, the pruning log and the history are compared to the bit, and each restart
with the last backup that was complete: nothing else may be lost.
"""

import argparse
import collections
import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECTIONS, EPOCHS, STEPS, SAVE_FREQ = 4, 6, 10, 4
LOST = "restarts from another place than the last backup"
PHASES = ("step", "rebuild", "write", "any")
# The longest time, in seconds, from the mark of a phase to the kill.
DELAY = {"step": 0.02, "rebuild": 0.5, "write": 0.03, "any": 20.0}
# The largest number of marks of a phase to wait for.
COUNT = {"step": 20, "rebuild": 2, "write": 6, "any": 1}


def main():
    arguments = parse_arguments()
    if arguments.train:
        train(arguments.train, arguments.backup, arguments.marks)
        return
    dice = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "never killed"
        Child(reference).wait()
        events = len({e["event"] for e in outcome(reference)[0]["log"]})
        print(f"never killed: {events} pruning events", flush=True)
        rows = []
        while sum(row["kills"] for row in rows) < arguments.kills:
            left = arguments.kills - sum(row["kills"] for row in rows)
            run = Path(folder) / f"run {len(rows)}"
            kills = min(left, arguments.kills_per_run)
            rows.append(killed_run(run, reference, kills, dice))
            print(rows[-1], flush=True)
    settings = {**vars(arguments), "pruning events": events}
    report(rows)
    if not arguments.check:
        import results

        results.save("kills", settings, rows)
    if not all(row["bit-identical"] and not row[LOST] for row in rows):
        sys.exit("a run did not end as the one that was never killed")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kills-per-run", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="write no results")
    # What this command starts itself with.
    for name in ("--train", "--backup", "--marks"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    return parser.parse_args()


# The parent: it kills, starts again, and compares.


def killed_run(folder, reference, kills, dice):
    """Train in a folder, killed so many times; return what came of it."""
    hits = collections.Counter()
    lost = []
    complete = begun = 0
    while True:
        child = Child(folder, folder.with_name(f"{folder.name} backup"))
        target = draw_target(dice) if sum(hits.values()) < kills else None
        was_killed = child.watch(target, dice)
        lost += [mark for mark in child.starts if mark not in (complete, begun)]
        # A backup that was being written is there or not.
        complete = complete if child.complete is None else child.complete
        begun = begun if child.begun is None else child.begun
        if not was_killed:
            break
        hits[child.phase] += 1
    return {
        "kills": sum(hits.values()),
        "hit in": dict(hits),
        "bit-identical": same(outcome(folder), outcome(reference)),
        LOST: lost,
    }


def draw_target(dice):
    phase = dice.choice(PHASES)
    return phase, dice.randint(1, COUNT[phase])


class Child:
    """One process that trains, and the marks that it makes on its way.

    Attributes:
        phase: What it was doing when it was killed.
        begun, complete: Positions of the last backup begun, and completed.
        starts: Position at which it began to train, if it came so far, in a list.
    """

    def __init__(self, folder, backup=None):
        reader, writer = os.pipe()
        command = [sys.executable, __file__, "--train", str(folder)]
        if backup:
            command += ["--backup", str(backup), "--marks", str(writer)]
        self._process = subprocess.Popen(command, pass_fds=[writer])
        os.close(writer)
        self._reader = reader
        self._rest = b""
        self.phase = "start"
        self.begun = self.complete = None
        self.starts = []

    def wait(self):
        if self._process.wait():
            sys.exit("the training failed")

    def watch(self, target, dice):
        """Kill the process where it is to be killed; return whether it was."""
        deadline = None
        counts = collections.Counter()
        while True:
            timeout = None if deadline is None else max(0, deadline - time.monotonic())
            if not select.select([self._reader], [], [], timeout)[0]:
                self._process.send_signal(signal.SIGKILL)
                while self._read_marks():
                    pass
                # It may have ended by itself a moment before.
                return self._process.wait() == -signal.SIGKILL
            marks = self._read_marks()
            if not marks:
                self.wait()
                return False
            for mark in marks:
                counts[mark] += 1
                counts["any"] += 1
                if deadline is None and target and counts[target[0]] == target[1]:
                    # More often soon after the mark than late.
                    delay = DELAY[target[0]] * dice.random() ** 2
                    deadline = time.monotonic() + delay

    def _read_marks(self):
        """Names of the phases that have begun; empty at the end of the process."""
        chunk = os.read(self._reader, 65536)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        names = []
        for line in lines:
            name, position = json.loads(line)
            self.phase = name.removeprefix("end of ")
            if name.startswith("end of "):
                self.phase = "between"
            if name == "write" and not self.starts:
                # Without a backup to go on from, the beginning is saved.
                self.starts.append(position)
            if name == "write":
                self.begun = position
            elif name == "end of write":
                self.complete = position
            if name == "restart":
                self.starts.append(position)
            names.append(name)
        return names or (["nothing"] if chunk else [])


def outcome(folder):
    import numpy as np

    with np.load(folder / "variables.npz", allow_pickle=False) as arrays:
        variables = {
            name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()
        }
    return json.loads((folder / "rest.json").read_text()), variables


def same(one, other):
    return one == other


def report(rows):
    hits = sum(
        (collections.Counter(row["hit in"]) for row in rows),
        start=collections.Counter(),
    )
    print(f"{sum(hits.values())} kills in {len(rows)} runs, by moment: {dict(hits)}")
    print(f"bit-identical: {sum(row['bit-identical'] for row in rows)} of {len(rows)}")
    print(f"{LOST}: {sum(len(row[LOST]) for row in rows)}")


# The child: a script as users write it, and marks for the parent.


def train(folder, backup, marks):
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_layer_prune as klp

    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    x = np.random.default_rng(0).normal(size=(16 * STEPS - 5, 8)).astype("float32")
    y = np.abs(x).mean(axis=1, keepdims=True)

    model = klp.GatedModel(network())
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(3e-3, 60)),
        "mse",
        metrics=["mae"],
        jit_compile=False,
        gate_step_size=0.03,
    )
    prune = klp.PruneSections(settle_by=0.8, every=4, min_saving=0.0, verbose=0)
    callbacks = [prune]
    if backup:
        callbacks.append(
            klp.BackupAndRestore(backup, save_freq=SAVE_FREQ, delete_checkpoint=False)
        )
    make_marks(int(marks or -1), callbacks)
    history = model.fit(
        x,
        y,
        batch_size=16,
        epochs=EPOCHS,
        validation_data=(x[:20], y[:20]),
        callbacks=callbacks,
        verbose=0,
    )

    # A kill may hit it when the training is over, too.
    Path(folder).mkdir(exist_ok=True)
    variables = [*model.variables, *model.optimizer.variables]
    arrays = {f"{i} {v.path}": v.numpy() for i, v in enumerate(variables)}
    rest = {
        "layers": [layer.name for layer in model.network.layers],
        "log": list(model.pruning_log),
        "history": history.history,
        "epochs": history.epoch,
        "trajectories": prune.trajectories,
    }
    (Path(folder) / "rest.json").write_text(json.dumps(rest))
    np.savez(Path(folder) / "variables.npz", **arrays)


def network():
    """Sections whose gates start and are priced so that they close one by one."""
    import keras

    import keras_layer_prune as klp

    x = inputs = keras.Input((8,))
    for index in range(SECTIONS):
        branch = keras.layers.Dense(16, activation="tanh")(x)
        branch = keras.layers.BatchNormalization()(branch)
        branch = keras.layers.Dropout(0.1)(branch)
        branch = keras.layers.Dense(8)(branch)
        # The first one is paid for staying.
        prior = klp.FlatteningPrior(log_gamma=200.0 if index else -200.0)
        branch = klp.BernoulliGate(prior, 0.8 - 0.2 * index)(branch)
        x = keras.layers.Add()([x, branch])
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def make_marks(descriptor, callbacks):
    """Tell the parent what happens, from outside of the package."""
    if descriptor < 0:
        return
    import keras

    from keras_layer_prune.training import gated_model
    from keras_layer_prune.training.backup import backup_and_restore, files

    def mark(name, position=None):
        os.write(descriptor, f"{json.dumps([name, position])}\n".encode())

    @contextlib.contextmanager
    def phase(name, position=None):
        mark(name, position)
        yield
        mark(f"end of {name}", position)

    write, shrink = files.Generations.write, gated_model.shrink
    restore = backup_and_restore.restore_network

    def marked_write(self, number, state, arrays):
        where = state["position"]
        with phase("write", where["epoch"] * STEPS + where["step"]):
            write(self, number, state, arrays)

    def marked_shrink(*args):
        with phase("rebuild"):
            shrink(*args)

    def marked_restore(model, state):
        where = state["position"]
        with phase("restart", where["epoch"] * STEPS + where["step"]):
            restore(model, state)

    class Steps(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            mark("step")

        def on_train_batch_end(self, batch, logs=None):
            mark("end of step")

    files.Generations.write = marked_write
    gated_model.shrink = marked_shrink
    backup_and_restore.restore_network = marked_restore
    callbacks.insert(0, Steps())


if __name__ == "__main__":
    main()
