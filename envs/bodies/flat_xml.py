"""A user's XML as one flat text: includes expanded, meshes written out, nothing left to open.

Only the words that change are replaced; every other byte stays, so that no number is ever written anew.
"""

from __future__ import annotations

import codecs
import contextlib
import html
import os
import re
import stat
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np

from ...errors import InvalidBody
from .xml_limits import MAX_BYTES, check_closed
from .xml_tags import Tag, files_of, tags

_ENCODING = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """Read an XML file in the encoding that its mark or its first line declares; UTF-8 otherwise.

    Raises:
        InvalidBody: there is no such file, it is no regular file, too large, or no text.
    """
    data = read_bytes(path)
    encoding = next((encoding for bom, encoding in _BOMS if data.startswith(bom)), "")
    if not encoding:
        declared = _ENCODING.match(data)
        encoding = declared[1].decode() if declared else "utf-8"
    try:
        text = data.decode(encoding)
    except (LookupError, UnicodeError) as error:
        raise InvalidBody(f"{path} is not text in {encoding}; give MuJoCo XML that declares its encoding") from error
    if "\0" in text:
        raise InvalidBody(f"{path} is a binary file; give MuJoCo XML")
    return text


def read_bytes(path: Path) -> bytes:
    """Read a regular file of at most 64 MB; pipes, devices and folders are refused before they are opened.

    Raises:
        InvalidBody: the file is none of that kind.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
            raise InvalidBody(f"cannot read {path}: it is {kind}; give a file")
        if found.st_size > MAX_BYTES:
            raise InvalidBody(f"cannot read {path}: it has {found.st_size} bytes; at most {MAX_BYTES} are allowed")
        return path.read_bytes()
    except InvalidBody:
        raise  # which is a ValueError too
    except (OSError, ValueError) as error:
        raise InvalidBody(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def flatten(name: str, text: str, folder: Path) -> str:
    """Return the XML with the files it names written into it; text that names none is returned as it is.

    Includes are expanded and meshes (STL, OBJ, MSH) become vertices and faces. Textures from files are
    dropped with what refers to them: they are paint. Files are sought from the `folder` of the main file.

    Raises:
        InvalidBody: a file cannot be read, or is of a kind that cannot be written into XML.
    """
    text = _expand(name, text, folder, [])
    compiler: dict[str, str] = {}
    for tag in tags(text):
        if tag.name == "compiler":
            compiler |= tag.attributes
    meshdir = compiler.get("meshdir", compiler.get("assetdir", ""))
    strip = compiler.get("strippath") == "true"
    dropped: set[str] = set()
    for tag in tags(text):
        if tag.name == "texture" and (files := files_of(tag.attributes)):
            dropped.add(tag.attributes.get("name") or Path(files[0]).stem)
    edits: list[tuple[int, int, str]] = []
    until = 0
    for tag in tags(text):
        if tag.is_end or tag.start < until:
            continue
        attributes = tag.attributes
        file = attributes.get("file", "")
        if tag.name == "mesh" and file:
            path = folder / meshdir / (Path(file).name if strip else file)
            named = "" if "name" in attributes else f' name="{html.escape(Path(file).stem)}"'
            edits.append((tag.start, tag.end, tag.without({"file", "content_type"}, named + _mesh(name, path))))
        elif (tag.name == "texture" and files_of(tag.attributes)) or (
            tag.name == "layer" and attributes.get("texture") in dropped
        ):
            until = tag.end if tag.is_alone else _end(text, tag)
            edits.append((tag.start, until, ""))
        elif tag.name == "material" and attributes.get("texture") in dropped:
            edits.append((tag.start, tag.end, tag.without({"texture"})))
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MuJoCo's warnings about XML off the screen and out of a log file in the user's folder."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda _: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        mujoco.set_mju_user_warning(before)


def parse(name: str, text: str) -> mujoco.MjSpec:
    """Return the spec of a flat XML.

    Raises:
        InvalidBody: it would open a file, or is no MuJoCo XML.
    """
    check_closed(name, text)
    try:
        with quiet():
            spec = mujoco.MjSpec.from_string(text)
    except (ValueError, TypeError, RuntimeError, mujoco.FatalError) as error:
        raise InvalidBody(f"{name}: MuJoCo cannot compile the XML: {one_line(error)}") from error
    # What MuJoCo itself understood has the last word on what would be opened.
    for kind, items in (
        ("mesh", spec.meshes),
        ("hfield", spec.hfields),
        ("skin", spec.skins),
        ("texture", spec.textures),
    ):
        for item in items:
            if file := item.file or next((each for each in getattr(item, "cubefiles", []) if each), ""):
                raise InvalidBody(f"{name}: <{kind}> names the file {file!r}; read the body with from_file")
    return spec


def one_line(error: BaseException) -> str:
    """Return an error's words without line breaks."""
    return " ".join(str(error).split())


