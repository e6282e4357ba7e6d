"""What becomes of a section, in one word."""

STAYS, REMOVED, UNDECIDED = "stays", "removed", "undecided"


def outcome(theta) -> str:
    """What a network that is served does with a section.

    Args:
        theta: Float in `[0, 1]`, probability that its gate is open.
    """
    # After an interrupt, or of a frozen gate, it may be anywhere.
    return {0.0: REMOVED, 1.0: STAYS}.get(theta, UNDECIDED)
