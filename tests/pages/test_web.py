"""Pages that compute agents in the browser, against the same agents in Python."""

import json

import numpy as np
import pytest
import torch
from browser import until
from nervecord import RunConfig, train
from nervecord.circuits import make_circuit
from nervecord.envs.physics.lanes import rows
from nervecord.errors import CircuitMismatch, InvalidTask, OutputExists
from nervecord.pages import export_web
from nervecord.pages.web import circuit_data, web_page
from nervecord.training.rollouts.interventions import Intervention, pins_at
from nervecord.training.runs.run import Run

AGENTS = ("ncap", "ncap-plus", "relay", "along", "cpg")
SENSES = {"joint_pos": 5, "body_velocities": 18}
# Every circuit that pages compute, and options that change its equations.
CIRCUITS = [
    ("ncap", {}), ("ncap", {"sharing": False, "sign_constraints": False, "init": "uniform"}),
    ("ncap", {"oscillator": False}), ("ncap", {"proprioception": False}), ("ncap_plus", {"without": ["drift"]}),
    ("relay", {}), ("relay", {"init": "worm"}), ("along", {"layers": 2}), ("along", {"layers": 0}), ("cpg", {}),
    ("cpg", {"feedback": True}), ("mlp", {"hidden": [7, 5]}), ("ctrnn", {"units": 6}),
    ("ctrnn", {"units": 6, "form": "drive", "substeps": 3}),
]  # fmt: skip


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """Return a page with all shipped agents."""
    path = tmp_path_factory.mktemp("web") / "worm.html"
    return export_web([Run(f"agent:{name}") for name in AGENTS], path)


def in_steps(page, data, sensors, silenced):
    """Return motors and activity of a circuit in the browser, step by step."""
    return page.evaluate(
        """([data, sensors, silenced]) => {
          const values = new Array(data.neurons.length).fill(0);
          const group = (kind) => (i, value) => {
            const at = kind === "" ? i : Math.max(data.neurons.indexOf(`${kind}_${i}`), data.neurons.indexOf(kind));
            return values[at] = silenced.includes(at) ? 0 : value;
          };
          const memory = Float64Array.from(data.memory);
          const step = CIRCUITS[data.kind](data.numbers, unpack(data.weights), memory, group);
          return sensors.map((row) => ({motors: Array.from(step(row)), activity: [...values]}));
        }""",
        [data, sensors.tolist(), silenced],
    )


