"""What programs are compiled with."""

from jaxsweep.engine import programs


def test_options_that_this_xla_does_not_have_are_left_out() -> None:
    options = {"xla_backend_optimization_level": 1, "xla_no_such_option": True}
    assert programs.known_options(options) == {"xla_backend_optimization_level": 1}
    assert set(programs._brief()) <= set(programs.BRIEF)
    assert "xla_backend_optimization_level" in programs._brief()
