"""Whether two sweeps are the same, bit by bit."""

import numpy as np
import pandas as pd

import jaxsweep as js


def assert_same(result: js.Result, plain: js.Result) -> None:
    """Bit by bit: the table, the curves of each network, and the networks that were kept."""
    assert result.status == plain.status == "completed"
    pd.testing.assert_frame_equal(result.to_pandas(), plain.to_pandas(), check_exact=True)
    pd.testing.assert_frame_equal(result.to_pandas(lanes=True), plain.to_pandas(lanes=True), check_exact=True)
    np.testing.assert_array_equal(result.curves("val_loss", lanes=True), plain.curves("val_loss", lanes=True))
    assert result.models.keys() == plain.models.keys()
    x = plain.data.x[0]
    for trial, model in plain.models.items():
        np.testing.assert_array_equal(result.models[trial].predicted(x)[1], model.predicted(x)[1])
    assert result.summary()["trials"] == plain.summary()["trials"]
