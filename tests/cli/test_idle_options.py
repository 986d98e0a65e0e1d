"""No option of a command is taken and ignored: where one would have no effect, it is refused in one line."""

import dataclasses
import json

import numpy as np
import pytest
from nervecord.circuits import Wiring
from nervecord.cli.command import Configured
from nervecord.cli.main import COMMANDS, main
from nervecord.cli.nas_commands import MakeTable, QueryTable, SearchTable
from nervecord.cli.posture_commands import Postures, ReplayWorm, ShowEigenworms
from nervecord.cli.worm_commands import CompareWorms, FitAtlas, Propagate, ShowConnectome
from nervecord.errors import InvalidOption, InvalidRecording
from nervecord.training.learning.checks import check
from nervecord.training.learning.curricula import CurriculumConfig, CurriculumRun
from nervecord.training.probes import Subject, run_probe
from nervecord.training.rollouts.recording import Recording
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run

# Options that change what a command does whatever else is given, beside `json`; a config's fields are all among them,
# because bodies and tasks refuse what they do not take.
ALWAYS = {
    "Train": "out workers engine config reward",
    "Resume": "path device",
    "Evaluate": "path untrained body episodes",
    "Transfer": "path bodies episodes finetune",
    "Ablate": "out seeds episodes workers engine config reward",
    "Damage": "out joints seeds episodes workers engine config reward",
    "Sweep": "plan out workers engine",
    "Compare": "runs out episodes labels",
    "Route": "runs out by episodes seed",
    "Reproduce": "paper scale out workers engine",
    "Curriculum": "out circuit task kind seed updates circuit_options options",
    "Record": "path untrained out",
    "Probe": "path untrained probes",
    "Render": "path untrained out body seconds neurons size fps speed camera zoom",
    "Play": "path untrained body port",
    "Bricks": "path episodes merge grow update",
    "Results": "path out",
    "Report": "runs out",
    "Gallery": "runs out",
    "Export": "path out film onnx torch web push",
    "Import": "path out",
    "Demo": "path",
    "Bench": "repeats learn",
    "Names": "kind of",
    "Doctor": "",
    "ShowConnectome": "graph",
    "CompareWorms": "recording data source out",
    "Propagate": "path strain background amplitude closed_loop controls out",
    "FitAtlas": "path gains rewired",
    "Postures": "file worm links out",
    "ReplayWorm": "file worm body arena drive out film",
    "ShowEigenworms": "file basis modes out",
    "MakeTable": "name out seeds bodies architectures workers engine",
    "QueryTable": "name architecture body step seed",
    "SearchTable": "name out searchers searches trainings seed",
}
NAMES = {FitAtlas: "fit", Postures: "posture", ReplayWorm: "replay", ShowEigenworms: "eigenworms", MakeTable: "make"}
OF_MIDLINES = ("--spline", "--fix-swaps", "--flip-y", "--unit mm", "--time-unit s", "--degrees")
OF_ZIPS = ("--algorithm sac", "--reward com", "--normalize x.pkl", "--frames 2", "--observe-time")
OF_TASKS = ("--body swimmer8", "--task navigate", "--task-options x=1", "--episode-steps 9")
# Command lines in which an option would have no effect.
IDLE = [
    ("train --address h:1", "an address needs Ray; give --engine ray with it"),
    ("train --algorithm ppo --circuit mlp --workers 2", "ppo has no population to spread over workers"),
    ("train --bodies swimmer4 --body swimmer8", "body is swimmer8 and bodies begin with swimmer4; leave body out"),
    ("train --task navigate --reward com", "task 'navigate' has no option 'reward'"),
    ("ablate --address h:1 --seeds 1", "an address needs Ray; give --engine ray with it"),
    ("damage --address h:1 --seeds 1", "an address needs Ray; give --engine ray with it"),
    ("reproduce ncap --scale smoke --address h:1", "an address needs Ray; give --engine ray with it"),
    ("sweep plan.toml --address h:1", "an address needs Ray; give --engine ray with it"),
    ("nas make prior --address h:1", "an address needs Ray; give --engine ray with it"),
    *(
        (f"resume memory {option}", f"{option.split()[0]} would have no effect: memory is a curriculum")
        for option in ("--workers 2", "--engine ray", "--address h:1")
    ),
    *(
        (f"{command} run {option}", f"{option.split()[0]} would have no effect: they are about a zip file that SB3")
        for command in ("evaluate", "record", "render", "transfer", "report")
        for option in (*OF_ZIPS, *(OF_TASKS if command in ("transfer", "report") else ()))
    ),
    *(
        (f"{command} run {option}", f"{option.split()[0]} would have no effect: they are about --untrained, and run")
        for command in ("evaluate", "record", "probe", "render", "play")
        for option in ("--circuit mlp", "--circuit-options period=50", "--arena agar", "--seed 1", *OF_TASKS[1:])
    ),
    *(
        (f"{command} model.zip {option}", f"{option.split()[0]} would have no effect: model.zip is a zip file")
        for command in ("evaluate", "record", "render")
        for option in ("--silence B_d_0", "--clamp B_d_0=1", "--drive B_d_0=1")
    ),
    ("record model.zip --noise 1", "--noise would have no effect: SB3's models have no circuit of named neurons"),
    *(
        (f"{command} run --noise-unit own", "--noise-unit would have no effect: it is the unit of --noise")
        for command in ("record", "probe")
    ),
    ("record --untrained --history", "--history is of a run's checkpoints, and --untrained has none; give a run"),
    ("record run --history --noise 0.3 --noise-unit own", "--noise, --noise-unit would have no effect: --history"),
    ("record run --as-imaging", "--as-imaging would have no effect: it is of .nwb files, and recording.nc is none"),
    ("probe rec.nc --noise 0.3", "--noise would have no effect: it is about a run, and rec.nc is a recording"),
    *(
        (f"record run --history {option}", f"{option.split()[0]} would have no effect: --history is of one episode")
        for option in ("--episodes 2", "--body swimmer4", "--silence B_d_0", "--clamp B_d_0=1", "--drive B_d_0=1")
    ),
    *(
        (f"probe rec.nc {option}", "rec.nc is a recording already, so its episodes and interventions cannot be chosen")
        for option in ("--episodes 8", "--silence B_d_0", "--clamp B_d_0=1", "--drive B_d_0=1")
    ),
    ("render run --neurons --view 3d", "--view would have no effect: --neurons is a view of its own"),
    ("export run --private", "--private would have no effect: nothing is uploaded; give --push OWNER/NAME too"),
    ("export run --endpoint x", "--endpoint would have no effect: nothing is uploaded; give --push OWNER/NAME too"),
    ("worm fit run --graph ladder", "--graph would have no effect: it is of an untrained circuit"),
    ("worm fit --gains global --swimming 0.5 --teacher x", "--swimming, --teacher would have no effect: they are of"),
    ("worm fit --teacher agent:ncap", "--teacher would have no effect: it is of --swimming, whose weight is 0"),
    ("worm fit --gains class --background 0.2 --out x", "--background, --out would have no effect: they are"),
    *(
        (f"worm {command} rec.nc {option}", f"{option.split()[0]} would have no effect: rec.nc is a recording, whose")
        for command in ("posture", "replay", "eigenworms")
        for option in OF_MIDLINES
    ),
    ("worm posture a.wcon --unit mm --time-unit s --degrees", "--unit, --time-unit, --degrees would have no effect"),
    ("worm replay a.wcon --gear 3", "--gear would have no effect: it is of motors, and the joints are prescribed"),
    ("record run --history --out x.wcon", "--history would have no effect: x.wcon keeps midlines alone"),
    ("worm propagate run --graph ladder", "--graph would have no effect: it is of an untrained circuit"),
    ("bench --ppo --scale", "--ppo would have no effect: one thing is measured at once, and --scale is another"),
    ("bench --lanes --scale", "--scale would have no effect: one thing is measured at once, and --lanes is another"),
    ("bench --zones --scale", "--scale would have no effect: one thing is measured at once, and --zones is another"),
    ("bench --zones --composed", "--composed would have no effect: one thing is measured at once, and --zones is"),
    ("bench --learn --lanes", "--lanes would have no effect: one thing is measured at once, and --learn is another"),
    ("bench --scale --draw x.svg", "--draw would have no effect: only --lanes draws a figure"),
    ("bench --lanes --seeds 2 --limit 9", "--seeds, --limit would have no effect: only --learn trains"),
    ("bricks run --weights 1 0 --body swimmer4 --steps 9 --out x", "--weights, --body, --steps, --out would have"),
    ("bricks run --merge b --out x --number 2 --bodies swimmer4 --seed 1", "--number, --bodies, --seed would have"),
    ("bricks run --grow 8 --out x --episodes 2 --weights 1 0", "--weights, --episodes would have no effect"),
    ("bricks run --update x --out x --seed 2 --body swimmer4", "--seed, --body would have no effect: --update"),
    ("curriculum --options window=3", "window is 3 and kind 'multi-head'; only 'sliding' has a window"),
]  # fmt: skip


