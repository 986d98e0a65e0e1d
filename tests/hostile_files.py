"""Open hostile runs, exports, recordings, bodies and graphs, each in a process: a script for before a release.

python tests/hostile_files.py --tries 300
python tests/hostile_files.py --minutes 60 --seed 1

Each is made from a whole one by a random change: links and pipes to what is private, values of other types in JSON,
pickles, scripts in figures, sizes without end. What opens it may refuse it in one line or do its work. It may not
raise, compute for 10 s, read or write what lies outside, or write a page with a script that is not ours.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import resource  # noqa: TID253
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import networkx
import numpy as np
import torch
from nervecord.circuits.connectome.files import graph_json, load_graph
from nervecord.cli.main import main as nervecord
from nervecord.files import json_text, write_json
from nervecord.pages.reports import report
from nervecord.sharing import export, import_run
from nervecord.training.rollouts.recording import Recording
from nervecord.training.runs.result import Result, Weights
from page_scripts import scripts

assert sys.platform != "win32", "it limits processes and makes pipes, which Windows cannot"
REFERENCE = Path(__file__).parent / "reference" / "runs"
CPU = 10  # seconds that may be computed
SECRET = "SECRET-KEY-1234"
BODY = """<mujoco><option timestep="0.01" density="3000"/>{asset}<worldbody>{world}<body name="head">
<joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
<joint name="turn" type="hinge" axis="0 0 1"/><geom type="capsule" fromto="0 0 0 .1 0 0" size=".01"/>
<body name="tail"><joint name="bend" type="hinge" axis="0 0 1" range="-60 60" limited="true"/>
<geom type="capsule" fromto="0 0 0 -.1 0 0" size=".01"/></body></body></worldbody>
<actuator><motor joint="bend" gear="0.0005" ctrlrange="-1 1" ctrllimited="true"/></actuator></mujoco>"""
ASSETS = (
    '<include file="{f}"/>', '<asset><texture name="t" type="2d" file="{f}"/></asset>',
    '<asset><mesh name="m" file="{f}"/></asset>', '<asset><hfield name="h" file="{f}" size="1 1 1 1"/></asset>',
    '<asset><hfield name="h" nrow="90000" ncol="90000" size="1 1 1 1"/></asset>', '<size nkey="1000000000"/>',
    '<asset><texture name="t" type="2d" builtin="flat" width="90000" height="90000"/></asset>',
    '<size memory="900G"/>', '<compiler meshdir="{f}"/>', '<option timestep="1e-9"/>',
    '<asset><model file="{f}"/></asset>',
    '<extension><plugin plugin="mujoco.elasticity.cable"/></extension>', '<!DOCTYPE a [<!ENTITY b SYSTEM "{f}">]>',
    '<asset><skin name="s" file="{f}"/></asset>', '<custom><numeric name="n" size="1000000000"/></custom>',
)  # fmt: skip
WORLDS = (
    '<replicate count="1000000" offset="0 0 1"><geom size="1"/></replicate>', "<frame>" * 50_000,
    '<flexcomp name="f" type="grid" count="999 999 999" spacing=".1 .1 .1"/>', "<body><geom size='.1'/></body>" * 9000,
    '<geom size=".1" name="{long}"/>', '<geom type="mesh" mesh="&#0;"/>', '<include file="{f}"/>',
    "<geom size='1e400'/>",
    '<composite type="cable" count="9999 1 1"/>', "<geom size='-1'/>", "<site name='nose'/>", "",
)  # fmt: skip
_NESTED = "".join(f"<g id='u{i}'>" + 9 * f"<use href='#u{i + 1}'/>" + "</g>" for i in range(9))
SVGS = (
    '<svg viewBox="0 0 1 1"><script>PWNED</script></svg>', '<svg viewBox="0 0 1 1" onload="PWNED"/>',
    '<svg viewBox="0 0 1 1"><a href="javascript:PWNED"><text>x</text></a></svg>', "<svg", "",
    "<svg viewBox='0 0 1 1'><foreignObject><iframe srcdoc='PWNED'/></foreignObject></svg>",
    "</div><script>PWNED</script>", f"<svg viewBox='0 0 1 1'>{_NESTED}</svg>",
    '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg viewBox="0 0 1 1"><text>&a;</text></svg>',
    "<svg viewBox='0 0 1 1'><style>@import url(http://127.0.0.1:9/)</style><image href='http://127.0.0.1:9/a'/></svg>",
    "<svg viewBox='0 0 1 1'><g id='a&quot; onclick=&quot;PWNED'/><use href='#a&quot; onclick=&quot;PWNED'/></svg>",
)  # fmt: skip


def values(home: Path) -> list[Any]:
    """Return what no file of ours holds, where something else belongs."""
    return [
        None, [], {}, "", "x", -1, 0, 1.5, 1e308, True, [[]], {"a": 1}, 10**7, 10**40, "<script>PWNED</script>",
        '"><img src=x onerror=PWNED>', "../../home/id_rsa", str(home / "id_rsa"), str(home / "pipe"), "/dev/zero",
        [20_000, 20_000], "a" * 100_000, [1] * 10_000, "\ud800", "__import__('os')", {"tensor": "x"}, float("nan"),
    ]  # fmt: skip


def change_json(path: Path, rng: random.Random, value: Any) -> str:
    """Put a value somewhere into a JSON file, and say where."""
    held = json.loads(path.read_text(encoding="utf-8"))
    place, key, said = {"": held}, "", path.name
    while isinstance(place[key], dict | list) and len(place[key]) and (said == path.name or rng.random() < 0.8):
        place = place[key]
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        said += f"/{key}"
    if said == path.name:
        held = value
    place[key] = value
    text = json.dumps(held) if rng.random() < 0.9 else rng.choice(("[" * 100_000, "9" * 10_000, "NaN", "\0", '{"a": 1'))
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return f"{said} = {str(value)[:50]!r}"


def sum_up(checkpoint: Path) -> None:
    """Write a checkpoint's list of checksums anew, as whoever changes a file on purpose would."""
    meta = json.loads((checkpoint / "meta.json").read_text(encoding="utf-8"))
    for name in meta["files"]:
        content = (checkpoint / name).read_bytes()
        meta["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    meta.pop("sha256")
    write_json(checkpoint / "meta.json", {**meta, "sha256": hashlib.sha256(json_text(meta).encode()).hexdigest()})


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def change_folder(folder: Path, home: Path, rng: random.Random) -> str:
    """Make a run or an export hostile, and say how."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = rng.choice(files)
    kind = rng.choice(("link", "pipe", "json", "json", "json", "json", "bytes", "figure", "body", "graph", "size"))
    if kind == "figure" and not any(path.suffix == ".svg" for path in files):
        kind = "bytes"
    if kind in ("link", "pipe"):
        new = (".report.html.partial", ".config.json.partial", "film.mp4", "lock.json", "results", "tensorboard", "a/b")
        place = rng.choice([file, file.parent, folder / rng.choice(new)])
        if place == folder:
            place = file
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.parent.mkdir(exist_ok=True)
        if kind == "pipe":
            os.mkfifo(place)
        else:
            place.symlink_to(rng.choice([home / "id_rsa", home, home / "pipe", home / "new", Path("/dev/zero")]))
        return f"{kind} at {place.relative_to(folder)}"
    if kind == "bytes":
        content = file.read_bytes()
        damage = (b"", content[: len(content) // 2], rng.randbytes(999), pickle.dumps(_Payload(home / "owned")),
                  content[:8] + b"\xff" * 8 + content[16:], content * 3)  # fmt: skip
        file.write_bytes(rng.choice(damage))
        return f"bytes of {file.relative_to(folder)}"
    if kind == "figure":
        figure = rng.choice([path for path in files if path.suffix == ".svg"])
        figure.write_text(svg := rng.choice(SVGS), encoding="utf-8")
        return f"figure {svg[:60]}"
    if kind == "json":
        file = rng.choice([path for path in files if path.suffix == ".json"])
        said = change_json(file, rng, rng.choice(values(home)))
        if file.name != "meta.json" and "checkpoints" in file.parts:
            sum_up(file.parent)
        return said
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    asked = config.get("asked", config.get("config"))
    if kind == "body":
        body, said = hostile_xml(home, rng)
        asked["body"] = {"kind": "xml", "name": "<b onclick=PWNED>", "xml": body, "control_dt": 0.03}
    elif kind == "graph":
        said = rng.choice(["secret.graphml", "pipe.graphml", "pipe.csv"])
        asked |= {"circuit": "connectome", "circuit_options": {"graph": str(home / said)}}
    else:
        said, more = rng.choice([
            ("n_envs", {"algorithm_options": {"n_envs": 10**7}}),
            ("episode_steps", {"episode_steps": 10**12}), ("links", {"body": {**asked["body"], "n_links": 10**6}}),
            ("mlp", {"circuit": "mlp", "circuit_options": {"hidden": [20_000, 20_000]}}),
            ("gru", {"circuit": "gru", "circuit_options": {"units": 100_000}}),
            ("ctm", {"circuit": "ctm", "circuit_options": {"d_model": 10**6}}),
            ("lists", {"circuit": "mlp", "circuit_options": {"hidden": [64] * 100_000}}),
        ])  # fmt: skip
        asked |= more
    config.pop("resolved", None)
    write_json(folder / "config.json", config)
    return f"{kind} {said}"


def hostile_xml(home: Path, rng: random.Random) -> tuple[str, str]:
    """Return the XML of a body that is hostile, and how."""
    asset = rng.choice(ASSETS).format(f=home / rng.choice(("id_rsa", "pipe", "new"))) if rng.random() < 0.6 else ""
    world = "" if asset else rng.choice(WORLDS).format(f=home / "pipe", long="a" * 10**7)
    text = BODY.format(asset=asset, world=world)
    if rng.random() < 0.2:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(("<", '"', "nan", "\0", "]]>", "&#x0;", "9" * 999)) + text[at + 1 :]
    return text, (asset or world)[:60]


def change_recording(path: Path, home: Path, rng: random.Random) -> str:
    """Make a recording hostile, and say how."""
    if rng.random() < 0.3:
        content = bytearray(path.read_bytes())
        for at in rng.sample(range(len(content)), 9):
            content[at] = rng.randrange(256)
        path.write_bytes(content)
        return "bytes of a recording"
    with h5py.File(path, "a") as file:
        name = rng.choice(sorted(file))
        if (said := rng.choice(("meta", "dt", "external", "virtual", "link", "size", "type"))) in ("meta", "dt"):
            value = rng.choice(values(home)[:-4])
            file.attrs[said] = (
                json.dumps(value) if rng.random() < 0.8 or not isinstance(value, int | float) else str(value)
            )
            return f"{said} = {str(value)[:40]!r}"
        del file[name]
        if said == "external":
            file.create_dataset(name, (2, 4), "f4", external=[(str(home / "id_rsa"), 0, 32)])
        elif said == "virtual":
            layout = h5py.VirtualLayout((2, 4), "f4")
            layout[:] = h5py.VirtualSource(str(home / "pipe"), "x", (2, 4), "f4")
            file.create_virtual_dataset(name, layout)
        elif said == "link":
            file[name] = rng.choice([h5py.SoftLink(f"/{name}"), h5py.ExternalLink(str(home / "pipe"), "/x")])
        elif said == "size":
            file.create_dataset(name, (10**6, 10**6), "f4", chunks=(1000, 1000))
        else:
            file[name] = rng.choice([3, "text", np.zeros((0, 0)), np.array([b"a", b"b"])])
        return f"{said} at {name}"


def change_graph(path: Path, home: Path, rng: random.Random) -> str:
    """Make a graph's file hostile, and say how."""
    text = path.read_text(encoding="utf-8")
    if (kind := rng.choice(("entity", "cut", "word", "bytes", "many"))) == "entity":
        text = f'<!DOCTYPE a [<!ENTITY b SYSTEM "{home / "id_rsa"}">]>' + text.replace("DB", "&b;", 1)
    elif kind == "cut":
        text = text[: rng.randrange(len(text))]
    elif kind == "word":
        words = text.split('"')
        words[rng.randrange(len(words))] = rng.choice(("nan", "-1", "1e999", "", "<script>", "9" * 5000))
        text = '"'.join(words)
    elif kind == "many":
        text = text.replace("</graph>", '<node id="x"/>' * 20_000 + "</graph>")
    else:
        path.write_bytes(rng.randbytes(500))
        return "bytes"
    path.write_text(text, encoding="utf-8")
    return kind


def make_whole(folder: Path) -> None:
    """Make one of each that is not hostile, in a folder."""
    torch.set_num_threads(1)
    export(shutil.copytree(REFERENCE / "es-ncap", folder / "old"), folder / "export", film=False)
    run = import_run(folder / "export", folder / "run")
    checkpoint = run.load_checkpoint()
    assert checkpoint is not None
    weights = Weights.of(checkpoint.step, checkpoint.weights)
    conditions = {"body": "swimmer6", "interventions": [], "episodes": 1}
    numbers = {"frequency": {"value": 1.0, "unit": "Hz"}}
    gait = Result("probe", weights, conditions, name="gait", numbers=numbers, words=("it swims",))
    run.results.add(gait, {".svg": lambda path: path.write_text('<svg viewBox="0 0 1 1"><g/></svg>', encoding="utf-8")})
    (run.path / "film.mp4").write_bytes(b"film")
    held, graph = graph_json(load_graph("ladder")), networkx.MultiDiGraph()
    for cell in held["cells"]:
        graph.add_node(cell["name"], **{key: value for key, value in cell.items() if value is not None})
    for contact in held["contacts"]:
        graph.add_edge(contact["pre"], contact["post"], **contact)
    networkx.write_graphml(graph, folder / "graph.graphml")
    of_joint = dict.fromkeys(("actions", "joint_pos", "joint_vel", "torque"), (1,))
    shapes: dict[str, tuple[int, ...]] = {
        **of_joint, "observations": (4,), "rewards": (), "link_pos": (2, 2), "link_angle": (2,), "com_pos": (2,),
        "target_pos": (2,), "activity": (3,),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {name: rng.random((2, 50, *shape)) for name, shape in shapes.items()}
    meta = {
        "name": "swimmer2", "link_length": [0.1, 0.1], "link_width": [0.02, 0.02], "joint_limit": [1.0], "mass": 0.1,
        "neurons": [{"role": "inter"}] * 3,
    }  # fmt: skip
    Recording(**arrays, neurons=("a", "b", "c"), dt=0.03, meta=meta).save(folder / "r.nc")


COMMANDS = (["results", "PATH"], ["report", "PATH"], ["evaluate", "PATH", "--episodes", "1"], ["resume", "PATH"],
            ["export", "PATH", "--out", "OUT", "--no-film"], ["gallery", "PATH", "--out", "OUT.html"],
            ["probe", "PATH", "--episodes", "1"])  # fmt: skip


def prepare(whole: Path, place: Path, home: Path, rng: random.Random) -> tuple[str, list[str]]:
    """Make something hostile in a folder; return what it is, and the command that is to open it."""
    kind = rng.choice(("run", "run", "run", "export", "recording", "body", "graph"))
    out = str(place / "out")
    if kind == "run":
        said = change_folder(Path(shutil.copytree(whole / "run", place / "run")), home, rng)
        command = [word.replace("PATH", str(place / "run")).replace("OUT", out) for word in rng.choice(COMMANDS)]
    elif kind == "export":
        said = change_folder(Path(shutil.copytree(whole / "export", place / "export")), home, rng)
        command = ["import", str(place / "export"), "--out", out]
    elif kind == "recording":
        said = change_recording(Path(shutil.copy(whole / "r.nc", place / "r.nc")), home, rng)
        command = ["probe", str(place / "r.nc"), "--probes", "gait", "timescales"]
    elif kind == "body":
        # Who names a body's file has the files that it names read too, as MuJoCo does; a run's body reads none.
        (beside := place / "beside").mkdir()
        (beside / "id_rsa").write_text("no XML", encoding="utf-8")
        os.mkfifo(beside / "pipe")
        text, said = hostile_xml(beside, rng)
        (place / "body.xml").write_text(text, encoding="utf-8", errors="surrogatepass")
        command = ["evaluate", str(whole / "run"), "--episodes", "1", "--body", str(place / "body.xml")]
    else:
        said = change_graph(Path(shutil.copy(whole / "graph.graphml", place / "graph.graphml")), home, rng)
        command = ["worm", "connectome", str(place / "graph.graphml")]
    return f"{kind}: {said}", command


def wrong_with(place: Path, home: Path, before: dict[str, bytes], ours: list[str]) -> str:
    """Return what a command did that it may not do; "" if nothing."""
    if contents(home) != before:
        return f"wrote outside: {sorted(contents(home).items() ^ before.items())[:1]}"
    for path in place.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if SECRET.encode() in content or b"U0VDUkVULUtFWS0xMjM0" in content:
            return f"{path.name} holds what is private"
        if path.suffix == ".html" and (found := [each for each in scripts(content.decode()) if each not in ours]):
            return f"{path.name} runs {found[0][:60]}"
    return ""


def contents(home: Path) -> dict[str, bytes]:
    """Return all that lies in a folder."""
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in home.rglob("*")}


def run_apart(command: list[str], home: Path, patience: float) -> str:
    """Run a command in a process forked for it; return what is wrong of how it ended, "" if nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        said = "no word"
        try:
            # A little longer, so that what computes for just as long ends by itself.
            resource.setrlimit(resource.RLIMIT_CPU, (CPU + 1, CPU + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            sys.addaudithook(lambda event, details: _watch(event, details, home))
            said = _outcome(command)
        finally:
            os.write(writing, said.encode("utf-8", "replace")[-1000:])
            os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + patience
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as said_by_child:
        said = said_by_child.read().decode()
    if not ended[0]:
        return f"waits for more than {patience:.0f} s"
    return f"ended by {os.waitstatus_to_exitcode(ended[1])}" if ended[1] else said


def _watch(event: str, details: tuple[Any, ...], home: Path) -> None:
    # By where it leads, as a link in the run may be what is opened.
    if event == "open" and isinstance(details[0], str | bytes):
        path = Path(os.path.realpath(os.fsdecode(details[0])))
        if path.is_relative_to(home):
            raise AssertionError(f"opened {path}")
    if event in ("os.system", "subprocess.Popen", "os.exec", "socket.connect"):
        raise AssertionError(f"{event} {details[:1]}")


def _outcome(command: list[str]) -> str:
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
            nervecord([*command, "--json"])
    except SystemExit as ended:
        said = json.loads(output.getvalue())["error"]["message"]
        return "" if ended.code == 2 and "\n" not in said else f"exit {ended.code}: {said[-300:]}"
    except BaseException:
        return traceback.format_exc()
    return ""


def attack(
    whole: Path, tries: int, minutes: float, seed: int, patience: float, told: Callable[[str], None] = print
) -> list[str]:
    """Try so many, or for so many minutes; return what went wrong, one line or traceback each."""
    wrong: list[str] = []
    ours = scripts(report(whole / "run", out=whole / "whole.html").read_text(encoding="utf-8"))
    deadline, number = time.monotonic() + 60 * minutes, 0
    while number < tries or time.monotonic() < deadline:
        rng = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            place, home = (Path(folder).resolve() / name for name in ("place", "home"))
            place.mkdir()
            home.mkdir()
            (home / "id_rsa").write_text(SECRET, encoding="utf-8")
            shutil.copy(whole / "graph.graphml", home / "secret.graphml")
            for name in ("pipe", "pipe.graphml", "pipe.csv"):
                os.mkfifo(home / name)
            what, command = prepare(whole, place, home, rng)
            before = contents(home)
            if said := run_apart(command, home, patience) or wrong_with(place, home, before, ours):
                wrong.append(f"--seed {seed}, try {number}, {what}, {command[0]}: {said}")
                told(wrong[-1])
        number += 1
    told(f"{number} tried, {len(wrong)} wrong")
    return wrong


def main() -> None:
    """Do what the command line asks for; the exit status is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tries", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=0, help="go on for so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=60, help="seconds of waiting, on a machine that does more")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_whole(Path(folder))
        sys.exit(bool(attack(Path(folder), options.tries, options.minutes, options.seed, options.patience)))


if __name__ == "__main__":
    main()
