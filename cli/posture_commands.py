"""Commands about recorded postures: read them, replay them on a body, and decompose them into eigenworms."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from ..errors import InvalidOption, OutputExists, UnknownName
from .command import Command
from .config_options import arena_given
from .printing import number

if TYPE_CHECKING:
    from ..worm import Posture, Track

_EIGENWORMS = {"amplitudes.csv", "eigenworms.csv", "eigenworms.svg"}


@dataclasses.dataclass(frozen=True)
class OfPostures(Command):
    """A command about a file of postures."""

    file: tyro.conf.Positional[Path] = tyro.MISSING
    """Postures: .wcon(.zip), Tierpsy .hdf5, .csv (time, x_0, y_0, ... or time, angle_0, ...), or a recording's .nc."""
    spline: bool = False
    """Fit a cubic spline to each midline first; helps where it has fewer than two points per link."""
    fix_swaps: bool = False
    """Reverse midlines whose head and tail are probably swapped."""
    flip_y: bool = False
    """Flip the y axis, for trackers whose y axis points down."""
    unit: str | None = None
    """Length unit of the points if the file does not state it, such as mm, or 0.004*mm for a pixel."""
    time_unit: str | None = None
    """Time unit of a .csv of midlines (s by default), or the length of a Tierpsy frame, such as 0.04*s."""
    degrees: bool = False
    """Joint angles in the .csv are in degrees instead of radians."""

    def check(self) -> None:
        """Refuse options that would have no effect."""
        if self.file.suffix == ".nc":
            why = f"{self.file} is a recording, whose joints are known"
            self.refuse("spline fix_swaps flip_y unit time_unit degrees", why)
        if self.file.name.endswith((".wcon", ".wcon.zip")):
            self.refuse("unit time_unit degrees", f"{self.file} says its own units")

    def read(self, links: int | None) -> dict[str, tuple[Track, Posture]]:
        """Return each worm of the file, both as tracked and as a chain of links."""
        from ..worm.posture_files import read_postures

        return read_postures(
            self.file, links, spline=self.spline, fix_swaps=self.fix_swaps, flip_y=self.flip_y, unit=self.unit,
            time_unit=self.time_unit, degrees=self.degrees,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Postures(OfPostures):
    """Convert recorded midlines of worms to joint angles; report gaps and swaps of head and tail."""

    links: int | None = None
    """Number of links to divide midlines into, 6 by default; joint angles and recordings have their own."""
    worm: str | None = None
    """Only the worm of this name; all of them by default."""
    out: Path | None = None
    """Write the result to this new file: .csv (joint angles) or .wcon (midlines); by default nothing is written."""

    def check(self) -> None:
        """Refuse options that would have no effect, and a file that cannot be written."""
        super().check()
        if self.out and self.out.suffix not in (".csv", ".wcon"):
            raise UnknownName("posture format", self.out.suffix or self.out.name, [".csv", ".wcon"])
        if self.out and self.out.exists():
            raise OutputExists(f"{self.out} exists; give another --out")

    def run(self) -> dict[str, Any]:
        """Read, write, and return a summary of each worm's posture."""
        from ..files import write_csv
        from ..worm.posture_files import one_worm
        from ..worm.posture_report import posture_facts, posture_table
        from ..worm.wcon import write_wcon

        found = self.read(self.links)
        if self.worm is not None:
            found = {one_worm(found, self.worm, self.file)[0]: found[self.worm]}
        facts = {name: posture_facts(track, each, self.spline) for name, (track, each) in found.items()}
        if self.out and self.out.suffix == ".csv":
            table = posture_table({name: each for name, (_, each) in found.items()})
            write_csv(self.out, table)
        elif self.out:
            write_wcon(self.out, [each.track(name) for name, (_, each) in found.items()], {"file": self.file.name})
        return {**facts, **({"out": str(self.out)} if self.out else {})}


@dataclasses.dataclass(frozen=True)
class ReplayWorm(OfPostures):
    """Replay a recorded worm's posture on a body: torque needed, accuracy of the motors, and distance travelled."""

    worm: str | None = None
    """Name of the worm, if the file has several."""
    body: str = "worm"
    """The body, a swimmer or a worm; midlines are divided into as many links as it has."""
    arena: str | None = None
    """Arena with a single medium: a name (see `nervecord list arenas`) or JSON; by default the body's own medium."""
    drive: Literal["prescribed", "motors"] = "prescribed"
    """prescribed: joints follow exactly, by inverse dynamics; motors: they follow as well as the motors can."""
    gear: float | None = None
    """With --drive motors: torque of a motor at full command, N m; by default the body's own."""
    out: Path | None = None
    """Write the replay to this new recording (.nc), which has no neurons; by default nothing is written."""
    film: Path | None = None
    """Write a film (.mp4, .gif or .webp) of the recorded worm beside the body; none by default."""

    def check(self) -> None:
        """Refuse options that would have no effect, and files that cannot be written."""
        super().check()
        if self.drive == "prescribed":
            self.refuse("gear", "it is of motors, and the joints are prescribed; give --drive motors too")
        if self.out and self.out.suffix != ".nc":
            raise UnknownName("recording format", self.out.suffix or self.out.name, [".nc"])
        for option, path in (("out", self.out), ("film", self.film)):
            if path and path.exists():
                raise OutputExists(f"{path} exists; give another --{option}")

    def run(self) -> dict[str, Any]:
        """Replay, film, and return the measurements."""
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
    """Decompose postures into eigenworms (principal components): share of variance, and phase portraits."""

    basis: str = "data"
    """Shapes to use: data (of these postures), wormpose (of that package), or a .csv with 100 numbers per shape."""
    modes: int = 4
    """Number of shapes."""
    out: Path | None = None
    """New folder for the amplitudes, the shapes and a figure with phase portraits; none by default."""

    def check(self) -> None:
        """Refuse options that would have no effect, and a folder with other content."""
        super().check()
        if self.modes < 2:
            raise InvalidOption(f"modes is {self.modes}; give 2 or more, of which the first two have a phase")
        if self.out and self.out.exists() and not {path.name for path in self.out.iterdir()} <= _EIGENWORMS:
            raise OutputExists(f"{self.out} exists and holds no eigenworms; give another --out")

    def run(self) -> dict[str, Any]:
        """Decompose, write, and return the shares of variance."""
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
        from ..files import write_csv, write_text
        from ..worm.shape_figure import eigenworm_figure

        assert self.out is not None
        self.out.mkdir(parents=True, exist_ok=True)
        tables = []
        for name, posture in postures.items():
            columns = {f"amplitude_{i + 1}": column for i, column in enumerate(shapes.amplitudes(posture).T)}
            tables.append(pd.DataFrame({"worm": name, "time": posture.time, **columns}))
        write_csv(self.out / "amplitudes.csv", pd.concat(tables))
        write_csv(self.out / "eigenworms.csv", pd.DataFrame(shapes.vectors.T), header=False)
        write_text(self.out / "eigenworms.svg", figure_svg(eigenworm_figure(shapes, postures)))