def _commands():
    kinds = [kind for group in COMMANDS.values() for name, kind in group.items() if name not in ("worm", "nas")]
    worms = [ShowConnectome, CompareWorms, Propagate, FitAtlas, Postures, ReplayWorm, ShowEigenworms]
    return [*kinds, *worms, QueryTable, SearchTable, MakeTable]


@pytest.mark.parametrize("kind", _commands(), ids=lambda kind: kind.__name__)
def test_every_option_is_known_to_act_or_to_be_refused_where_it_would_not(kind):
    # To trust is to consent, whatever comes of it.
    options = {field.name for field in dataclasses.fields(kind)} - {"json", "trust"}
    lines = [line.removeprefix("worm ").removeprefix("nas ").split() for line, _ in IDLE]
    own = NAMES.get(kind, kind.__name__.lower())
    refused = {
        word[2:].replace("-", "_") for line in lines if line[0] == own for word in line[1:] if word.startswith("--")
    }
    asked = {field.name for field in dataclasses.fields(RunConfig)} if issubclass(kind, Configured) else set()
    always = set(ALWAYS[kind.__name__].split())
    assert options - always - refused == set(), "say of each whether it always acts, or give a line in which it is idle"
    assert always - options == set()
    assert refused - options - asked - {"options"} == set()


