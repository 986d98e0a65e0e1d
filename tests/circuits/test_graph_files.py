"""Files of graphs: what Excel and other tools write is read, and what no graph can be is one line that names it."""

import dataclasses

import numpy as np
import pytest
from nervecord.circuits import Cell, Contact, Graph, load_graph
from nervecord.circuits.connectome.files import graph_json
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch

CELLS = """name,class,role,position,side
DB1,DB,motor,0.1,
VB1,VB,motor,0.1,
MDL01,MD,muscle,0.3,d
MVL01,MV,muscle,0.7,v
"""
CONTACTS = """pre,post,count,sign,kind
DB1,MDL01,3,1,chemical
VB1,MVL01,2,1,chemical
DB1,VB1,2,1,electrical
"""
GRAPHML = """<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="c" for="node" attr.name="class" attr.type="string"/>
<key id="r" for="node" attr.name="role" attr.type="string"/>
<key id="p" for="node" attr.name="position" attr.type="double"/>
<key id="s" for="node" attr.name="side" attr.type="string"/>
<key id="n" for="edge" attr.name="count" attr.type="double"/>
<key id="g" for="edge" attr.name="sign" attr.type="double"/>
<key id="k" for="edge" attr.name="kind" attr.type="string"/><graph edgedefault="directed">
<node id="DB1"><data key="c">DB</data><data key="r">motor</data><data key="p">0.1</data></node>
<node id="VB1"><data key="c">VB</data><data key="r">motor</data><data key="p">0.1</data></node>
<node id="MDL01"><data key="c">MD</data><data key="r">muscle</data><data key="p">0.3</data><data key="s">d</data></node>
<node id="MVL01"><data key="c">MV</data><data key="r">muscle</data><data key="p">0.7</data><data key="s">v</data></node>
<edge source="DB1" target="MDL01"><data key="n">3</data><data key="g">1</data><data key="k">chemical</data></edge>
<edge source="VB1" target="MVL01"><data key="n">2</data><data key="g">1</data><data key="k">chemical</data></edge>
<edge source="DB1" target="VB1"><data key="n">2</data><data key="k">electrical</data></edge>
</graph></graphml>
"""


def write(folder, contacts: str | bytes = CONTACTS, cells: str | bytes = CELLS, name: str = "worm.csv") -> str:
    for file, held in ((name, contacts), (name.replace(".csv", ".cells.csv").replace(".CSV", ".cells.csv"), cells)):
        (folder / file).write_bytes(held if isinstance(held, bytes) else held.encode())
    return str(folder / name)


def expected() -> Graph:
    cells = (Cell("DB1", "DB", "motor", 0.1), Cell("VB1", "VB", "motor", 0.1),
             Cell("MDL01", "MD", "muscle", 0.3, "d"), Cell("MVL01", "MV", "muscle", 0.7, "v"))  # fmt: skip
    contacts = (Contact("DB1", "MDL01", 3, 1), Contact("VB1", "MVL01", 2, 1), Contact("DB1", "VB1", 2, 1, True))
    return Graph(cells, contacts)


