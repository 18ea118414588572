"""``python tools/shape.py``: figures about how hard a Python package is to maintain, computed from its source alone.

Nothing is imported or run, so it works for any package, also one of another project:

    python tools/shape.py                            # this project's package
    python tools/shape.py --baseline ../old/runtime  # side by side with another one
    python tools/shape.py --reaches                  # where private attributes are used across files
    python tools/shape.py --handed                   # which large objects are handed to other files
    python tools/shape.py --repeats                  # which logic is repeated

`figures` has the meaning of each. They are counts, not verdicts: do not make code harder to read to lower a number.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import statistics
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

REPEATED_LINES: Final = 6
"""Lines from which on statements of the same shape count as repeated. Arbitrary: fewer lines are idioms, and ten times
more would find no copies."""

FEW_FIELDS: Final = 8
"""Fields up to which an object may be handed to any file. Arbitrary: a reader can keep about as many in mind."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A source file."""

    name: str
    """The dotted name, without ``__init__``."""
    path: Path
    text: str
    tree: ast.Module


class Class(NamedTuple):
    """A class of the package."""

    name: str
    module: Module
    node: ast.ClassDef
    bases: tuple[str, ...]
    """Full names of the bases that are in the package."""
    attributes: frozenset[str]
    """Names that it defines itself: in its body, or by assignments to attributes of `self`."""
    fields: frozenset[str]
    """Those of them that each object has: slots, annotated names, and what is assigned to `self`."""
    is_record: bool
    """Whether its fields are set once: it is frozen, a named tuple or a typed dictionary."""


class Handed(NamedTuple):
    """A class with many fields, and the other files that are handed its objects."""

    name: str
    """Its full name."""
    fields: frozenset[str]
    """Those of its base classes included."""
    is_record: bool
    """As `Class.is_record`."""
    users: tuple[Path, ...]

    def __str__(self) -> str:
        what = "fields of a record" if self.is_record else "fields"
        return f"{self.name}: {len(self.fields)} {what}, handed to {', '.join(map(str, self.users))}"