def test_a_browser_computes_every_circuit_as_python_does(opened, page_file):
    with opened(page_file.as_uri()) as page:
        for name, options in CIRCUITS:
            rng = torch.Generator().manual_seed(3)
            circuit = make_circuit(name, SENSES, 5, options, rng, dt=0.03)
            with torch.no_grad():
                for parameter in circuit.parameters():
                    parameter += 0.1 * torch.randn(parameter.shape, generator=rng)
            for silenced in ([], [len(circuit.neurons) // 2, len(circuit.neurons) - 1]):
                compare(page, circuit, silenced, rng, (name, options, silenced))


def compare(page, circuit, silenced, rng, what):
    sensors = torch.randn(40, circuit.n_sensors, generator=rng)
    found = in_steps(page, circuit_data(circuit), sensors, silenced)
    pins = pins_at([Intervention(circuit.neurons[i].name) for i in silenced], circuit, 0)
    state = circuit.initial_state(1)
    for row, theirs in zip(sensors, found, strict=True):
        with torch.no_grad():
            motors, state, activity = circuit.forward_with_activity(row[None], state, pins)
        np.testing.assert_allclose(theirs["motors"], motors[0], rtol=2e-4, atol=2e-5, err_msg=str(what))
        np.testing.assert_allclose(theirs["activity"], activity[0], rtol=2e-4, atol=2e-5, err_msg=str(what))


def in_browser(page, which, links, poses):
    """Return the return and the net speed of an episode from each pose."""
    return np.array(page.evaluate(
        """([which, links, poses]) => {
          const swimmer = makeSwimmer(agents[which].bodies[links]);
          return poses.map(([heading, jointPos]) => {
            swimmer.reset(heading, jointPos);
            while (swimmer.advance()) { }
            if (swimmer.now.elapsed !== 1000) throw new Error(`an episode of ${swimmer.now.elapsed} steps`);
            return [swimmer.now.return, swimmer.now.netSpeed];
          });
        }""",
        [which, links, poses],
    ))  # fmt: skip


def in_python(run, body, episodes):
    """Return the poses in which episodes start, and the return and the net speed of each."""
    resolved, agent = run.resolved.on(body), run.agent(body)
    envs = resolved.make_envs(episodes, randomize={})
    envs.seed(range(5, 5 + episodes))
    envs.reset(np.arange(episodes))
    poses = [[float(heading), bends.tolist()] for heading, bends in zip(
        envs.physics.read("heading"), envs.physics.read("joint_pos"), strict=True
    )]  # fmt: skip
    total, state, observation = np.zeros(episodes), None, envs.observation()
    for _ in range(envs.episode_steps):
        action, state = agent.predict(observation, state, np.zeros(episodes, bool))
        observation, reward, _, _, metrics = envs.step(action)
        total += reward
    envs.close()
    return poses, np.stack([total, metrics["net_speed"]], 1)


@pytest.mark.parametrize("links", [3, 6, 12, 24])
def test_agents_swim_in_a_browser_as_in_python(opened, page_file, links):
    with opened(page_file.as_uri()) as page:
        for which, name in enumerate(AGENTS):
            # A relay's switches on a long body turn rounding into another episode, in Python's two precisions too.
            episodes = 20 if (name, links) == ("relay", 24) else 2
            poses, expected = in_python(Run(f"agent:{name}"), f"swimmer{links}", episodes)
            found = in_browser(page, which, links, poses)
            assert found.mean(0)[0] == pytest.approx(expected.mean(0)[0], rel=0.01), name
            assert found.mean(0)[1] == pytest.approx(expected.mean(0)[1], rel=0.02), name
            if episodes == 2:
                assert found[:, 0] == pytest.approx(expected[:, 0], rel=0.01), name


@pytest.mark.parametrize(("circuit", "options"), [("mlp", {}), ("ctrnn", {"units": 16})])
def test_a_normalised_agent_on_a_body_of_another_kind_swims_as_in_python(opened, tmp_path, circuit, options):
    config = RunConfig(circuit, "ppo", "swimmer6-eel", steps=4096, circuit_options=options)
    run = train(config, tmp_path / "run", progress=False)
    page_file = export_web([run], tmp_path / "page.html")
    with opened(page_file.as_uri()) as page:
        assert page.evaluate("Object.keys(agents[0].bodies)") == ["6"]
        poses, expected = in_python(run, "swimmer6-eel", 2)
        found = in_browser(page, 0, 6, poses)
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=1e-3)


def test_a_page_is_pushed_lesioned_and_lengthened(opened, page_file):
    assert page_file.stat().st_size < 2e6
    with opened(page_file.as_uri()) as page:
        until(page, "swimmer.now.elapsed > 30")
        page.get_by_role("button", name="silence B_d_2").click()
        page.get_by_role("button", name="silence B_v_2").click()
        until(page, "swimmer.activity[swimmer.neurons.indexOf('B_d_2')] === 0")
        assert page.locator("[aria-pressed=true]").count() == 2
        speed = page.evaluate("(() => { swimmer.push(1, 0); swimmer.advance(); return swimmer.now.netSpeed; })()")
        assert speed > 0
        page.locator("#links").fill(page.evaluate("String(sizes().indexOf(12))"))
        until(page, "swimmer.line().length === 13")
        assert page.locator("[aria-pressed=true]").count() == 2, "what is silenced stays so on another body"
        until(page, "swimmer.now.elapsed > 5")
        page.locator("#pause").click()
        assert page.evaluate("swimmer.activity.some((value) => value !== 0)")
        page.get_by_role("button", name="New episode").click()
        assert page.evaluate("swimmer.activity.every((value) => value === 0)"), "a new episode begins at rest"
        page.locator("#pause").click()
        page.get_by_role("button", name="Let all go").click()
        assert page.locator("[aria-pressed=true]").count() == 0
        page.locator("#agent").select_option("relay")
        until(page, "agent.name === 'relay' && swimmer.now.elapsed > 5")


def test_what_a_page_cannot_compute_is_one_line(tmp_path):
    with pytest.raises(CircuitMismatch, match=r"pages compute ncap, ncap_plus, .* and not this LSTM"):
        circuit_data(make_circuit("lstm", SENSES, 5))
    with pytest.raises(CircuitMismatch, match="ctrnn without delays"):
        circuit_data(make_circuit("ctrnn", SENSES, 5, {"delays": 3}))
    (tmp_path / "worm.html").touch()
    with pytest.raises(OutputExists, match="give another file"):
        export_web([Run("agent:ncap")], tmp_path / "worm.html")
    config = RunConfig(circuit="ncap", algorithm="es", task="navigate", steps=100, episode_steps=10)
    run = train(config, tmp_path / "run", progress=False)
    with pytest.raises(InvalidTask, match="pay for speed alone"):
        web_page([run])


def test_weights_are_packed_in_the_order_of_the_compiled_step():
    circuit = make_circuit("relay", SENSES, 5)
    data = circuit_data(circuit)
    assert data["kind"] == "relay"
    assert json.loads(json.dumps(data)) == data
    assert len(data["neurons"]) == len(circuit.neurons)
    assert rows.FACING == 20, "chain.js lists the rows of a link by number"