@pytest.mark.parametrize(("line", "words"), IDLE)
def test_an_option_that_would_change_nothing_is_refused(line, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text("[base]\nsteps = 100\n[vary]\nseed = [0]\n", encoding="utf-8")
    if "memory" in line:
        CurriculumRun.create(tmp_path / "memory", CurriculumConfig(circuit_options={"units": 4}))
    with pytest.raises(SystemExit) as stopped:
        main([*line.split(), "--json"])  # without a bar
    said = json.loads(capsys.readouterr().out)["error"]["message"]
    assert stopped.value.code == 2
    assert words in said
    assert "\n" not in said


def test_a_default_that_is_given_in_words_is_no_mistake(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["render", str(tmp_path), "--neurons", "--view", "2d", "--out", str(tmp_path / "x.gif")])
    assert "would have no effect" not in capsys.readouterr().err


def _empty(**meta):
    arrays = {
        field.name: np.zeros((1, 100, 2), np.float32)
        for field in dataclasses.fields(Recording)
        if field.name not in ("neurons", "dt", "meta", "lengths")
    }
    return Recording(**arrays, neurons=("a", "b"), dt=0.03, meta=meta)


def test_a_probe_of_weights_does_not_pass_off_what_it_finds_as_that_of_silenced_neurons(tmp_path):
    run = Run.create(tmp_path / "run", RunConfig())
    pinned = _empty(interventions=[{"neuron": "a", "kind": "silence"}])
    with pytest.raises(InvalidRecording, match="probe the run without interventions"):
        run_probe("fixed_points", Subject(pinned, Wiring((), ()), run))
    assert Subject(_empty(interventions=[]), Wiring((), ()), run).run is run


def test_a_body_beside_bodies_is_refused_unless_it_is_the_first_of_them():
    with pytest.raises(InvalidOption, match="body is swimmer8 and bodies begin with swimmer4"):
        RunConfig(body="swimmer8", bodies=("swimmer4", "swimmer4-heavy"))
    config = RunConfig(body="swimmer4", bodies=("swimmer4", "swimmer4-heavy"))
    assert dataclasses.replace(config, seed=1).body == config.bodies[0]


def test_a_deficit_that_begins_after_training_is_warned_of(caplog):
    check(RunConfig(steps=2000, deficits=("joint_pos:2000:3000", "joint_pos:1999:3000")))
    assert caplog.text.count("begins after the last of 2000 steps; nothing is missing yet") == 1
