"""The last two generations of a backup, and which of them is whole."""

import warnings

from keras_layer_prune._checks import sentence
from keras_layer_prune.training.backup.files import DamagedError, Generations

_NOT_BEGUN = (
    "Nothing has been trained in this `fit`. Make room if there is none, or give "
    "`BackupAndRestore` a folder in which files can be written and read, or a path at "
    "which one can be made."
)
_GOES_ON = (
    "The one before it is as it was. Make room, or put right what else is wrong, and "
    "run the same script again: it goes on from there."
)


class Store:
    """Saves one generation after the other; finds the newest one that is whole.

    Args:
        directory: `pathlib.Path`.
    """

    def __init__(self, directory):
        self._generations = Generations(directory)
        # The generation to fall back on is one that this process has read or written.
        # Without any, it has yet to begin.
        self._whole = None

    def save(self, state, arrays):
        """Write the next generation; keep the one before it and no other.

        Args:
            state: Dictionary that can be written as JSON.
            arrays: Dictionary of NumPy arrays.

        Raises:
            OSError: If it cannot be written.
        """
        generations = self._generations
        try:
            number = max(generations.numbers(), default=-1) + 1
            generations.write(number, state, arrays)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The backup in `{generations.directory}` could not be written: "
                f"{sentence(error)} {_NOT_BEGUN if self._whole is None else _GOES_ON}",
            ) from error
        kept = (number, self._whole)
        generations.remove([n for n in generations.numbers() if n not in kept])
        self._whole = number

    def newest(self):
        """State and arrays of the newest generation that is whole, or None.

        Raises:
            OSError: If the folder cannot be searched.
            ValueError: If there are generations and all are damaged.
        """
        damages = []
        for number in self._numbers():
            try:
                state, arrays = self._generations.read(number)
            except DamagedError as error:
                damages.append(str(error))
                continue
            self._whole = number
            if damages:
                self._warn(damages, number, state["position"])
            return state, arrays
        if damages:
            raise ValueError(
                f"Every backup in `{self._generations.directory}` is damaged: "
                f"{'; '.join(damages)}. Nothing has been deleted. Put an undamaged "
                "copy in its place, or delete the directory to train from the "
                "beginning."
            )
        return None

    def _numbers(self) -> list[int]:
        try:
            return self._generations.numbers()
        except OSError as error:
            raise OSError(
                error.errno,
                f"`{self._generations.directory}` could not be searched for a backup: "
                f"{sentence(error)} {_NOT_BEGUN}",
            ) from error

    def _warn(self, damages, number, position):
        warnings.warn(
            f"The last backup is damaged: {'; '.join(damages)}. The training goes on "
            f"from the one before it, `{self._generations.path(number)}`: epoch "
            f"{position['epoch'] + 1}, step {position['step']}.",
            stacklevel=4,
        )

    def tidy(self):
        """Remove what a process that was killed has left half done."""
        self._generations.remove_unfinished()

    def clear(self):
        """Remove the whole backup, but nobody else's files."""
        self.tidy()
        self._generations.remove(self._generations.numbers())
