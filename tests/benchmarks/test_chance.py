"""Gates of known worth end where they should, if nothing disturbs them."""

import chance
import pytest


@pytest.mark.parametrize("as_it_is", [True, False])
def test_without_noise_worth_alone_decides(as_it_is):
    rows = chance.run(steps=200, noise=0.0, as_it_is=as_it_is, count=1)
    closed = {row["worth"]: row["closed"] for row in rows}
    assert closed.keys() == set(chance.WORTH)
    assert [closed[worth] for worth in (0.0, 0.5, 1.25, 3.0)] == [1.0, 1.0, 0.0, 0.0]
