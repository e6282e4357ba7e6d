"""When gates are decided, in whole steps and epochs; exact, as floats are not."""

import fractions
import math

_FINEST = fractions.Fraction(1, 10**9)


def exact(share: float) -> fractions.Fraction:
    """The fraction that a float stands for: 20 times 0.55 is 11, and not a bit more."""
    return fractions.Fraction(share).limit_denominator(_FINEST.denominator)


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