def _end(text: str, start: Tag) -> int:
    return next(
        (tag.end for tag in tags(text) if tag.start > start.start and tag.is_end and tag.name == start.name), start.end
    )


def _expand(name: str, text: str, folder: Path, seen: list[Path]) -> str:
    edits: list[tuple[int, int, str]] = []
    for tag in tags(text):
        if tag.name != "include" or tag.is_end:
            continue
        file = tag.attributes.get("file")
        if not file:
            raise InvalidBody(f"{name}: an <include> names no file; give it file=")
        path = folder / file
        if path in seen:
            raise InvalidBody(f"{name}: {path} is included twice; include it once")
        seen.append(path)
        inner = _expand(name, _inside(path, read_text(path)), folder, seen)
        edits.append((tag.start, tag.end if tag.is_alone else _end(text, tag), inner))
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    if len(text) > MAX_BYTES:
        raise InvalidBody(f"{name}: with its includes the XML is longer than {MAX_BYTES} characters")
    return text


def _inside(path: Path, text: str) -> str:
    """Return what stands in the root element of an included file."""
    found = [tag for tag in tags(text) if not tag.name.startswith("!")]
    if not found or found[0].is_end:
        raise InvalidBody(f"{path} is included and is not XML; give it one root element, such as <mujocoinclude>")
    return "" if found[0].is_alone else text[found[0].end : found[-1].start]


def _mesh(name: str, path: Path) -> str:
    """Return the attributes that say the same as a file of a mesh."""
    readers = {".stl": _read_stl, ".obj": _read_obj, ".msh": _read_msh}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidBody(f"{name}: the mesh {path} is not an STL, OBJ or MSH file; convert it to one")
    try:
        vertices, faces = reader(read_bytes(path))
        if not len(vertices) or not np.isfinite(vertices).all():
            raise ValueError("no vertices, or one that is not finite")
        if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise ValueError("a face names a vertex that does not exist")
    except InvalidBody:
        raise
    except (ValueError, IndexError, struct.error) as error:
        raise InvalidBody(
            f"{name}: the mesh {path} cannot be read: {one_line(error)}; give binary STL or OBJ"
        ) from error
    words = f' vertex="{" ".join(repr(float(each)) for each in vertices.ravel())}"'
    return words + (f' face="{" ".join(str(int(each)) for each in faces.ravel())}"' if faces.size else "")


def _read_stl(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    (count,) = struct.unpack_from("<I", data, 80)
    if len(data) < 84 + 50 * count:
        raise ValueError("it ends before its last triangle, or is STL written as text")
    triangles = np.frombuffer(
        data, np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("end", "<u2")]), count, 84
    )
    # Triangles repeat their corners; each place is kept once, in the order of the file.
    corners = triangles["corners"].reshape(-1, 3)
    _, first, which = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    return corners[first[order]], rank[which.ravel()].reshape(-1, 3)


def _read_obj(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    for line in data.decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            vertices.append([float(word) for word in words[1:4]])
        elif words[:1] == ["f"]:
            corners = [int(word.split("/")[0]) for word in words[1:]]
            ring = [corner - 1 if corner > 0 else len(vertices) + corner for corner in corners]
            faces += [[ring[0], ring[at], ring[at + 1]] for at in range(1, len(ring) - 1)]
    return np.array(vertices).reshape(-1, 3), np.array(faces, int).reshape(-1, 3)


def _read_msh(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    n_vertices, n_normals, n_texcoords, n_faces = struct.unpack_from("<4i", data)
    if min(n_vertices, n_normals, n_texcoords, n_faces) < 0:
        raise ValueError("a negative number of vertices or faces")
    vertices = np.frombuffer(data, "<f4", 3 * n_vertices, 16).reshape(-1, 3)
    at = 16 + 4 * (3 * n_vertices + 3 * n_normals + 2 * n_texcoords)
    return vertices, np.frombuffer(data, "<i4", 3 * n_faces, at).reshape(-1, 3)
