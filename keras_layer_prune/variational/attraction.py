"""The test that says that a section is gone for good."""


def closed_state_attracts(theta, benefit, price):
    """Whether a gate at 0 will stay there.

    At `theta = 0` the projected step leaves the gate where it is as long as the
    gradient `price - benefit` is positive on average: opening the gate would lower
    the loss by less than it costs. A low `theta` alone, early, may still recover.

    Args:
        theta: Float in `[0, 1]`. Probability of an open gate.
        benefit: Float, running mean of what the section takes off the loss, in nats
            per example.
        price: Float, `log_gamma` over the number of training examples, in nats per
            example.

    Returns:
        Bool.
    """
    return theta == 0.0 and benefit < price
