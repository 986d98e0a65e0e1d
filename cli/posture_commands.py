"""Commands about recorded postures: read them, replay them by a body, and take them apart into eigenworms."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from ..errors import InvalidOption, OutputExists, UnknownName
from .config_options import arena_given
from .printing import number
from .run_commands import Command

if TYPE_CHECKING:
    from ..worm import Posture, Track

_EIGENWORMS = {"amplitudes.csv", "eigenworms.csv", "eigenworms.svg"}


@dataclasses.dataclass(frozen=True)
class OfPostures(Command):
    """A command about a file of postures."""

    file: tyro.conf.Positional[Path] = tyro.MISSING
    """A tracker's .wcon or .wcon.zip, Tierpsy's .hdf5, a .csv of midlines (time, x_0, y_0, ...) or of joint angles
    (time, angle_0, ...), or the .nc of a recording."""
    spline: bool = False
    """Put a cubic spline through a midline's points first, where there are fewer than two for each link."""
    fix_swaps: bool = False
    """Turn midlines whose head and tail are probably swapped."""
    flip_y: bool = False
    """Turn the y axis, of trackers whose images have it point down."""
    unit: str | None = None
    """Of points, where the file does not say it, such as mm, or 0.004*mm for a pixel."""
    time_unit: str | None = None
    """Of the time of a .csv of midlines, s by default, or of a frame of Tierpsy's, such as 0.04*s."""
    degrees: bool = False
    """Joint angles of a .csv are in degrees."""

    def check(self) -> None:
        """Refuse what would change nothing."""
        if self.file.suffix == ".nc":
            why = f"{self.file} is a recording, whose joints are known"
            self.refuse("spline fix_swaps flip_y unit time_unit degrees", why)
        if self.file.name.endswith((".wcon", ".wcon.zip")):
            self.refuse("unit time_unit degrees", f"{self.file} says its own units")

    def read(self, links: int | None) -> dict[str, tuple[Track, Posture]]:
        """Return each worm of the file, as it was tracked and as a chain."""
        from ..worm.posture_files import read_postures

        return read_postures(
            self.file, links, spline=self.spline, fix_swaps=self.fix_swaps, flip_y=self.flip_y, unit=self.unit,
            time_unit=self.time_unit, degrees=self.degrees,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Postures(OfPostures):
    """Read the midlines of recorded worms, or of our own recordings, as joint angles; report gaps and swapped heads."""

    links: int | None = None
    """Of the chain that the midline becomes, 6 by default; angles and recordings have their own."""
    worm: str | None = None
    """Only the worm of this name; all of them by default."""
    out: Path | None = None
    """New file of the chain: .csv of its joint angles, or .wcon of its midline; none by default."""

    def check(self) -> None:
        """Refuse what would change nothing, and a file that cannot be written."""
        super().check()
        if self.out and self.out.suffix not in (".csv", ".wcon"):
            raise UnknownName("posture format", self.out.suffix or self.out.name, [".csv", ".wcon"])
        if self.out and self.out.exists():
            raise OutputExists(f"{self.out} exists; give another --out")

    def run(self) -> dict[str, Any]:
        """Read, write, and return what each worm's posture is like."""
        from ..files import write_text
        from ..worm.posture_files import one_worm
        from ..worm.posture_report import posture_facts, posture_table
        from ..worm.wcon import write_wcon

        found = self.read(self.links)
        if self.worm is not None:
            found = {one_worm(found, self.worm, self.file)[0]: found[self.worm]}
        facts = {name: posture_facts(track, each, self.spline) for name, (track, each) in found.items()}
        if self.out and self.out.suffix == ".csv":
            table = posture_table({name: each for name, (_, each) in found.items()})
            write_text(self.out, table.to_csv(index=False))
        elif self.out:
            write_wcon(self.out, [each.track(name) for name, (_, each) in found.items()], {"file": self.file.name})
        return {**facts, **({"out": str(self.out)} if self.out else {})}


@dataclasses.dataclass(frozen=True)
class ReplayWorm(OfPostures):
    """Let a body bend as a recorded worm did: what torque it takes, how well its motors can, and how far it gets."""

    worm: str | None = None
    """Name of the worm, of a file of several."""
    body: str = "worm"
    """A swimmer or a worm; its links are those of the chain that the midline becomes."""
    arena: str | None = None
    """Open in the body's own medium by default; a name of `nervecord list arenas`, or JSON, of one medium."""
    drive: Literal["prescribed", "motors"] = "prescribed"
    """prescribed: the joints follow exactly, with the torque of inverse dynamics; motors: as far as motors can."""
    gear: float | None = None
    """Torque of a motor at full command, N m, of --drive motors; the body's own by default."""
    out: Path | None = None
    """New file of the replay, a recording (.nc) as any of ours, without neurons; none by default."""
    film: Path | None = None
    """New film (mp4, gif or webp) of the recorded worm and the body side by side; none by default."""

    def check(self) -> None:
        """Refuse what would change nothing, and files that cannot be written."""
        super().check()
        if self.drive == "prescribed":
            self.refuse("gear", "it is of motors, and the joints are prescribed; give --drive motors too")
        if self.out and self.out.suffix != ".nc":
            raise UnknownName("recording format", self.out.suffix or self.out.name, [".nc"])
        for option, path in (("out", self.out), ("film", self.film)):
            if path and path.exists():
                raise OutputExists(f"{path} exists; give another --{option}")

    def run(self) -> dict[str, Any]:
        """Replay, film, and return what it took."""
        from ..envs import make_body
        from ..videos.encode import check_output
        from ..worm.posture_files import one_worm
        from ..worm.posture_report import coarse
        from ..worm.replay_film import film_replay
        from ..worm.replays import replay

        if self.film:
            check_output(self.film)
        arena, body = arena_given(self.arena), make_body(self.body)
        worms = self.read(body.n_links)
        name, posture = one_worm(worms, self.worm, self.file)
        notes = coarse(*worms[name], self.spline)
        if not self.fix_swaps and (suspects := len(worms[name][0].suspects)):
            notes.append(f"head and tail are probably swapped at {suspects} times; --fix-swaps turns those")
        found = replay(posture, body, self.drive, self.gear, arena)
        files = {}
        if self.out:
            found.recording.save(self.out)
            files["out"] = str(self.out)
        if self.film:
            files["film"] = str(film_replay(found, self.film, progress=not self.json))
        facts: Mapping[str, Any] = found.facts()
        if not self.json:
            facts = {key: number(value) for key, value in facts.items()}
        told = {"note": notes} if notes else {}
        return {"worm": name, "body": body.name, "drive": self.drive, **facts, **told, **files}


@dataclasses.dataclass(frozen=True)
class ShowEigenworms(OfPostures):
    """Take postures apart into eigenworms: what share of the variance they hold, and how a worm moves among them."""

    basis: str = "data"
    """data (the postures' own), wormpose (of the package's files), or a .csv of shapes of 100 numbers each."""
    modes: int = 4
    """How many shapes."""
    out: Path | None = None
    """New folder of the amplitudes, the shapes and a figure with phase portraits; none by default."""

    def check(self) -> None:
        """Refuse what would change nothing, and a folder that holds something else."""
        super().check()
        if self.modes < 2:
            raise InvalidOption(f"modes is {self.modes}; give 2 or more, of which the first two have a phase")
        if self.out and self.out.exists() and not {path.name for path in self.out.iterdir()} <= _EIGENWORMS:
            raise OutputExists(f"{self.out} exists and holds no eigenworms; give another --out")

    def run(self) -> dict[str, Any]:
        """Take apart, write, and return the shares."""
        from ..worm.shapes import SEGMENTS, eigenworms, phase_rate

        # Chains that are known keep their links: more would add nothing.
        is_chain = self.file.suffix == ".nc" or self._has_angles()
        postures = {name: each for name, (_, each) in self.read(None if is_chain else SEGMENTS).items()}
        own = [*postures.values()]
        shapes = eigenworms(own if self.basis == "data" else self.basis, self.modes)
        if self.basis == "wormpose":
            shapes = shapes.turned_by(own)
        share = shapes.share(own)
        rates = {name: phase_rate(shapes.amplitudes(each), each.time) for name, each in postures.items()}
        found: dict[str, Any] = {
            "shapes of": shapes.source,
            "share of the variance, by the first and so on": share.tolist(),
            "phase of the first two turns at, Hz": rates,
        }
        if not self.json:
            found["share of the variance, by the first and so on"] = ", ".join(number(each) for each in share)
            found["phase of the first two turns at, Hz"] = {name: number(rate) for name, rate in rates.items()}
        if self.out:
            self._write(shapes, postures)
            found["out"] = str(self.out)
        return found

    def _has_angles(self) -> bool:
        from ..worm.posture_csv import holds_points

        return self.file.suffix == ".csv" and not holds_points(self.file)

    def _write(self, shapes: Any, postures: dict[str, Posture]) -> None:
        import pandas as pd

        from ..drawing.figures import figure_svg
        from ..files import write_text
        from ..worm.shape_figure import eigenworm_figure

        assert self.out is not None
        self.out.mkdir(parents=True, exist_ok=True)
        tables = []
        for name, posture in postures.items():
            columns = {f"amplitude_{i + 1}": column for i, column in enumerate(shapes.amplitudes(posture).T)}
            tables.append(pd.DataFrame({"worm": name, "time": posture.time, **columns}))
        write_text(self.out / "amplitudes.csv", pd.concat(tables).to_csv(index=False))
        write_text(self.out / "eigenworms.csv", pd.DataFrame(shapes.vectors.T).to_csv(index=False, header=False))
        write_text(self.out / "eigenworms.svg", figure_svg(eigenworm_figure(shapes, postures)))