@pytest.mark.parametrize(
    ("contacts", "cells", "message"),
    [
        (CONTACTS.replace("DB1", "DBé").encode("latin-1"), CELLS, r"worm\.csv is not UTF-8 text .*save it as CSV"),
        (CONTACTS.encode("utf-16"), CELLS, r"worm\.csv is not UTF-8 text"),
        (CONTACTS, CELLS.encode("utf-16"), r"worm\.cells\.csv is not UTF-8 text"),
        (CONTACTS + "x" * 140_000, CELLS, r"worm\.csv cannot be read as CSV: field larger"),
        (CONTACTS.replace(",", ";"), CELLS, r"no column 'pre'; it needs .* commas, and has 'pre;post;count;sign;kind'"),
        (CONTACTS.replace("DB1,VB1", "D,B1,VB1"), CELLS, r"worm\.csv: row 3 has more fields than columns; quote"),
        (CONTACTS.replace("3,1", "inf,1"), CELLS, r"worm\.csv: contact DB1 -> MDL01 has count inf; give above 0"),
        (CONTACTS.replace("3,1", "nan,1"), CELLS, r"DB1 -> MDL01 has count nan; give above 0"),
        (CONTACTS.replace("3,1", "3,-1.9"), CELLS, r"worm\.csv: contact DB1 -> MDL01 has sign -1\.9; give 1"),
        (CONTACTS.replace("3,1", "3,"), CELLS, r"DB1 -> MDL01 has no sign; give 1"),
        (CONTACTS.replace("electrical", "gap"), CELLS, r"worm\.csv: unknown kind of contact DB1 -> VB1 'gap'"),
        (CONTACTS.replace("2,1,elec", "2,-1,elec"), CELLS, r"gap junction DB1 - VB1 has sign -1; give 1"),
        (CONTACTS + "DB1,MDL01,1,1,chemical\n", CELLS, r"worm\.csv: contact DB1 -> MDL01 occurs twice; give it one"),
        (CONTACTS + "DB1,MDL01,1,-1,chemical\n", CELLS, r"contact DB1 -> MDL01 occurs twice; .* one sign"),
        (CONTACTS + "VB1,DB1,1,1,electrical\n", CELLS, r"gap junction VB1 - DB1 has count 1 in .* and 2 in the other"),
        (CONTACTS + "VB1,DB1,2,-1,electrical\n", CELLS, r"gap junction VB1 - DB1 has sign -1; give 1"),
        (CONTACTS + "DB1,VB1,2,1,electrical\n", CELLS, r"gap junction DB1 - VB1 occurs twice; .* in this direction"),
        (CONTACTS.replace("DB1", "motor_0"), CELLS.replace("DB1", "motor_0"), r"cell motor_0 has the name of"),
        (CONTACTS.replace("DB1", "joint_pos_1"), CELLS.replace("DB1", "joint_pos_1"), r"cell joint_pos_1 has the name"),
        (CONTACTS, CELLS.replace("DB1,DB,", "DB1,,"), r"cell 'DB1' is of class ''; give each cell a name"),
        (CONTACTS.replace("DB1", ""), CELLS.replace("DB1", ""), r"cell '' is of class 'DB'; give each cell a name"),
        (CONTACTS, CELLS.replace("motor,0.1", "motor,", 1), r"worm\.cells\.csv: position of cell DB1 is ''"),
    ],
)  # fmt: skip
def test_tables_that_are_no_graph_are_one_line_that_names_the_file(tmp_path, capsys, contacts, cells, message):
    path = write(tmp_path, contacts, cells)
    with pytest.raises(CircuitMismatch, match=message):
        load_graph(path)
    with pytest.raises(SystemExit):
        main(["worm", "connectome", path])
    told = capsys.readouterr().err.strip()
    assert str(tmp_path) in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('<data key="g">1<', '<data key="g">INF<', r"contact DB1 -> MDL01 has sign inf; give 1"),
        ('<data key="g">1<', '<data key="g">-1.9<', r"contact DB1 -> MDL01 has sign -1\.9; give 1"),
        ('<data key="n">3<', '<data key="n">INF<', r"DB1 -> MDL01 has count inf; give above 0"),
        ("electrical", "Electrical", r"unknown kind of contact DB1 -> VB1 'Electrical'; did you mean 'electrical'"),
        ("electrical", "gap", r"unknown kind of contact DB1 -> VB1 'gap'"),
        ("chemical", "chemcal", r"unknown kind of contact DB1 -> MDL01 'chemcal'; did you mean 'chemical'"),
        ('"role" attr.type="string"/>', '"role" attr.type="int"/>', r"cannot be read as GraphML"),
        ('<data key="r">motor<', '<data key="p">1<', r"cannot be read as GraphML \(KeyError: 'role'\)"),
        ("<graphml xmlns", '<?xml version="1.0" encoding="klingon"?><graphml xmlns', r"cannot be read as GraphML"),
        ('id="VB1"', 'id="DB1"', r"node 'DB1' is there 2 times; give each its own id"),
        ('"directed"', '"undirected"', r"the graph is undirected, and chemical contact .* needs a direction"),
    ],
)  # fmt: skip
def test_graphml_that_is_no_graph_is_one_line_that_names_the_file(tmp_path, old, new, message):
    (tmp_path / "worm.graphml").write_text(GRAPHML.replace(old, new, 1 if "key=" in old else -1), encoding="utf-8")
    with pytest.raises(CircuitMismatch, match=message) as raised:
        load_graph(str(tmp_path / "worm.graphml"))
    assert str(raised.value).startswith(str(tmp_path / "worm.graphml"))


NAME = '<key id="v_name" for="node" attr.name="name" attr.type="string"/><graph '
LABEL = '<key id="label" for="node" attr.name="label" attr.type="string"/><graph '
YED = '<key id="d6" for="node" yfiles.type="nodegraphics"/><graph '
SHAPE = '<y:ShapeNode xmlns:y="http://www.yworks.com/xml/graphml"><y:Geometry x="1" y="2"/>'
YED_NODE = f'<data key="d6">{SHAPE}<y:NodeLabel>{{}}</y:NodeLabel></y:ShapeNode></data>'


