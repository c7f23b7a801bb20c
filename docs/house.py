"""Draw the folders of the package and their imports: ``python docs/house.py`` writes ``docs/architecture.svg``."""

from __future__ import annotations

import ast
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "deap_nn"
FIGURE = HERE / "architecture.svg"

FLOORS = [
    [("the roof", "what users import or run")],
    [("algorithms", "evolve, make_toolbox")],
    [("callbacks", "progress, run directory"), ("maps", "serial, SCOOP, Dask ...")],
    [("report", "page, figures"), ("breeding", "recipes, lineage, cache"), ("problems", "data as a fitness")],
    [("operators", "crossover, mutation ..."), ("models", "TensorFlow, networks")],
    [("runs", "files of a run"), ("genome", "WeightList, Layout"), ("process", "signals"), ("data", "data sets")],
    [("core", "errors, files, random streams")],
]
"""The folders by floor, from the roof down, each with a few words; a folder imports from lower floors only."""

WIDTH, STEP, BOX_WIDTH, BOX_HEIGHT = 880, 96, 190, 48


def folder_of(module: str) -> str:
    """Return the folder of a module of the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else "the roof"


def imports() -> set[tuple[str, str]]:
    """Return which folder imports from which."""
    modules = {path: ["deap_nn", *path.relative_to(PACKAGE).with_suffix("").parts] for path in PACKAGE.rglob("*.py")}
    names = {".".join(parts) for parts in modules.values()}
    found = set()
    for path, parts in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "deap_nn":
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & names
                found |= {(folder_of(".".join(parts)), folder_of(module)) for module in inner or {node.module}}
    return {(upper, lower) for upper, lower in found if upper != lower}


def arrows() -> list[tuple[str, str]]:
    """Return the imports that no longer way of imports implies."""
    direct = imports()
    below: dict[str, set[str]] = {}
    for name in [name for floor in reversed(FLOORS) for name, _ in floor]:
        lower = {low for high, low in direct if high == name}
        below[name] = lower.union(*(below.get(low, set()) for low in lower))
    implied = {(high, low) for high, mid in direct for low in below.get(mid, ()) if (high, low) in direct}
    return sorted(direct - implied)


def drawing() -> str:
    """Return the figure."""
    places = {}
    for row, floor in enumerate(FLOORS):
        for column, (name, _) in enumerate(floor):
            places[name] = (round(WIDTH * (column + 0.5) / len(floor)), 30 + STEP * row)
    height = STEP * (len(FLOORS) - 1) + BOX_HEIGHT + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'role="img" aria-label="The folders of deap_nn on their floors; arrows are imports, all of them downwards">',
        # A page may be dark by a button of its own, which a picture cannot see: so it has a background.
        "<style>.page{fill:#fff}.box{fill:#eef3f8;stroke:#4a6a8a}.name{fill:#111;font-weight:bold;font-size:15px}"
        ".words{fill:#333;font-size:12px}.way{stroke:#667;fill:none}.head{fill:#667}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="head" d="M0 0L10 5L0 10z"/></marker></defs>',
    ]
    for upper, lower in arrows():
        (x1, y1), (x2, y2) = places[upper], places[lower]
        y1, y2 = y1 + BOX_HEIGHT, y2 - 2
        bend = (y2 - y1) / 2
        parts.append(
            f'<path class="way" marker-end="url(#head)" d="M{x1} {y1}C{x1} {y1 + bend:.0f} {x2} {y2 - bend:.0f} '
            f'{x2} {y2}"><title>{upper} imports {lower}</title></path>'
        )
    for floor in FLOORS:
        for name, words in floor:
            x, y = places[name]
            parts.append(
                f'<rect class="box" x="{x - BOX_WIDTH // 2}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
                f'<text class="name" x="{x}" y="{y + 20}" text-anchor="middle">{name}</text>'
                f'<text class="words" x="{x}" y="{y + 38}" text-anchor="middle">{words}</text>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    FIGURE.write_text(drawing())
