"""What the gates' behaviour means, and what to change: one line each, or none."""

# A gate this far from where it started has moved; one this far from both ends hovers.
_MOVED = 0.05
_UNDECIDED = 0.1
# Fewer steps than this say little about a section.
_FEW_STEPS = 20


def of_the_schedule(settle_by, moving_steps) -> list[str]:
    """Lines about gates that will have too little time or none, or leave too little.

    Args:
        settle_by: Float, share of the training after which all gates are decided.
        moving_steps: Int, training steps in which gates move; 0 or less if the time
            for it was over before this `fit`.
    """
    if moving_steps <= 0:
        return [
            "this `fit` begins after the gates' time, and decides them as they stand: "
            "give one `fit` the whole schedule, or `PruneSections` a larger `settle_by`"
        ]
    lines = []
    if moving_steps < _FEW_STEPS:
        steps = "step" if moving_steps == 1 else "steps"
        lines.append(
            f"gates have only {moving_steps} {steps} to move in, too few to tell "
            "useful sections from useless ones: train for more epochs, or with smaller "
            "batches"
        )
    if settle_by > 0.8:
        lines.append(
            f"gates settle after {settle_by:.0%} of the training: what stays has "
            "little time to train without noise; `settle_by=0.5` leaves it half"
        )
    return lines


def of_no_movement(starts, thetas) -> list[str]:
    """A line if gates stand where they started, though they could move.

    Args:
        starts: List of floats, probabilities at the start.
        thetas: List of floats, those after half of the moving phase.
    """
    changes = [abs(now - then) for then, now in zip(starts, thetas, strict=True)]
    # A gate at a bound may have been pressed against it all the time.
    inside = [_UNDECIDED < theta < 1.0 - _UNDECIDED for theta in thetas]
    if not changes or max(changes) > _MOVED or not any(inside):
        return []
    return [
        "gates have hardly moved in half of their time, by at most "
        f"{max(changes):.3f}: leave `gate_step_size` to the default, raise it, or "
        "train for more epochs"
    ]


def of_a_removal(removed, before, price) -> list[str]:
    """A line if nearly all sections fall at once.

    Args:
        removed: Int, sections that leave now.
        before: Int, sections before.
        price: Float, mean price of the gates, in nats per example.
    """
    if removed < 3 or removed < 0.8 * before:
        return []
    return [
        f"{removed} of {before} sections fall at once: hardly any earns the price of "
        f"{price:.3g} nats per example; if accuracy falls with them, lower it with "
        "`BernoulliGate(FlatteningPrior(log_gamma=price * number_of_examples))`"
    ]


def of_hovering(thetas, benefits_are_known) -> list[str]:
    """A line if gates are decided that had not reached 0 or 1 themselves.

    Args:
        thetas: Dictionary from the name of a gate to its probability.
        benefits_are_known: Bool, whether they had the steps to tell where they go.
    """
    undecided = {
        name: round(theta, 2)
        for name, theta in thetas.items()
        if _UNDECIDED < theta < 1.0 - _UNDECIDED
    }
    if not undecided:
        return []
    how = "decided by where they were going" if benefits_are_known else "rounded"
    return [
        f"{len(undecided)} gates hovered, {undecided}, and were {how}: train for more "
        "epochs; where a section earns about what it costs, by `benefit` and `price` "
        "in `pruning_log`, move the price"
    ]