def numbered(key: str, name: str) -> str:
    """Return the graph with ids n0 to n3, and the cells' names where a program writes them."""
    text = GRAPHML.replace("<graph ", key)
    for number, cell in enumerate(("DB1", "VB1", "MDL01", "MVL01")):
        text = text.replace(f'<node id="{cell}">', f'<node id="n{number}">{name.format(cell)}')
        text = text.replace(f'="{cell}"', f'="n{number}"')
    return text


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (NAME, '<data key="v_name">{}</data>'),
        (LABEL, '<data key="label">{}</data>'),
        (YED, YED_NODE),
    ],
    ids=["igraph", "gephi", "yed"],
)
def test_graphml_of_other_programs_keeps_its_names(tmp_path, key, name):
    (tmp_path / "worm.graphml").write_text(numbered(key, name), encoding="utf-8")
    graph = load_graph(str(tmp_path / "worm.graphml"))
    assert (graph.cells, {*graph.contacts}) == (expected().cells, {*expected().contacts})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (">VB1<", "><", "node 'n1' has no name, and others have one; give every node its name, or none"),
        (">VB1<", ">DB1<", "several nodes have the name 'DB1'; give each its own, or remove"),
    ],
)
def test_graphml_in_which_names_lack_or_repeat_is_one_line(tmp_path, old, new, message):
    (tmp_path / "worm.graphml").write_text(
        numbered(NAME, '<data key="v_name">{}</data>').replace(old, new), encoding="utf-8"
    )
    with pytest.raises(CircuitMismatch, match=message):
        load_graph(str(tmp_path / "worm.graphml"))


def test_a_role_that_is_a_number_is_one_line(tmp_path):
    text = GRAPHML.replace('"role" attr.type="string"/>', '"role" attr.type="int"/>')
    (tmp_path / "worm.graphml").write_text(text.replace(">motor<", ">3<").replace(">muscle<", ">4<"), encoding="utf-8")
    with pytest.raises(CircuitMismatch, match=r"unknown role of cell DB1 '3'; known: "):
        load_graph(str(tmp_path / "worm.graphml"))


@pytest.mark.parametrize(
    ("contacts", "name"),
    [
        (CONTACTS.encode("utf-8-sig"), "worm.csv"),
        (CONTACTS, "OK.CSV"),
        (CONTACTS.replace("\n", ",,\n"), "worm.csv"),
        (CONTACTS.replace("2,1,electrical", "2,,electrical"), "worm.csv"),
        (CONTACTS + "VB1,DB1,2,,electrical\n", "worm.csv"),
        (CONTACTS.replace("3,1,", "3,1.00,").replace("2,1,c", "2,+1,c"), "worm.csv"),
    ],
)
def test_tables_as_other_programs_write_them_are_read(tmp_path, contacts, name):
    assert load_graph(write(tmp_path, contacts, CELLS.encode("utf-8-sig"), name)) == expected()


def test_graphml_and_json_hold_the_same_graph(tmp_path):
    (tmp_path / "worm.graphml").write_text(GRAPHML, encoding="utf-8")
    graph = load_graph(str(tmp_path / "worm.graphml"))
    assert (graph.cells, {*graph.contacts}) == (expected().cells, {*expected().contacts})
    assert load_graph(graph_json(expected())) == expected()
    for damaged in ({}, {"cells": 3, "contacts": []}, {"cells": ["DB1"], "contacts": []}):
        with pytest.raises(CircuitMismatch, match="the graph that the config holds is damaged"):
            load_graph(damaged)


def test_a_gap_junction_reaches_a_muscle_either_way(tmp_path):
    gap = "MVL01,VB1,2,,electrical"
    graph = load_graph(write(tmp_path, CONTACTS.replace("VB1,MVL01,2,1,chemical", gap)))
    assert graph.contacts[1] == Contact("MVL01", "VB1", 2, 1, True)


def test_a_dense_graph_is_drawn_anew_and_a_denser_one_is_one_line():
    motors = [Cell(f"DB{i}", "DB", "motor", 0.5) for i in range(30)]
    cells = (*motors, Cell("MDL01", "MD", "muscle", 0.3, "d"), Cell("MVL01", "MV", "muscle", 0.7, "v"))
    every = [Contact(a.name, b.name, 1, 1) for a in motors for b in cells if a != b]
    other = Graph(cells, tuple(every)).control("random", np.random.default_rng(0))
    assert {(c.pre, c.post) for c in other.contacts} == {(c.pre, c.post) for c in every}
    more = dataclasses.replace(other, contacts=(*other.contacts, Contact("DB0", "DB0", 1, 1)))
    with pytest.raises(CircuitMismatch, match="931 chemical contacts cannot be drawn among 930 pairs"):
        more.control("random", np.random.default_rng(0))
