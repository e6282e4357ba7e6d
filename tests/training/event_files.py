"""What stands in the files that TensorBoard reads."""

import collections

import tensorflow as tf


def events(folder):
    """The values in the files of a folder: lists, by tag and by step."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for path in sorted(folder.glob("*tfevents*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                content = tf.make_ndarray(value.tensor)
                found[value.tag][event.step].append(content.reshape(-1)[0])
    return found


def single(steps):
    """Values of a tag by step, each of which was written once."""
    assert all(len(values) == 1 for values in steps.values())
    return {step: values[0] for step, values in steps.items()}
