# test_my_worm.py
import pytest
from my_worm import Follower, stub
from nervecord.testing import check_body, check_circuit


def test_the_body_keeps_its_laws():
    check_body(stub)


@pytest.mark.parametrize("options", [{}, {"period": 20}])
def test_the_circuit_keeps_its_laws(options):
    check_circuit(Follower, options=options)


def test_nervecord_finds_both_by_their_names():
    check_body("stub")
    check_circuit("follower")
