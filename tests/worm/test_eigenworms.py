"""Eigenworms: of a travelling wave, of the published file, and of the package that ships a model of postures."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from nervecord.cli.main import main
from nervecord.envs.tasks.track import travelling_wave
from nervecord.errors import InvalidOption, InvalidRecording, MissingDependency, UnknownName
from nervecord.worm import Eigenworms, Posture, eigenworms, write_wcon
from nervecord.worm.shape_figure import eigenworm_figure
from nervecord.worm.shapes import directions, phase, phase_rate

PUBLISHED = Path(__file__).parents[3] / "shared" / "golden" / "animal" / "eigenworms4.csv"  # its licence is another's
needs_published = pytest.mark.skipif(not PUBLISHED.exists(), reason="the published eigenworms are not here")


def of_angles(joint_pos, dt=0.05):
    many = len(joint_pos)
    return Posture(np.arange(many) * dt, joint_pos, np.zeros(many), np.full(many, 1e-3), np.zeros((many, 2)))


def crawl(n_links=100, seconds=10.0, **wave):
    return of_angles(travelling_wave(n_links, seconds, 0.05, **wave).joint_pos)


def sines(modes=4):
    """Return orthonormal shapes without a mean, by hand."""
    place = (np.arange(100) + 0.5) / 100
    return np.array([np.sqrt(0.02) * np.cos(np.pi * (k + 1) * place) for k in range(modes)])


def test_a_wave_has_two_equal_shapes_whose_phase_turns_with_it():
    posture = crawl(frequency=0.4)
    found = eigenworms([posture], 4)
    assert found.own_share[1] == pytest.approx(1.0, abs=1e-9)
    assert found.own_share[0] == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(found.own_share, found.share([posture]))
    amplitudes = found.amplitudes(posture)
    assert phase_rate(amplitudes, posture.time) == pytest.approx(0.4, rel=0.03)
    radius = np.hypot(amplitudes[:, 0] / amplitudes[:, 0].std(), amplitudes[:, 1] / amplitudes[:, 1].std())
    assert radius.std() < 0.06 * radius.mean()
    assert phase(np.array([[1.0, 0.0], [0.0, -1.0]])).tolist() == [-0.0, np.pi / 2]


def test_all_shapes_together_are_the_posture():
    rng = np.random.default_rng(0)
    posture = of_angles(rng.normal(scale=0.01, size=(300, 99)))
    found = eigenworms([posture], 99)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(99), atol=1e-9)
    assert found.own_share[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(found.shapes(found.amplitudes(posture)), directions(posture), atol=1e-9)
    assert abs(directions(posture).mean(1)).max() < 1e-12


def test_every_shape_is_drawn():
    posture = of_angles(np.random.default_rng(0).normal(scale=0.01, size=(300, 99)))
    shapes = eigenworms([posture], 9).vectors
    drawn = [line.get_ydata() for line in eigenworm_figure(eigenworms([posture], 9), {"w": posture}).axes[0].lines]
    np.testing.assert_array_equal(drawn, shapes)


def test_a_worm_made_of_four_shapes_is_explained_by_them():
    rng = np.random.default_rng(1)
    tangent = rng.normal(size=(200, 4)) * [2.0, 1.5, 1.0, 0.5] @ sines()
    posture = of_angles(np.diff(tangent, axis=1))
    own = eigenworms([posture], 4)
    assert own.share([posture])[-1] == pytest.approx(1.0, abs=1e-9)
    assert np.linalg.svd(own.vectors @ sines().T)[1] == pytest.approx(np.ones(4))
    known = Eigenworms(sines(), np.full(4, np.nan), np.nan, np.zeros(100), "known")
    turned = own.turned_to(known)
    np.testing.assert_allclose(turned.vectors, sines(), atol=1e-9)
    np.testing.assert_allclose(turned.amplitudes(posture), tangent @ sines().T, atol=1e-9)


def test_shapes_are_turned_so_that_the_first_hold_most_of_the_data():
    known = Eigenworms(sines(), np.full(4, np.nan), np.nan, np.zeros(100), "known")
    rng = np.random.default_rng(2)
    tangent = rng.normal(size=(300, 4)) * [0.1, 0.2, 3.0, 1.0] @ sines()
    posture = of_angles(np.diff(tangent, axis=1))
    turned = known.turned_by([posture])
    assert known.share([posture])[0] < 0.01 < 0.8 < turned.share([posture])[0]
    assert turned.share([posture])[3] == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(abs(turned.vectors @ sines().T)[:2, [2, 3]], np.eye(2), atol=0.05)


def test_gaps_are_left_out_and_a_chain_has_few_shapes():
    posture = crawl(6)
    joints = posture.joint_pos.copy()
    joints[7:20] = np.nan
    posture = of_angles(joints)
    found = eigenworms([posture], 5)
    assert np.flatnonzero(np.isnan(found.amplitudes(posture)[:, 0])).tolist() == list(range(7, 20))
    with pytest.raises(InvalidOption, match="modes is 6; give 1 to 5, as many as 188 postures has"):
        eigenworms([posture], 6)


@needs_published
def test_the_published_four_explain_a_crawl():
    found = eigenworms(PUBLISHED)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(4), atol=1e-12)
    share = found.share([crawl(amplitude=0.7)])
    assert share[1] > 0.9
    assert share[3] > 0.95


@needs_published
@pytest.mark.skipif(importlib.util.find_spec("wormpose") is None, reason="pip install --no-deps wormpose")
def test_the_packages_model_spans_the_space_of_the_published_four():
    published, found = eigenworms(PUBLISHED), eigenworms("wormpose")
    np.testing.assert_allclose(found.own_share, [0.78, 0.90, 0.96, 0.988], atol=0.006)
    cosines = np.linalg.svd(published.vectors @ found.vectors.T)[1]
    np.testing.assert_allclose(cosines, [1.0, 1.0, 0.9997, 0.996], atol=5e-4)
    turned = found.turned_to(published)
    assert (np.diag(turned.vectors @ published.vectors.T) > 0.995).all()


def test_a_package_that_is_not_there_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match="pip install --no-deps wormpose"):
        eigenworms("wormpose")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.ones((3, 7)), "holds 3 x 7 numbers; give shapes of 100 each"),
        (np.ones((2, 100)), "not at right angles"),
        (np.full((2, 100), np.nan), "give shapes of 100 each"),
    ],
)
def test_files_that_are_no_shapes_are_refused(table, words, tmp_path):
    np.savetxt(tmp_path / "x.csv", table, delimiter=",")
    with pytest.raises(InvalidRecording, match=words):
        eigenworms(tmp_path / "x.csv", 2)


def test_postures_that_are_alike_and_other_sources_are_refused(tmp_path):
    with pytest.raises(InvalidRecording, match="5 postures, all alike, have no shapes"):
        eigenworms([of_angles(np.zeros((5, 9)))])
    with pytest.raises(UnknownName, match="unknown source of eigenworms 'wormpse'; did you mean 'wormpose'"):
        eigenworms("wormpse")
    (tmp_path / "x.csv").write_text("a,b", encoding="utf-8")
    with pytest.raises(InvalidRecording, match="is not a table of numbers"):
        eigenworms(tmp_path / "x.csv")


def test_the_command_tells_shares_and_draws(tmp_path, capsys):
    np.savetxt(tmp_path / "basis.csv", sines().T, delimiter=",")
    write_wcon(tmp_path / "w.wcon", [crawl().track("w"), crawl(seconds=2.0).track("v")])
    out = tmp_path / "shapes"
    main(["worm", "eigenworms", str(tmp_path / "w.wcon"), "--out", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["share of the variance, by the first and so on"][1] == pytest.approx(1.0, abs=1e-6)
    assert said["phase of the first two turns at, Hz"]["w"] == pytest.approx(0.3, rel=0.05)
    assert {path.name for path in out.iterdir()} == {"amplitudes.csv", "eigenworms.csv", "eigenworms.svg"}
    assert (out / "amplitudes.csv").read_text(encoding="utf-8").startswith("worm,time,amplitude_1,amplitude_2,")
    # What was written is a basis, and the same.
    main(["worm", "eigenworms", str(tmp_path / "w.wcon"), "--basis", str(out / "eigenworms.csv"), "--json"])
    again = json.loads(capsys.readouterr().out)
    key = "share of the variance, by the first and so on"
    assert again[key] == pytest.approx(said[key], abs=1e-6)
    main(["worm", "eigenworms", str(tmp_path / "w.wcon"), "--basis", str(tmp_path / "basis.csv")])
    assert "basis.csv" in capsys.readouterr().out
    (out / "mine.txt").write_text("", encoding="utf-8")
    for options, words in ((["--modes", "1"], "modes is 1; give 2 or more"), (["--out", str(out)], "no eigenworms")):
        with pytest.raises(SystemExit):
            main(["worm", "eigenworms", str(tmp_path / "w.wcon"), *options])
        assert words in capsys.readouterr().err
