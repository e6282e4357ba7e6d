"""Train a residual Keras network and remove its useless layers in the same `fit`.

>>> x = keras.layers.Add()([x, keras_layer_prune.BernoulliGate()(branch)])
>>> model = keras_layer_prune.GatedModel(keras.Model(inputs, outputs))
>>> model.compile("adam", loss)
>>> model.fit(x, y, epochs=60, callbacks=[keras_layer_prune.PruneSections()])
>>> slim = keras_layer_prune.strip_gates(model.network)
"""

from keras_layer_prune.graph.difference import max_difference as max_difference
from keras_layer_prune.graph.finding.sections import find_sections as find_sections
from keras_layer_prune.graph.gating import gate_sections as gate_sections
from keras_layer_prune.graph.rebuild import (
    remove_closed_sections as remove_closed_sections,
)
from keras_layer_prune.graph.rebuild import strip_gates as strip_gates
from keras_layer_prune.layers.bernoulli_gate import BernoulliGate as BernoulliGate
from keras_layer_prune.layers.gated_layer import GatedLayer as GatedLayer
from keras_layer_prune.layers.gated_residual import GatedResidual as GatedResidual
from keras_layer_prune.report.latency import paired_latencies as paired_latencies
from keras_layer_prune.report.plots import plot_gates as plot_gates
from keras_layer_prune.report.run_report import write_report as write_report
from keras_layer_prune.report.summarize import summarize as summarize
from keras_layer_prune.training.backup.backup_and_restore import (
    BackupAndRestore as BackupAndRestore,
)
from keras_layer_prune.training.gated_model import GatedModel as GatedModel
from keras_layer_prune.training.prune_sections import PruneSections as PruneSections
from keras_layer_prune.training.tensorboard_gates import (
    TensorBoardGates as TensorBoardGates,
)
from keras_layer_prune.variational.flattening_prior import (
    FlatteningPrior as FlatteningPrior,
)
from keras_layer_prune.variational.gaussian_scale_mixture_prior import (
    GaussianScaleMixturePrior as GaussianScaleMixturePrior,
)
