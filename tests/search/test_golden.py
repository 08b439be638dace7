"""The first proposals of every searcher, written down: neither NumPy, nor SciPy, nor a change here may move them.

A change that does move them is one of the rules (`streams.RULES`): earlier runs could not be repeated. What these
values should be is `proposals`, printed.
"""

from typing import Any

import pytest

from jaxsweep.search import SEARCHERS, make, options
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform

SPACE = Space(
    learning_rate=LogUniform(1e-4, 1),
    depth=Int(1, 6),
    optimizer=Choice(["sgd", "adam"]),
    momentum=Uniform(0, 0.99, when={"optimizer": "sgd"}),
)
SMALL: dict[str, Any] = {"population": 6, "per_round": 6, "starts": 6}


def proposals(name: str) -> list[tuple[Any, ...]]:
    """Return the values of the first configs under seed 0, three before any result and three after nine results."""
    searcher = make(name, SPACE, seed=0, **{option: SMALL[option] for option in options(name) if option in SMALL})
    first = searcher.ask(9)
    searcher.tell(first, [-abs(config["learning_rate"] - 0.1) - config["depth"] for config in first])
    return [tuple(config.values()) for config in (*first[:3], *searcher.ask(3))]


GOLDEN: dict[str, list[tuple[Any, ...]]] = {
    "random": [
        (4, "adam", 0.371766078),
        (6, "sgd", 0.6727649688, 0.003376250004),
        (6, "adam", 0.6859000439),
        (3, "adam", 0.08684850789),
        (2, "adam", 0.007255146774),
        (5, "adam", 0.000314586982),
    ],
    "grid": [
        (5, "sgd", 0.7425, 0.1),
        (4, "sgd", 0.495, 0.01),
        (1, "sgd", 0.99, 0.1),
        (5, "sgd", 0.99, 0.001),
        (5, "adam", 0.1),
        (2, "adam", 1.0),
    ],
    "sobol": [
        (3, "sgd", 0.7161742525, 0.03838041182),
        (6, "adam", 0.0007596485876),
        (5, "sgd", 0.8735784346, 0.7409938073),
        (6, "adam", 0.001982604811),
        (4, "sgd", 0.3205130361, 0.02834384409),
        (1, "adam", 0.0001066922209),
    ],
    "zoom": [
        (2, "sgd", 0.5967680801, 0.0004017343772),
        (6, "adam", 0.8551174918),
        (4, "sgd", 0.9504759615, 0.001038506641),
        (3, "adam", 0.01573649919),
        (2, "sgd", 0.221919041, 0.0009929102259),
        (2, "adam", 0.02974822579),
    ],
    "evolution": [
        (1, "adam", 0.03554238383),
        (5, "sgd", 0.8639307343, 0.002667676227),
        (4, "adam", 0.1304302749),
        (1, "adam", 0.5132489959),
        (1, "adam", 0.04247355648),
        (1, "adam", 0.04512096378),
    ],
    "de": [
        (4, "adam", 0.4663950908),
        (2, "sgd", 0.540035081, 0.0001600853552),
        (3, "adam", 0.05999718343),
        (1, "adam", 0.001304317864),
        (1, "adam", 0.005944291646),
        (1, "adam", 0.0001890184591),
    ],
    "bayes": [
        (4, "adam", 0.02137530204),
        (2, "sgd", 0.8482696624, 0.0008652259023),
        (2, "adam", 0.5191482339),
        (1, "sgd", 0.4615021007, 0.45634238),
        (1, "sgd", 0.0705608647, 0.09191989923),
        (1, "sgd", 0.3341847779, 0.3917283239),
    ],
    "cmaes": [
        (2, "sgd", 0.3253621184, 0.07534073084),
        (4, "adam", 0.009751627393),
        (5, "sgd", 0.077751623, 0.757780731),
        (1, "adam", 0.02977768583),
        (2, "sgd", 0.7548649908, 0.02664095502),
        (1, "sgd", 0.7706061117, 0.1982689545),
    ],
    "policy": [
        (5, "adam", 0.000966762261),
        (1, "sgd", 0.5147757387, 0.01153142569),
        (3, "adam", 0.007365306274),
        (2, "sgd", 0.2005320026, 0.2381889368),
        (1, "adam", 0.0004849047157),
        (5, "sgd", 0.4498919553, 0.04949195625),
    ],
    "optuna": [  # another version of Optuna may propose something else
        (6, "adam", 0.0002148404769),
        (5, "adam", 0.6120491302),
        (2, "sgd", 0.1409497559, 0.01689803616),
        (3, "sgd", 0.1035436539, 0.0001332977828),
        (6, "sgd", 0.506461417, 0.5360036715),
        (4, "sgd", 0.3040060331, 0.2498865318),
    ],
    "gradient": [
        (4, "sgd", 0.7678491294, 0.0004528789518),
        (1, "adam", 0.01182427034),
        (3, "sgd", 0.7215840593, 0.00650308053),
        (4, "sgd", 0.9658491294, 0.0002669533992),
        (1, "adam", 0.001874020557),
        (3, "sgd", 0.5235840593, 0.007382651821),
    ],
}


@pytest.mark.parametrize("name", SEARCHERS)
def test_first_proposals(name: str) -> None:
    assert proposals(name) == GOLDEN[name]
