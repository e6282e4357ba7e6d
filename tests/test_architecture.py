"""The house rules that a reader of the source can check: imports and docstrings."""

import ast
import re
from pathlib import Path

import pytest

import keras_layer_prune

ROOT = Path(keras_layer_prune.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# They stand under all folders.
UNDER_ALL = {"_keras_private", "_checks"}
# What each folder may import of the others.
MAY_IMPORT = {
    "variational": set(),
    "layers": {"variational"},
    "graph": {"variational", "layers"},
    "training": {"variational", "layers", "graph"},
    "report": {"variational", "layers", "graph"},
}
# The folders inside of some, each of which may import those before it. What is beside
# them may import them all.
INSIDE = {
    "graph": ["reading", "costs", "linear", "rebuilding", "finding"],
    "training": ["step", "shrinking", "guards", "backup"],
}
# What is beside them and may be imported by one all the same.
BESIDE = {
    "finding": {"checks", "gates"},
    "guards": {"fit_callbacks", "schedule"},
    "backup": {"fit_callbacks", "gated_model"},
}
FOLDERS_INSIDE = [(outer, x) for outer, inside in INSIDE.items() for x in inside]


def path_of(file):
    return str(file.relative_to(ROOT))


def folder_of(file):
    """Name of the package's folder that holds a file, or None for its root."""
    parts = file.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else None


def imported_modules(file):
    """Every module that a file imports, anywhere in it, by its full name."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def imported_folders(file):
    """Names of what a file imports from the package's root."""
    own = [m for m in imported_modules(file) if m.split(".")[0] == ROOT.name]
    return {module.split(".")[1] for module in own}


def files_that_import(module):
    """Files that import a module or something inside of it."""
    return {
        path_of(file)
        for file in FILES
        if any(f"{name}.".startswith(f"{module}.") for name in imported_modules(file))
    }


def test_every_folder_has_its_place():
    assert {folder_of(file) for file in FILES} - {None} == set(MAY_IMPORT)


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_imports_run_one_way(file):
    folder = folder_of(file)
    if folder is None:
        allowed = set(MAY_IMPORT) if file.name == "__init__.py" else set()
    else:
        allowed = {folder} | UNDER_ALL | MAY_IMPORT[folder]
    assert imported_folders(file) <= allowed


@pytest.mark.parametrize("outer, inner", FOLDERS_INSIDE)
def test_imports_inside_of_a_folder_run_one_way(outer, inner):
    below = set(INSIDE[outer][: INSIDE[outer].index(inner)])
    allowed = {inner} | below | BESIDE.get(inner, set())
    for file in (ROOT / outer / inner).glob("*.py"):
        names = [module.split(".") for module in imported_modules(file)]
        used = {name[2] for name in names if name[:2] == [ROOT.name, outer]}
        assert used <= allowed, path_of(file)


def test_every_folder_inside_of_another_has_its_place():
    found = {file.parent.relative_to(ROOT).parts for file in ROOT.glob("*/*/*.py")}
    assert found == set(FOLDERS_INSIDE)


def test_nothing_imports_the_public_names_from_inside():
    public = {x.split(".")[-1] for x in imported_modules(ROOT / "__init__.py")}
    for file in FILES:
        assert not imported_folders(file) & public


def test_only_the_mathematics_knows_tensorflow_probability():
    users = files_that_import("tensorflow_probability")
    assert users
    assert {Path(user).parts[0] for user in users} == {"variational"}


def test_private_names_of_keras_live_in_one_file():
    assert files_that_import("keras.src") == {"_keras_private.py"}


def test_private_names_of_tensorflow_live_in_one_file():
    assert files_that_import("tensorflow.python") == {"training/step/step_graphs.py"}


def names_of_others(file):
    """Names with an underscore that a file looks up in what is not its own `self`.

    Strings count too, with which attributes are looked up.
    """
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            names |= {node.attr} if owner not in ("self", "cls") else set()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return {x for x in names if re.fullmatch("_[a-z]\\w*", x)}


def test_private_attributes_of_keras_are_named_in_one_file():
    (private,) = (file for file in FILES if file.name == "_keras_private.py")
    names = names_of_others(private)
    assert {"_functional", "_nodes_by_depth", "_trainable_variables"} <= names
    for file in FILES:
        if file != private:
            assert names_of_others(file) & names == set(), path_of(file)


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_every_file_says_what_it_is_for(file):
    docstring = ast.get_docstring(ast.parse(file.read_text()))
    assert docstring
    assert docstring[0].isupper()


def test_public_names_are_imported_and_nothing_else():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    statements = tree.body[1:]  # after the docstring
    assert all(isinstance(x, ast.ImportFrom) for x in statements)
    for statement in statements:
        for alias in statement.names:
            # `X as X` is how type checkers know that a name is meant to be public.
            assert alias.asname == alias.name
            assert getattr(keras_layer_prune, alias.name).__name__ == alias.name


def test_public_names_are_documented():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    names = [a.name for x in tree.body[1:] for a in x.names]
    assert len(names) >= 10
    assert [n for n in names if not getattr(keras_layer_prune, n).__doc__] == []