class Location(NamedTuple):
    """A line of a file, and a description."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def read_package(root: Path) -> tuple[Module, ...]:
    """Return all modules of the package in the directory `root`, sorted by path.

    Raises:
        OSError: if a file cannot be read.
        SyntaxError: if a file is not Python.
    """
    modules = []
    for path in sorted(root.rglob("*.py")):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text("utf-8")
        modules.append(Module(name, path, text, ast.parse(text, str(path))))
    return tuple(modules)


def find_classes(modules: Sequence[Module]) -> dict[str, Class]:
    """Return the classes of a package, by full name."""
    named = {f"{module.name}.{node.name}" for module in modules for node in _classes(module)}
    exported = _exports(modules)
    classes = {}
    for module in modules:
        names = _imported(module)
        for node in _classes(module):
            # `Base[T]` is a `Base`.
            bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
            known = [full for base in bases if (full := _full_name(base, module, names, exported)) in named]
            attributes, fields = frozenset(_attributes(node)), frozenset(_fields(node))
            found = Class(node.name, module, node, tuple(known), attributes, fields, _is_record(node))
            classes[f"{module.name}.{node.name}"] = found
    return classes


def _full_name(node: ast.expr, module: Module, names: dict[str, str], exported: dict[str, str]) -> str:
    """Return the full name of a class, as an expression in `module` names it."""
    first, _, rest = ast.unparse(node).partition(".")
    full = names.get(first, f"{module.name}.{first}") + (f".{rest}" if rest else "")
    return exported.get(full, full)


def ancestors(name: str, classes: dict[str, Class]) -> Iterator[Class]:
    """Yield the classes of the package from which a class inherits, nearest first, each once."""
    seen, waiting = {name}, list(classes[name].bases)
    while waiting:
        base = waiting.pop(0)
        if base not in seen:
            seen.add(base)
            yield classes[base]
            waiting += classes[base].bases


def depth(name: str, classes: dict[str, Class]) -> int:
    """Return the length of the longest chain of base classes in the package, including the class itself."""
    return 1 + max((depth(base, classes) for base in classes[name].bases), default=0)


def reaches(classes: dict[str, Class]) -> Iterator[Location]:
    """Yield uses of private attributes of `self` that only a base class in another file defines."""
    for name, found in classes.items():
        inherited = defaultdict[str, list[Class]](list)
        for base in ancestors(name, classes):
            for attribute in base.attributes:
                inherited[attribute].append(base)
        for node in _of_self(found.node):
            homes = inherited[node.attr]
            if not homes or not _is_private(node.attr) or node.attr in found.attributes:
                continue
            if all(home.module.path != found.module.path for home in homes):
                yield Location(found.module.path, node.lineno, f"{found.name} uses {homes[0].name}.{node.attr}")


def handed(modules: Sequence[Module], classes: dict[str, Class]) -> list[Handed]:
    """Return the classes of more than `FEW_FIELDS` fields whose objects other files are handed, as annotations say.

    These are annotations of parameters, and of fields in the body of a class, as its constructor gets those. What a
    call returns, also the call of a parameter, or an object makes for itself, is not handed.
    """
    exported = _exports(modules)
    large = {}
    for name, found in classes.items():
        family = [found, *ancestors(name, classes)]
        fields = frozenset[str]().union(*(each.fields for each in family))
        if len(fields) > FEW_FIELDS:
            large[name] = fields, any(each.is_record for each in family)
    users = defaultdict[str, dict[Path, None]](dict)
    for module in modules:
        names = _imported(module)
        for node in _taken(module):
            full = _full_name(node, module, names, exported)
            if full in large and classes[full].module is not module:
                users[full][module.path] = None
    return [Handed(name, *large[name], tuple(users[name])) for name in sorted(users)]


def _taken(module: Module) -> Iterator[ast.expr]:
    """Yield the names in annotations of what functions and objects are given."""
    annotations = list[ast.expr | None]()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.arguments):
            parameters = [*node.posonlyargs, *node.args, *node.kwonlyargs, node.vararg, node.kwarg]
            annotations += [each.annotation for each in parameters if each is not None]
        elif isinstance(node, ast.ClassDef):
            annotations += [item.annotation for item in node.body if isinstance(item, ast.AnnAssign)]
    waiting = list(filter(None, annotations))
    while waiting:
        inner: ast.AST = waiting.pop()
        if isinstance(inner, ast.Name | ast.Attribute):
            yield inner
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield ast.Name(inner.value)
        elif isinstance(inner, ast.Subscript) and ast.unparse(inner.value).endswith("Callable"):
            inner = inner.slice.elts[0] if isinstance(inner.slice, ast.Tuple) else inner.slice  # only its parameters
        waiting += [each for each in ast.iter_child_nodes(inner) if isinstance(each, ast.expr)]


def foreign_uses(modules: Sequence[Module]) -> Iterator[Location]:
    """Yield uses of private attributes of other objects, if the file defines no attribute of that name.

    Those of modules of other packages do not count: `os._exit` is a public function with an ugly name.
    """
    package = modules[0].name.partition(".")[0]
    for module in modules:
        own = {name for node in _classes(module) for name in _attributes(node)}
        own |= {node.name for node in ast.walk(module.tree) if isinstance(node, Function)}
        own |= {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
        others = {
            alias.asname or alias.name
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name.partition(".")[0] != package
        }
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Attribute) or not _is_private(node.attr) or node.attr in own:
                continue
            if ast.unparse(node.value) not in {"self", "cls"} | others:
                yield Location(module.path, node.lineno, ast.unparse(node))


def repeats(modules: Sequence[Module]) -> list[list[Location]]:
    """Return groups of locations with statements of the same shape. Names and values may differ."""
    found = defaultdict[tuple[str, ...], list[Location]](list)
    for module in modules:
        functions = (node for node in ast.walk(module.tree) if isinstance(node, Function))
        # Only functions: declarations repeat by nature. `dict` as a set: an inner function is walked twice.
        nodes = dict.fromkeys(inner for function in functions for inner in ast.walk(function))
        for node in nodes:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list):
                    _add_runs(module, block, found)
    last = dict[Path, int]()
    groups = []
    for locations in sorted((group for group in found.values() if len(group) > 1), key=lambda group: group[0]):
        # A longer copy matches at each of its statements; report it once.
        if any(each.line > last.get(each.path, 0) for each in locations):
            groups.append(locations)
        for each in locations:
            last[each.path] = max(last.get(each.path, 0), each.line + REPEATED_LINES)
    return groups


def _add_runs(module: Module, block: list[ast.stmt], found: dict[tuple[str, ...], list[Location]]) -> None:
    """Add, for each statement of a block, the shortest run of at least `REPEATED_LINES` lines that starts there."""
    statements = [
        node for node in block if not _is_docstring(node) and not isinstance(node, ast.Import | ast.ImportFrom)
    ]
    for start, first in enumerate(statements):
        lines, shapes = 0, []
        for node in statements[start:]:
            if isinstance(node, Function | ast.ClassDef):
                break
            lines += (node.end_lineno or node.lineno) - node.lineno + 1
            shapes.append(_shape(node))
            if lines >= REPEATED_LINES:
                found[tuple(shapes)].append(Location(module.path, first.lineno, f"{lines} lines"))
                break


def _shape(node: ast.AST) -> str:
    """Return the structure of a statement, without names of variables and without values."""
    if isinstance(node, ast.Name):
        return "name"
    if isinstance(node, ast.Constant):
        return type(node.value).__name__
    parts = []
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            parts.append("[" + ",".join(_shape(item) for item in value if isinstance(item, ast.AST)) + "]")
        elif isinstance(value, ast.AST):
            parts.append(_shape(value))
        elif field == "attr":
            parts.append(str(value))
    return f"{type(node).__name__}({','.join(parts)})"


def count_lines(module: Module) -> tuple[int, int]:
    """Return the lines of code (no comments, docstrings or blank lines), and the lines that have a comment."""
    code, comments = set[int](), set[int]()
    skipped = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in skipped:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(module.tree):
        for text in getattr(node, "body", ()) if isinstance(getattr(node, "body", None), list) else ():
            if _is_docstring(text):
                code.difference_update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return len(code), len(comments)


def figures(root: Path) -> dict[str, str]:
    """Return the figures of a package, each as text, by its meaning."""
    modules = read_package(root)
    classes = find_classes(modules)
    functions = [node for module in modules for node in ast.walk(module.tree) if isinstance(node, Function)]
    sizes = {node: _body_lines(node) for node in functions}
    lines = {module: count_lines(module) for module in modules}
    code, comments = sum(count for count, _ in lines.values()), sum(count for _, count in lines.values())
    deepest = max(classes, key=lambda name: depth(name, classes))
    longest_file = max(modules, key=lambda module: module.text.count("\n"))
    longest = max(functions, key=sizes.__getitem__)
    ordered = sorted(sizes.values())
    large = handed(modules, classes)
    records = sum(each.is_record for each in large)
    return {
        "files": f"{len(modules)}",
        "lines of code": f"{code}",
        "lines with a comment": f"{comments} ({100 * comments / (code + comments):.1f} %)",
        "longest file, in lines": f"{longest_file.text.count(chr(10))} ({longest_file.path.relative_to(root)})",
        "lines of a file, median": f"{statistics.median(module.text.count(chr(10)) for module in modules):.0f}",
        "lines of a function, median and 90 %": f"{statistics.median(ordered):.0f}, {ordered[len(ordered) * 9 // 10]}",
        "longest function, in lines": f"{sizes[longest]} ({longest.name})",
        "depth of inheritance": f"{depth(deepest, classes)} ({classes[deepest].name})",
        "private attributes of a base class in another file": f"{sum(1 for _ in reaches(classes))}",
        "private attributes of other objects": f"{sum(1 for _ in foreign_uses(modules))}",
        f"objects of over {FEW_FIELDS} fields handed to other files": f"{len(large) - records}, and {records} records",
        "Any": f"{sum(isinstance(n, ast.Name) and n.id == 'Any' for m in modules for n in ast.walk(m.tree))}",
        f"logic of {REPEATED_LINES} lines that is repeated": f"{len(repeats(modules))}",
    }


def _classes(module: Module) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef))


def _imported(module: Module) -> dict[str, str]:
    """Return the full name of each imported name."""
    names = dict[str, str]()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _exports(modules: Sequence[Module]) -> dict[str, str]:
    """Return the full names of what packages re-export, by the name under which they do."""
    return {f"{module.name}.{name}": full for module in modules for name, full in _imported(module).items()}


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, Function | ast.ClassDef):
            yield item.name
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield item.target.id
        elif isinstance(item, ast.Assign):
            yield from (target.id for target in item.targets if isinstance(target, ast.Name))
    yield from (inner.attr for inner in _of_self(node) if isinstance(inner.ctx, ast.Store))


def _fields(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            # What is final in the body of a class is a constant of the class.
            if not re.search(r"\b(Final|ClassVar)\b", ast.unparse(item.annotation)):
                yield item.target.id
        elif isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "__slots__":
            yield from ast.literal_eval(item.value)
    yield from (inner.attr for inner in _of_self(node) if isinstance(inner.ctx, ast.Store))


def _is_record(node: ast.ClassDef) -> bool:
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    return "frozen" in " ".join(map(ast.unparse, node.decorator_list)) or bool(bases & {"NamedTuple", "TypedDict"})


def _of_self(node: ast.ClassDef) -> Iterator[ast.Attribute]:
    """Yield each use of an attribute of `self` in the methods of a class."""
    for method in node.body:
        if isinstance(method, Function) and method.args.args:
            first = method.args.args[0].arg
            for inner in ast.walk(method):
                if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == first:
                    yield inner


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")  # `_name_` is public in an enumeration


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _body_lines(node: Function) -> int:
    body = [item for item in node.body if not _is_docstring(item)]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, or the locations behind one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent / "runtime")
    parser.add_argument("--baseline", type=Path, metavar="PACKAGE", help="another package, as a second column")
    parser.add_argument("--reaches", action="store_true", help="print where private attributes are used across files")
    parser.add_argument("--handed", action="store_true", help="print which large objects are handed to other files")
    parser.add_argument("--repeats", action="store_true", help="print which logic is repeated")
    options = parser.parse_args(arguments)
    for root in filter(None, (options.package, options.baseline)):
        if not (root / "__init__.py").exists():
            parser.error(f"{root} has no __init__.py; expected the directory of a Python package")
    if options.reaches:
        modules = read_package(options.package)
        print(*reaches(find_classes(modules)), *foreign_uses(modules), sep="\n")
    elif options.handed:
        modules = read_package(options.package)
        print(*handed(modules, find_classes(modules)), sep="\n")
    elif options.repeats:
        for group in repeats(read_package(options.package)):
            print(*group, sep="\n", end="\n\n")
    else:
        columns = [figures(root) for root in (options.package, options.baseline) if root is not None]
        for name in columns[0]:
            print(f"{name:52}", *(f"{column[name]:40}" for column in columns), sep="")


if __name__ == "__main__":
    main(sys.argv[1:])
