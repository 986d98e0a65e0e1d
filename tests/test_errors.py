"""Each error is also the builtin that a caller who does not know this package would expect."""

import pytest
from nervecord import errors
from nervecord.circuits import make_circuit
from nervecord.envs import EnvBatch
from nervecord.errors import NervecordError
from nervecord.extras import require
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run


@pytest.mark.parametrize(
    ("call", "builtin"),
    [
        (lambda: make_circuit("no-such", {"joint_pos": 5}, 5), LookupError),
        (lambda: RunConfig(steps=0), ValueError),
        (lambda: EnvBatch("swim", 1, body="swimmer1"), ValueError),
        (lambda: EnvBatch("swim", 0), ValueError),
        (lambda: EnvBatch("swim", 1, nonsense=1), TypeError),
        (lambda: require("no_such_module_of_anybody", "play"), ImportError),
    ],
)
def test_a_mistake_is_the_builtin_that_callers_expect(call, builtin):
    with pytest.raises(builtin) as caught:
        call()
    assert isinstance(caught.value, NervecordError)


def test_only_what_lies_on_disk_is_an_invalid_run(tmp_path):
    with pytest.raises(errors.InvalidRun):
        Run(tmp_path)
    assert not issubclass(errors.InvalidRun, ValueError)
