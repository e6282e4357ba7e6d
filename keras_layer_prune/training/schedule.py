"""When gates are decided, in whole steps and epochs; exact, as floats are not."""

import fractions
import math

_FINEST = fractions.Fraction(1, 10**9)

# With less, gates decide worse; with more, what leaves was trained for longer.
_STEPS_TO_MOVE = 800
_SHARE_TO_MOVE = 0.1

# What stays has the other half of the training for itself.
LATEST_SETTLING = 0.5


def default_settling(hold, total_steps) -> float:
    """The share of a training after which all gates are decided, unless one is given.

    Gates move for a tenth of the training, or for 800 steps if that is more, and no
    longer than to its middle.

    Args:
        hold: Float, share of the training in which gates hold.
        total_steps: Int, steps of the whole training. 0: not known.
    """
    if not total_steps:
        return LATEST_SETTLING
    moving = max(_SHARE_TO_MOVE, _STEPS_TO_MOVE / total_steps)
    return min(hold + moving, LATEST_SETTLING)


# To trace a step again takes about as long as so many steps.
_STEPS_OF_A_TRACE = 100
_LEAST_SAVING = 0.2


def default_min_saving(steps_left) -> float:
    """The share of the MACs for which it is worth to trace the step again.

    It has to save as much as a trace costs before the next one is due anyway.

    Args:
        steps_left: Int, steps until all gates are decided.
    """
    return max(_LEAST_SAVING, _STEPS_OF_A_TRACE / max(steps_left, 1))


def exact(share: float) -> fractions.Fraction:
    """The fraction that a float stands for: 20 times 0.55 is 11, and not a bit more."""
    return fractions.Fraction(share).limit_denominator(_FINEST.denominator)


def settling_step(settle_by, epochs, steps) -> int:
    """The number of steps after which all gates are decided.

    Args:
        settle_by: Float, share of the training after which all gates are decided.
        epochs: Int, epochs of the training.
        steps: Int, steps of an epoch.
    """
    return max(1, math.ceil(exact(settle_by) * epochs * steps))


def settling_epoch(settle_by, epochs) -> int:
    """The first epoch, counted from 0, at whose end all gates are decided.

    It is that of `settling_step`, however many steps an epoch has.
    """
    return settling_step(settle_by, epochs, 1) - 1


def epochs_to_move_gates(settle_by, hold, passed_epochs, steps=1) -> int:
    """The epochs that leave gates a step to move in, whatever is rounded how.

    Equals the smallest `epochs` of which `settle_by` is more than `passed_epochs`, and
    `settle_by - hold` more than half a step.

    Args:
        settle_by: Float, share of the training after which all gates are decided.
        hold: Float below `settle_by`, share of the training in which gates hold.
        passed_epochs: Int, epochs that are over before gates can move.
        steps: Int, steps of an epoch; 1 where they are not known.
    """
    moving = max(exact(settle_by) - exact(hold), _FINEST)
    too_few = max(passed_epochs / (exact(hold) + moving), 1 / (2 * moving * steps))
    return math.floor(too_few) + 1
