"""Compare what the working tree makes of the short trainings with what a commit makes of them, bit for bit.

    cd tests && python -m reference.compare [--commit bb32dd2] [NAME ...]

Both run here, on the same machine and libraries, one after the other; the commit from a git worktree in a temporary
folder, which is removed afterwards. Prints a table; the exit status is 1 if anything differs.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .configs import CONFIGS

ROOT = Path(__file__).resolve().parents[2]
# Trains what 81006cf, the last commit before the rooms, trained, but for what was mended on the way: PPO draws from a
# generator of the learner's own (threads of one process drew from one), CMA-ES is our own (its state is a value),
# deficits are masked after normalising, rewards of randomised bodies are off by parts in 1e13, and the subspace that is
# protected is of eigenvectors, which Oja's rule came near. With the global generator's draws put in its place, PPO's
# weights, returns and recordings were those of 81006cf bit for bit; so were those of ES, SAC, TD3, DDPG and the
# curricula as they were. Then tanh became 2 sigmoid(2x) - 1 and PPO got a loop and defaults of its own: with the
# options of before, weights of MLP, GRU and ELM differ by at most 8e-7, returns by parts in 1e6 (a CT-RNN's by 3e-4).
COMMIT = "bb32dd2"
# Names along a recording's axes, which came later: what is called how is no result of a training.
_NAMES = {f"recording/{name}" for name in ("joint", "link", "observation", "role", "side", "position", "cell_class")}


def compare(commit: str, names: Sequence[str]) -> dict[str, tuple[int, list[str]]]:
    """Return the number of arrays compared and a line for each that differs, by name of the training."""
    names = with_needs(names)
    with tempfile.TemporaryDirectory(prefix="nervecord-reference-") as temporary:
        folder = Path(temporary)
        with worktree(commit, folder / "then" / "nervecord") as tree:
            produce(tree, folder / "then" / "out", names)
        (folder / "now").mkdir()
        (folder / "now" / "nervecord").symlink_to(ROOT)
        produce(folder / "now" / "nervecord", folder / "now" / "out", names)
        return {
            name: differences(*(arrays_at(folder / side / "out" / f"{name}.npz") for side in ("then", "now")))
            for name in names
        }


def with_needs(names: Sequence[str]) -> list[str]:
    """Return the names and those of the trainings whose folders they read, in the order of CONFIGS."""
    wanted = {*names, *(needed for name in names if (needed := CONFIGS[name].needs))}
    return [name for name in CONFIGS if name in wanted]


def has_commit(commit: str) -> bool:
    """Whether this is a git repository that holds the commit; a shallow clone does not."""
    found = subprocess.run(["git", "-C", str(ROOT), "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True)
    return found.returncode == 0


@contextlib.contextmanager
def worktree(commit: str, path: Path) -> Iterator[Path]:
    """Check a commit out beside the working tree, and remove it again whatever happens."""
    git = ["git", "-C", str(ROOT), "worktree"]
    try:
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), commit], check=True)
        yield path
    finally:
        subprocess.run([*git, "remove", "--force", str(path)], capture_output=True)
        subprocess.run([*git, "prune"], capture_output=True)


def produce(package: Path, out: Path, names: Sequence[str]) -> None:
    """Run the trainings in a process of their own, with the folder `package` as nervecord.

    Raises:
        RuntimeError: the process took nervecord from elsewhere.
    """
    # A path entry wins over an editable install; `reference` comes from here, for a commit may have none.
    path = os.pathsep.join([str(package.parent), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    print(f"{package.parent.name}:", file=sys.stderr)
    # Trainings that fail leave no arrays, which the table tells.
    subprocess.run(
        [sys.executable, "-m", "reference.produce", str(out), *names], env=environment, cwd=package.parent, check=False
    )
    used = out / "package.txt"
    if not used.exists() or Path(used.read_text(encoding="utf-8")) != package.resolve():
        raise RuntimeError(
            f"asked for nervecord of {package}, got {used.read_text(encoding='utf-8') if used.exists() else 'none'}"
        )


def arrays_at(path: Path) -> Mapping[str, np.ndarray] | None:
    """Return the arrays of a training, None where it failed."""
    if not path.exists():
        return None
    with np.load(path) as held:
        return {name: values for name, values in held.items() if name not in _NAMES}


def differences(then: Mapping[str, np.ndarray] | None, now: Mapping[str, np.ndarray] | None) -> tuple[int, list[str]]:
    """Return how many arrays are in both, and a line for each that is not the same in dtype, shape and every byte."""
    if then is None or now is None:
        return 0, [f"failed {'then' if then is None else 'now'}"]
    lines = [f"{name}: {'only then' if name in then else 'only now'}" for name in then.keys() ^ now.keys()]
    both = then.keys() & now.keys()
    lines += [f"{name}: {found}" for name in both if (found := difference(then[name], now[name]))]
    return len(both), sorted(lines)


def difference(then: np.ndarray, now: np.ndarray) -> str:
    """Say in what two arrays differ; nothing if they are the same."""
    if (then.dtype, then.shape) != (now.dtype, now.shape):
        return f"{then.dtype}{list(then.shape)} then, {now.dtype}{list(now.shape)} now"
    if then.tobytes() == now.tobytes():
        return ""
    if then.dtype.kind not in "fiu":
        return "other values"
    apart = np.abs(then.astype(float) - now.astype(float))
    return f"largest difference {np.nanmax(apart, initial=0):.3g} among values up to {np.nanmax(np.abs(then)):.3g}"


def table(found: Mapping[str, tuple[int, list[str]]]) -> str:
    """Return what `compare` found, a row for each training and a line for each array that differs."""
    rows = [("config", "arrays", "result")]
    for name, (count, lines) in found.items():
        rows.append((name, str(count), f"{len(lines)} differ" if lines else "equal"))
        rows += [("", "", f"  {line}") for line in lines]
    return "\n".join(f"{name:<20} {count:>6}  {result}".rstrip() for name, count, result in rows)


def main() -> None:
    """Compare, print the table, and exit with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--commit", default=COMMIT, help=f"by default {COMMIT}")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(CONFIGS)}")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in CONFIGS]:
        parser.error(f"no training is called {unknown[0]!r}; there are {', '.join(CONFIGS)}")
    # Stopped by a signal, it cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, _exit)
    if not has_commit(asked.commit):
        parser.error(f"no commit {asked.commit} in {ROOT}: not a git repository, or one without its history")
    found = compare(asked.commit, asked.names or list(CONFIGS))
    print(table(found))
    sys.exit(any(lines for _, lines in found.values()))


def _exit(number: int, _: Any) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
