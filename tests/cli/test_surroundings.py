"""What surrounds a command or a process: streams, variables, forks; each is one line, or works."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
from nervecord.cli.main import main
from nervecord.envs import SwimmerVectorEnv
from nervecord.errors import NervecordError
from systems import fork

FULL = "nervecord: cannot write to standard output: No space left on device"
LIST = f"{sys.executable} -c 'from nervecord.cli.main import main; import sys; main(sys.argv[1:])'"


def shell(line: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, **variables}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is full is Linux's /dev/full")
@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (f"{LIST} list tasks | true; exit ${{PIPESTATUS[0]}}", 141, ""),
        (f"{LIST} --help | true; exit ${{PIPESTATUS[0]}}", 141, ""),
        (f"{LIST} list tasks > /dev/full", 1, f"{FULL}\n"),
        (f"{LIST} train --help > /dev/full", 1, f"{FULL}\n"),
        (f"{LIST} list tasks >&-", 0, ""),
        (f"{LIST} list nope 2>&-", 2, ""),
        (f"{LIST} list nope 2>/dev/full", 2, ""),
    ],
)
def test_a_stream_that_cannot_be_written_to_ends_in_no_traceback(line, status, said):
    # Whoever has closed the pipe has done so before there is anything to write.
    done = shell(line)
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is full is Linux's /dev/full")
def test_a_log_on_a_full_disk_ends_no_training(tmp_path, monkeypatch, capsys):
    with open("/dev/full", "w", encoding="utf-8", buffering=1) as log:
        monkeypatch.setattr(sys, "stderr", log)
        main(["train", "--steps", "160", "--episode-steps", "10", "--algorithm-options", "n_envs=8", "--out",
              str(tmp_path / "run")])  # fmt: skip
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            log.close()
    assert "run" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoints").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_a_run_in_a_folder_whose_name_is_not_utf8_has_its_report(tmp_path, monkeypatch):
    (folder := tmp_path / os.fsdecode(b"in\xffner")).mkdir()
    monkeypatch.chdir(folder)
    main(["train", "--steps", "160", "--episode-steps", "10", "--algorithm-options", "n_envs=8", "--out", "."])
    main(["report", "."])
    assert "in\\udcffner" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "variable", "library", "reason"),
    [
        ("train --circuit nope", "MUJOCO_GL", "mujoco", "invalid value for environment variable MUJOCO_GL: foo"),
        ("compare a b --out c", "MPLBACKEND", "matplotlib", "Key backend: 'foo' is not a valid value for backend"),
    ],
)
def test_a_variable_that_keeps_a_library_from_loading_is_named(command, variable, library, reason):
    done = shell(f"{LIST} {command}", **{variable: "foo"})
    assert done.returncode == 2
    assert done.stderr == (
        f"nervecord: {variable} is 'foo', with which {library} cannot be imported ({reason}); unset {variable}\n"
    )


def test_help_and_the_doctor_work_whatever_draws():
    assert "--circuit" in shell(f"{LIST} train --help", MUJOCO_GL="foo").stdout
    found = shell(f"{LIST} doctor", MUJOCO_GL="foo")
    assert (found.returncode, found.stderr) == (0, "")
    assert "MUJOCO_GL=foo is set but does not work on this machine: unset MUJOCO_GL" in found.stdout


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_environments_on_lanes_go_on_in_a_forked_child_as_in_the_parent():
    env = SwimmerVectorEnv(64, body="swimmer3", physics="lanes", n_threads=2)
    env.reset(seed=0)
    read, write = os.pipe()
    child = fork()
    moved = env.step(np.ones((64, 2)))[0].tobytes()
    if not child:
        os.write(write, moved)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.read(read, len(moved)) == moved
    os.close(read), os.close(write)
    env.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_environments_say_in_a_forked_child_that_their_threads_are_elsewhere():
    env = SwimmerVectorEnv(32, body="swimmer3", n_threads=2)
    env.reset(seed=0)
    env.step(np.zeros((32, 2)))
    child = fork()
    if not child:
        try:
            env.step(np.zeros((32, 2)))
        except NervecordError as error:
            env.close()
            os._exit(7 if "before the process was forked" in str(error) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    env.step(np.zeros((32, 2)))
    env.close()
