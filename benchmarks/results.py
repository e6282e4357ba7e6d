"""Results of benchmarks: kept as JSON, with what is needed to read them."""

import json
import os
import platform
import shlex
import statistics
import sys
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_probability as tfp

FOLDER = Path(__file__).parent / "results"

# The examples' networks and data sets are the benchmarks' too.
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))


def save(name, settings, rows, command=None):
    """Write one benchmark's rows; the command that makes them is part of the result.

    Args:
        name: String, the file's name.
        settings: Dictionary.
        rows: List of dictionaries.
        command: String, for a benchmark that can be run in parts. None: as it was run.
    """
    FOLDER.mkdir(exist_ok=True)
    result = {
        "command": command or shlex.join(["python", *sys.argv]),
        "machine": machine(),
        "versions": versions(),
        "settings": settings,
        "rows": rows,
    }
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {path}")


def rows_of(name):
    """The rows that an earlier run has left; none if there was none."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def machine():
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "system": platform.system(),
        # At the end of the run: about the number of busy cores, this run's included.
        "load average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def versions():
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "tensorflow_probability": tfp.__version__,
    }


def spread(values):
    """Mean, smallest and largest of some numbers, as text-free data."""
    return {
        "mean": statistics.fmean(values),
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }
