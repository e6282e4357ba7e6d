"""Names as pictures have room for them."""

LONGEST = 40


def shortened(name) -> str:
    """A name, or the beginning and the end of a long one."""
    if len(name) <= LONGEST:
        return name
    # Names of sections differ at their ends more often than not.
    end = LONGEST // 2
    return f"{name[: LONGEST - end - 1]}\N{HORIZONTAL ELLIPSIS}{name[-end:]}"
