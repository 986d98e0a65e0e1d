"""Imports go one way: envs and circuits know nothing of each other, agents know both, training and videos all."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "envs": {"envs"},
    "circuits": {"circuits"},
    "agents": {"agents", "circuits", "envs"},
    "training": {"training", "videos", "agents", "circuits", "envs", "benchmarks"},
    "videos": {"videos", "training", "agents", "circuits", "envs"},
    "benchmarks": {"benchmarks", "training", "agents", "circuits", "envs"},
}
FILES = [path for layer in MAY_IMPORT for path in sorted((ROOT / layer).rglob("*.py"))]


def imported_layers(path: Path) -> set[str]:
    """The packages beside this one that a file imports when it is imported; not what a function imports when called."""
    tree = ast.parse(path.read_text())
    depth = len(path.relative_to(ROOT).parts)
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            above = list(path.relative_to(ROOT).parts[: depth - node.level])
            found.add((above + (node.module or "").split("."))[0])
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level and node.module else []
        assert not any(name.split(".")[0] == "nervecord" for name in names), f"{path} imports itself absolutely"
    return {layer for layer in found if layer and (ROOT / layer).is_dir()}


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_a_layer_imports_only_those_below_it(path):
    layer = path.relative_to(ROOT).parts[0]
    assert imported_layers(path) <= MAY_IMPORT[layer]
