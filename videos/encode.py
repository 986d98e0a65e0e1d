"""Write frames as a film: mp4, gif or webp, atomically."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ..drawing.palette import meant
from ..errors import MissingDependency, OutputExists, UnknownName
from ..files import write_whole

Frame = UInt8[np.ndarray, "height width 3"]
FORMATS = (".mp4", ".gif", ".webp")
# Two thirds of the preset veryfast's time, for as good a picture of an eighth more bytes. Looking ahead (mbtree), which
# superfast leaves out, saves a third of the bytes where the ground stands still.
_FAST = {"preset": "superfast", "x264-params": "mbtree=1:rc-lookahead=10"}
_COLOURS = 128  # of a gif's frame


def check_output(path: Path, overwrite: bool = False) -> None:
    """Say before any work whether a film can be written there.

    Raises:
        UnknownName: the suffix is none of the formats.
        OutputExists: the file exists.
    """
    if path.suffix not in FORMATS:
        # Without their dots, which would make .avi half a .gif.
        raise UnknownName("film format", path.suffix[1:] or path.name, [known[1:] for known in FORMATS])
    if path.exists() and not overwrite:
        raise OutputExists(f"{path} exists; give another --out or remove it")


def write_film(frames: Iterable[Frame], path: str | Path, fps: float, overwrite: bool = False) -> None:
    """Write RGB frames (0 to 255) as mp4, gif or webp, by the suffix; an interrupted film leaves no file.

    `fps` is the number of frames per second.
    """
    path = Path(path)
    check_output(path, overwrite)
    if path.suffix == ".mp4":
        write_whole(path, lambda partial: _write_mp4(frames, partial, fps))
    else:
        write_whole(path, lambda partial: _write_images(iter(frames), partial, fps, path.suffix))


def _write_mp4(frames: Iterable[Frame], path: Path, fps: float) -> None:
    try:
        import av
    except ImportError as error:
        raise MissingDependency(f"mp4 needs PyAV ({error}): pip install av; gif and webp work without") from error
    # faststart puts the index first, so that a browser plays the film while it loads.
    film = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
    # A frame is encoded while the next is drawn.
    with film, ThreadPoolExecutor(1) as encoder:
        stream = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "20", **_FAST})
        stream.pix_fmt = "yuv420p"
        encoded: Future[Any] | None = None
        for frame in frames:
            height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
            if encoded is None:
                stream.width, stream.height = width, height
            else:
                film.mux(encoded.result())
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            encoded = encoder.submit(stream.encode, picture)
        if encoded is not None:
            film.mux(encoded.result())
        film.mux(stream.encode())


def _write_images(frames: Iterator[Frame], path: Path, fps: float, suffix: str) -> None:
    images: Iterator[Image.Image] = (Image.fromarray(frame) for frame in frames)
    options: dict[str, Any] = {"loop": 0, "save_all": True}
    if suffix == ".gif":
        images = _timed((_with_few_colours(image) for image in images), fps)
        options["optimize"] = True
    else:
        options |= {"quality": 80, "method": 2, "duration": round(1000 / fps)}
    first = next(images)
    first.save(path, suffix[1:].upper(), append_images=images, **options)


def _timed(images: Iterable[Image.Image], fps: float) -> Iterator[Image.Image]:
    """Give each frame of a gif its milliseconds.

    A gif counts hundredths of a second, so that at 30 frames a second some frames stay 3 of them and some 4; all at 3
    would play a tenth too fast.
    """
    for frame, image in enumerate(images):
        image.info["duration"] = 10 * (round(100 * (frame + 1) / fps) - round(100 * frame / fps))
        yield image


def _with_few_colours(image: Image.Image) -> Image.Image:
    """Return a picture in as many colours as a small gif has.

    Median cut gives the few pixels of a legend or a thin line the colour of what is near, such as grey, so that
    colours with a meaning count as much as a quarter of the picture.
    """
    width, height = image.size
    quarter = -(-height // 4)
    both = Image.new("RGB", (width, height + quarter))
    both.paste(image)
    both.paste(Image.fromarray(meant()[None]).resize((width, quarter), Image.Resampling.NEAREST), (0, height))
    few = both.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return few.crop((0, 0, width, height))
